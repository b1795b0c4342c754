"""What is compared: one file per algorithm. Discovery is by file name; there is no list to maintain."""

import ast
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


def sources(algorithm: str) -> list[Path]:
    """The algorithm's (or pretraining's) file and every file of this repository that it imports, directly or not.

    What a trained model depends on: the DAG's inputs, and part of a checkpoint's fingerprint.
    """
    start = Path(algorithm) if algorithm.endswith(".py") else (discover() | pretrainings())[algorithm]
    found: dict[Path, None] = {}
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found[path] = None
            waiting += [file for module in _imports(path) for file in _module_files(module)]
    return sorted(found)


def _imports(path: Path) -> list[str]:
    """Dotted names that a file imports (`from a import b` counts as `a` and `a.b`)."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def _module_files(module: str) -> list[Path]:
    """The file of a module of ours; packages' own __init__ files carry no behaviour and do not count."""
    if module.split(".")[0] not in ("algos", "tasks", "bench"):
        return []
    path = FOLDER.parent.joinpath(*module.split(".")).with_suffix(".py")
    return [path] if path.exists() else []
