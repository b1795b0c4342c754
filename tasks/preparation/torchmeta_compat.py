"""Import torchmeta 1.8.0 (2021, made for torch < 1.10) beside a current torch. No other module imports it."""

import importlib.util
from types import ModuleType

import torch

from tasks.preparation.archives import DataError

REMEDY = (
    "torchmeta data sets need torchmeta, torchvision, h5py and ordered-set: "
    "`pip install -r requirements.txt`, then `pip install --no-deps -r requirements-nodeps.txt`"
)
# When torchvision is imported, it registers Python versions of these compiled operators, which fails if its compiled part
# could not be loaded. Nothing here calls them.
OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_library: list[torch.library.Library] = []  # kept alive: the operators vanish with their library


def import_torchmeta() -> ModuleType:
    """Return the module `torchmeta.datasets.helpers`, patched. DataError names the missing package and the remedy."""
    try:
        declare_torchvision_operators()
        _restore_drive_functions()
        helpers = importlib.import_module("torchmeta.datasets.helpers")
        _restore_batched_subsets()
    except ImportError as error:
        raise DataError(f"cannot import torchmeta ({error}). {REMEDY}") from error
    return helpers


def declare_torchvision_operators() -> None:
    """Make `import torchvision` possible beside a torch that its compiled part does not fit."""
    package = importlib.util.find_spec("torchvision")
    if package is None:
        raise ImportError("No module named 'torchvision'")
    compiled = [f"{folder}/_C.so" for folder in package.submodule_search_locations]
    try:
        torch.ops.load_library(compiled[0])  # a torchvision that matches torch: nothing to declare
    except OSError:
        if not _library:
            _library.append(torch.library.Library("torchvision", "FRAGMENT"))
            for schema in OPERATORS:
                _library[0].define(schema)


def _restore_drive_functions() -> None:
    """torchmeta imports two private functions that torchvision dropped in 2021."""
    utils = importlib.import_module("torchvision.datasets.utils")
    if not hasattr(utils, "_get_confirm_token"):
        utils._get_confirm_token = _confirm_token
        utils._save_response_content = _save_response


def _confirm_token(response) -> str | None:
    return next(
        (value for key, value in response.cookies.items() if key.startswith("download_warning")), None
    )


def _save_response(response, path: str) -> None:
    if "text/html" in response.headers.get("Content-Type", ""):
        raise DataError(
            f"Google Drive answers with a page instead of a file: download it in a browser and put it at {path}"
        )
    with open(path, "wb") as file:
        for chunk in response.iter_content(1 << 20):
            file.write(chunk)


def _restore_batched_subsets() -> None:
    """torch refuses subclasses of Subset that define item access but not batched item access."""
    task = importlib.import_module("torchmeta.utils.data.task").SubsetTask
    task.__getitems__ = lambda self, indices: [self[index] for index in indices]
