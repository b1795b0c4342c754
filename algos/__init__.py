"""What is compared: one file per algorithm. Discovery is by file name; there is no list to maintain."""

import importlib.util
import inspect
import sys
from pathlib import Path

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


def load_pretraining(name: str) -> type[MetaLearner]:
    if name not in pretrainings():
        raise ValueError(f"no pretraining {name!r}; known: {', '.join(pretrainings())}")
    return _only_learner(importlib.import_module(f"algos.pretraining.{name}"))


def name_of(algorithm: str) -> str:
    """`protonet` -> `protonet`; `my/own/learner.py` -> `learner`."""
    return Path(algorithm).stem


def load(algorithm: str) -> type[MetaLearner]:
    """The class in the named algorithm's file, or in any Python file outside `algos/`."""
    if algorithm.endswith(".py"):
        return _only_learner(_import_file(Path(algorithm)))
    known = discover()
    if algorithm not in known:
        raise ValueError(
            f"no algorithm {algorithm!r}; known: {', '.join(sorted(known))} (or give the path of a file)"
        )
    return _only_learner(importlib.import_module(f"algos.{known[algorithm].parent.name}.{algorithm}"))


def _import_file(path: Path):
    if not path.exists():
        raise FileNotFoundError(f"algorithm file {path} does not exist")
    specification = importlib.util.spec_from_file_location(f"_external_{path.stem}", path)
    module = importlib.util.module_from_spec(specification)
    sys.modules[module.__name__] = module
    specification.loader.exec_module(module)
    return module


def _only_learner(module) -> type[MetaLearner]:
    found = [
        item
        for item in vars(module).values()
        if inspect.isclass(item) and issubclass(item, MetaLearner) and item.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise ValueError(f"{module.__file__} must hold exactly one MetaLearner, not {len(found)}")
    return found[0]
