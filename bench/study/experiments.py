"""The experiments that a study may switch on, as the files of bench/protocol/experiments/ declare them.

Each file holds two literals: `SETTING`, a JSON-schema fragment of its key under `experiments` of a study, and `TITLES`,
the report's label of each kind of test tasks. They are read from the syntax tree: an experiment imports torch.
"""

import ast
from functools import cache
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field, create_model

from bench.paths import ROOT
from bench.study.fields import Distinct, Part

FOLDER = ROOT / "bench" / "protocol" / "experiments"
TYPES = {"boolean": bool, "integer": int, "number": float, "string": str}


class Declared(NamedTuple):
    """What an experiment's file declares. setting: of the key with the file's name; titles: by name of the test tasks."""

    setting: dict[str, Any]
    titles: dict[str, str]


@cache
def declared() -> dict[str, Declared]:
    """Setting and titles of each experiment, by its key under `experiments`. ValueError names a file without them."""
    files = sorted(path for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))
    return {path.stem: _declared_in(path) for path in files}


def _declared_in(path: Path) -> Declared:
    found = {}
    for node in ast.parse(path.read_text(encoding="utf-8"), str(path)).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name in ("SETTING", "TITLES"):
                try:
                    found[name] = ast.literal_eval(node.value)
                except ValueError as error:
                    raise ValueError(f"{path}: {name} must be a literal: {error}") from error
    if "SETTING" not in found:
        raise ValueError(f"{path} declares no SETTING; see another experiment for an example")
    return Declared(found["SETTING"], found.get("TITLES", {}))


def _annotation(fragment: dict[str, Any]) -> Any:
    """The type that a JSON-schema fragment describes: a switch, an integer, a number, a text, or a list of these."""
    if fragment["type"] == "array":
        return Distinct[_annotation(fragment["items"])]
    limits = {"ge": fragment.get("minimum"), "le": fragment.get("maximum")}
    return Annotated[TYPES[fragment["type"]], Field(**{key: n for key, n in limits.items() if n is not None})]


class _Common(Part):
    """Tasks unlike those of meta-training, each tested in the reported mode of an algorithm."""

    episodes: Annotated[int, Field(ge=2)] = 300
    """Test episodes of each experiment."""


def _field(setting: dict[str, Any]) -> tuple[Any, Any]:
    default = tuple(setting["default"]) if setting["type"] == "array" else setting["default"]
    return _annotation(setting), Field(default=default, description=setting["description"])


Experiments = create_model(
    "Experiments",
    __base__=_Common,
    __doc__=_Common.__doc__,
    **{key: _field(entry.setting) for key, entry in declared().items()},
)
"""The keys under `experiments` of a study."""
