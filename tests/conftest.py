"""Fixtures that several test files use."""

import fcntl
import os
import signal
from pathlib import Path

import pytest
import torch

LIMIT = 900
"""Seconds after which a test fails. A process that never ends would otherwise hold up all tests without a name."""
# A shell's background job ignores Ctrl-C, and so would every process that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def limit(request):
    """Fail a test that takes longer than LIMIT, its fixtures not counted."""

    def give_up(*_):
        raise TimeoutError(f"{request.node.nodeid} takes more than {LIMIT} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(LIMIT)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def example_page(tmp_path_factory):
    """The report of a synthetic study (`tests.report_page.build_example`), built once for all processes of a test run."""
    from tests.report_page import build_example

    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "report"
    folder.mkdir(exist_ok=True)
    built = folder / "built"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not built.exists():
            built.write_text(str(build_example(folder)))
    return Path(built.read_text())


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder for data and results of planted studies."""
    monkeypatch.setenv("DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("RESULTS_ROOT", str(tmp_path / "results"))
    return tmp_path


@pytest.fixture
def float64():
    """Oracles compare to many digits: new tensors are float64, drawn from a fixed stream."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


FIRST = ("workflow", "workflow_truth", "pages", "cases", "slurm", "docs", "report", "resume", "pretraining")
"""Files that take longest, begun first, so that no process has one left when the others have nothing."""


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.stem.removeprefix("test_") not in FIRST)


def pytest_xdist_make_scheduler(config, log):
    """With -n: what shares fixtures runs in one worker, which is a file, and in the contract an algorithm."""
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file, _, test = nodeid.partition("::")
            algorithm = test.removesuffix("]").replace("[", "-").split("-")[-1]  # test_shapes[False-maml]
            return f"{file} {algorithm}" if file.endswith("test_contract.py") else file

    config.option.loadscopereorder = (
        False  # by default, files of many tests are begun first, however quick they are
    )
    return Groups(config, log)
