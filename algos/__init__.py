"""What is compared: one file per algorithm. Discovery is by file name; there is no list to maintain."""

import importlib.util
import inspect
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from algos.cards import Card, card_of, read_card
from algos.literals import NotLiteral
from tasks.names import did_you_mean

if TYPE_CHECKING:
    from algos.base import MetaLearner

FOLDER = Path(__file__).parent
FAMILIES = ("model", "optimization", "metric", "baseline")


def discover() -> dict[str, Path]:
    """File of each algorithm by its name (the file's stem)."""
    files = (path for family in FAMILIES for path in sorted((FOLDER / family).glob("*.py")))
    return {path.stem: path for path in files if not path.stem.startswith("_")}


def pretrainings() -> dict[str, Path]:
    """File of each pretraining, a training that algorithms share (`MetaLearner.pretraining`), by its name."""
    return {
        path.stem: path for path in sorted((FOLDER / "pretraining").glob("*.py")) if path.stem != "__init__"
    }


@cache
def name_of(algorithm: str) -> str:
    """`protonet` -> `protonet`; `my/own/learner.py` -> `learner`."""
    return Path(algorithm).stem


def card(algorithm: str) -> Card:
    """Facts and hyper-parameters of an algorithm, or of any Python file; the file is run only where it computes them.

    Errors as in `load`.
    """
    path = _file(algorithm)
    try:
        return read_card(path)
    except NotLiteral:
        return _card_of(load(algorithm), path)


def pretraining_card(name: str) -> Card:
    """Facts and hyper-parameters of a pretraining. ValueError names what is known."""
    path = _pretraining_file(name)
    try:
        return read_card(path)
    except NotLiteral:
        return _card_of(load_pretraining(name), path)


def _card_of(learner: type["MetaLearner"], path: Path) -> Card:
    return card_of(learner, path, inspect.getmodule(learner).__doc__)


def load(algorithm: str) -> type["MetaLearner"]:
    """Class of an algorithm by its name, or the class in any Python file outside `algos/`.

    ValueError names what is known; FileNotFoundError the file that does not exist.
    """
    path = _file(algorithm)
    if algorithm.endswith(".py"):
        return _only_learner(_import_file(path))
    return _only_learner(importlib.import_module(f"algos.{path.parent.name}.{algorithm}"))


def load_pretraining(name: str) -> type["MetaLearner"]:
    """Class of a pretraining. ValueError names what is known."""
    return _only_learner(importlib.import_module(f"algos.pretraining.{_pretraining_file(name).stem}"))


def _file(algorithm: str) -> Path:
    if algorithm.endswith(".py"):
        if not Path(algorithm).exists():
            raise FileNotFoundError(f"algorithm file {algorithm} does not exist")
        return Path(algorithm)
    known = discover()
    if algorithm not in known:
        raise ValueError(
            f"no algorithm {algorithm!r}{did_you_mean(algorithm, known)}; "
            f"known: {', '.join(sorted(known))} (or give the path of a file)"
        )
    return known[algorithm]


def _pretraining_file(name: str) -> Path:
    known = pretrainings()
    if name not in known:
        raise ValueError(f"no pretraining {name!r}; known: {', '.join(known)}")
    return known[name]


def _import_file(path: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location(f"_external_{path.stem}", path)
    module = importlib.util.module_from_spec(specification)
    sys.modules[module.__name__] = module
    sys.path.append(str(path.resolve().parent))  # own modules beside the file
    specification.loader.exec_module(module)
    return module


def _only_learner(module: ModuleType) -> type["MetaLearner"]:
    from algos.base import MetaLearner

    found = [
        item
        for item in vars(module).values()
        if inspect.isclass(item) and issubclass(item, MetaLearner) and item.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise ValueError(f"{module.__file__} must hold exactly one MetaLearner, not {len(found)}")
    return found[0]
