"""Files that hyper-parameters name, looked for when a study is read: a missing one must not cost the trainings before it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from algos.hyper import OWN, Param

WEIGHTS = "weights"
"""Hyper-parameter whose value is a file of weights."""


def check_own_files(owner: str, params: Mapping[str, Param], values: Mapping[str, Any]) -> None:
    """Raise ValueError unless the files of own networks (`my/net.py:build`) and weights are there."""
    for key, value in values.items():
        if not isinstance(value, str) or not value:
            continue
        own = OWN in (params[key].choices or ()) and ".py:" in value
        file = value.rpartition(":")[0] if own else value
        if (own or key == WEIGHTS) and not Path(file).is_file():
            raise ValueError(
                f"hyper-parameter {key} of {owner}: there is no file {file} in {Path.cwd()}; "
                "give its path from the folder in which the command runs, or in full"
            )
