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
