"""Lake's 20 within-alphabet one-shot runs (Lake et al. 2015), as prepared by `tasks.preparation.omniglot`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tasks.catalogue import data_root, prepared_root


@dataclass(frozen=True, eq=False)
class LakeRuns:
    """The 20 within-alphabet 20-way one-shot runs.

    train, test: uint8 `[20 runs, 20, 28, 28]`, ink = 255; labels: int64 `[20 runs, 20]`, index of the train image of the
    same class as each test image; train_originals, test_originals: packed drawings of 105x105 pixels, uint8
    `[20 runs, 20, 1379]` (`images.unpack_ink`).
    """

    train: np.ndarray
    test: np.ndarray
    labels: np.ndarray
    train_originals: np.ndarray
    test_originals: np.ndarray


def lake_runs(root: Path | None = None) -> LakeRuns:
    """Load the runs of a prepared Omniglot (human error 4.5 %). FileNotFoundError: no prepared runs; names the remedy."""
    path = (root or prepared_root()) / "omniglot" / "lake_runs.npz"
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing: put all_runs.zip at {data_root() / 'downloads' / 'omniglot' / 'all_runs.zip'} or below "
            "DATA_MIRROR/omniglot and run `python -m bench prepare omniglot --force`"
        )
    with np.load(path) as arrays:
        return LakeRuns(**arrays)
