"""How far a training has come, read from its checkpoint without torch: importing it takes longer than all else in `status`."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any, NamedTuple


class Progress(NamedTuple):
    """step: meta-updates done; scores: of the meta-validations, by the main metric; seconds: of training."""

    step: int
    scores: list[float]
    seconds: float


class _Ignored(dict):
    """Stands for every object of another package: called, filled or set, it keeps nothing."""

    def __init__(self, *arguments: Any, **named: Any):
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        pass


class _Plain(pickle.Unpickler):
    """Unpickles numbers, texts, lists and dictionaries. Whatever else a file names is not even imported."""

    def find_class(self, module: str, name: str) -> type:
        return _Ignored

    def persistent_load(self, pid: Any) -> None:
        return None


def read_progress(path: Path) -> Progress:
    """The numbers in a file that `torch.save` wrote. ValueError where it is damaged or no checkpoint."""
    try:
        with zipfile.ZipFile(path) as archive:
            content = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            state = _Plain(io.BytesIO(archive.read(content))).load()
        scores = [float(row["val_score"]) for row in state["history"]]
        return Progress(int(state["step"]), scores, float(state["seconds"]))
    except Exception as error:  # damaged bytes make pickle and zipfile raise many kinds
        raise ValueError(f"{path} is no readable checkpoint ({type(error).__name__})") from error
