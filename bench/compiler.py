"""PyTorch's compiler is imported only where something is compiled: its import takes as long as that of PyTorch itself.

PyTorch's optimisers and its FLOP counter import `torch._dynamo` at their first call only to say that they are not to be
compiled. Every training and every test would pay for that.
"""

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

NAME = "torch._dynamo"


class Postponed(ModuleType):
    """Stands for `torch._dynamo`; loads the real module as soon as anything but these two functions is asked of it."""

    @staticmethod
    def disable(function: Callable, recursive: bool = True, wrapping: bool = True) -> Callable:
        """Nothing is compiled yet, so the function itself is what is not compiled."""
        return function

    @staticmethod
    def graph_break(message: str = "") -> None:
        """End the compiled part here; there is none."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":  # `inspect` asks every module for its `__file__`
            raise AttributeError(name)
        return getattr(load(), name)


def postpone() -> None:
    """Let `import torch._dynamo` give a stand-in, unless the compiler is loaded already."""
    sys.modules.setdefault(NAME, Postponed(NAME))


def load() -> ModuleType:
    """Import the compiler in earnest."""
    if isinstance(sys.modules.get(NAME), Postponed):
        del sys.modules[NAME]
    return importlib.import_module(NAME)
