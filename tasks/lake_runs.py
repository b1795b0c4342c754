"""Lake's 20 within-alphabet one-shot runs, as `tasks.preparation.omniglot` has prepared them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tasks.catalogue import data_root, prepared_root


@dataclass(frozen=True, eq=False)
class LakeRuns:
    """The 20 within-alphabet 20-way one-shot runs; image arrays are uint8 with ink = 255.

    train, test: `[20 runs, 20, 28, 28]`; labels int64 `[20, 20]`: which train image each test image shares the class
    with; train_originals, test_originals: packed ink `[20, 20, 1379]` of the 105x105 drawings (`images.unpack_ink`).
    """

    train: np.ndarray
    test: np.ndarray
    labels: np.ndarray
    train_originals: np.ndarray
    test_originals: np.ndarray


def lake_runs(root: Path | None = None) -> LakeRuns:
    """Lake's 20 one-shot runs of a prepared Omniglot (human error 4.5 %). FileNotFoundError says what is missing."""
    path = (root or prepared_root()) / "omniglot" / "lake_runs.npz"
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing: put all_runs.zip at {data_root() / 'downloads' / 'omniglot' / 'all_runs.zip'} or below "
            "DATA_MIRROR/omniglot and run `python -m bench prepare omniglot --force`"
        )
    with np.load(path) as arrays:
        return LakeRuns(**arrays)
