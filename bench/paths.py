"""Where the project lies, and where results and reports go."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""Folder of the project."""


def results_root() -> Path:
    """Folder of results (env RESULTS_ROOT, default `results`)."""
    return Path(os.environ.get("RESULTS_ROOT", "results"))


def reports_root() -> Path:
    """Folder of reports (env REPORTS_ROOT, default `reports`)."""
    return Path(os.environ.get("REPORTS_ROOT", "reports"))
