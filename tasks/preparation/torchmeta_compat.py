"""Import torchmeta 1.8.0 (2021, made for torch < 1.10) beside a current torch. No other module imports it."""

import importlib
from types import ModuleType

from tasks.preparation.archives import DataError
from tasks.preparation.torchvision_import import declare_operators

REMEDY = (
    "torchmeta data sets need torchmeta, torchvision, h5py and ordered-set: "
    "`pip install -r requirements.txt`, then `pip install --no-deps -r requirements-nodeps.txt`"
)


def import_torchmeta() -> ModuleType:
    """Return the module `torchmeta.datasets.helpers`, patched. DataError names the missing package and the remedy."""
    try:
        declare_operators()
        _restore_drive_functions()
        helpers = importlib.import_module("torchmeta.datasets.helpers")
        _restore_batched_subsets()
    except ImportError as error:
        raise DataError(f"cannot import torchmeta ({error}). {REMEDY}") from error
    return helpers


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
