"""Make `import torchvision` possible beside a torch that its compiled part does not fit, such as a build for CPUs only.

pip's torchvision is compiled for torch with CUDA. Beside another torch, its compiled part is not loaded, and the import
fails where torchvision registers Python versions of compiled operators that are then unknown. Models and transforms need
none of them. `make setup` runs this file, which copies itself into the environment, where every Python loads it; it imports
torch only when torchvision is imported.
"""

import sys
from pathlib import Path
from typing import Any

OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_libraries: list[Any] = []  # kept alive: the operators vanish with their library


class BeforeTorchvision:
    """An import hook that finds nothing: it only declares the operators before torchvision is imported."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Called for every import; acts once, when torchvision is asked for."""
        if name == "torchvision" and self in sys.meta_path:
            sys.meta_path.remove(self)
            declare_operators()


def declare_operators() -> None:
    """Declare the operators of torchvision unless its compiled part can be loaded. ImportError without torchvision."""
    import importlib.util

    package = importlib.util.find_spec("torchvision")
    if package is None:
        raise ImportError("No module named 'torchvision'")
    import torch

    if hasattr(torch.ops.torchvision, "nms"):
        return
    try:
        torch.ops.load_library(f"{next(iter(package.submodule_search_locations))}/_C.so")
    except OSError:
        library = torch.library.Library("torchvision", "FRAGMENT")
        _libraries.append(library)
        for schema in OPERATORS:
            library.define(schema)


def install() -> Path:
    """Copy this file into the environment and let every Python there load it."""
    import sysconfig

    folder = Path(sysconfig.get_path("purelib"))
    copy = folder / f"_{Path(__file__).stem}.py"
    copy.write_text(Path(__file__).read_text(encoding="utf-8"), encoding="utf-8")
    copy.with_suffix(".pth").write_text(f"import {copy.stem}\n", encoding="utf-8")
    return copy


if __name__ == "__main__":
    install()
elif __name__.startswith("_"):
    sys.meta_path.insert(0, BeforeTorchvision())
