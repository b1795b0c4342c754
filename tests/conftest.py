"""Fixtures that several test files use."""

import pytest
import torch


@pytest.fixture
def float64():
    """Oracles compare to many digits: new tensors are float64, drawn from a fixed stream."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items):
    """What shares fixtures runs in one worker (`--dist loadgroup`): a file, and in the contract an algorithm."""
    for item in items:
        group = item.path.stem
        if group == "test_contract" and hasattr(item, "callspec"):
            group = f"{group} {item.callspec.params['name']}"
        item.add_marker(pytest.mark.xdist_group(group))
