"""Where the project lies, and where results and reports go."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""Folder of the project."""

CHECKPOINT = "checkpoint.pt"
"""File in a run's folder from which a training resumes; it is removed when the training ends."""
CHECKPOINT_SECONDS = 30.0
"""Seconds between two checkpoints of a training."""


def results_root() -> Path:
    """Folder of results (env RESULTS_ROOT, default `results`)."""
    return Path(os.environ.get("RESULTS_ROOT", "results"))


def modules_in(package: str) -> list[str]:
    """Dotted names of a package's modules, found by file name (`_private.py` and `__init__.py` left out), sorted.

    Call it with a literal: bench/protocol/fingerprint.py then counts these files as imported by the caller.
    """
    folder = ROOT.joinpath(*package.split("."))
    return [f"{package}.{path.stem}" for path in sorted(folder.glob("[!_]*.py"))]
