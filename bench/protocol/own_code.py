"""Files behind an algorithm that lies outside the project's rooms: what it imports, and the files that it names."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from bench.paths import ROOT

ROOMS = ("algos", "bench", "tasks")
JOINED_BY = ("Path", "joinpath", "join")
"""Calls that make one path of their arguments."""
LONGEST = 1_000
"""Characters up to which a text may be the name of a file."""


@cache  # a study asks of each file once per algorithm, and paths are slow to compare
def is_own(path: Path) -> bool:
    """Whether a file lies outside the rooms of the project."""
    return not (path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in ROOMS)


def own_modules(module: str, importer: Path) -> list[Path]:
    """Files of a module beside the file that imports it, or below the project or the working folder.

    A package's `__init__.py` counts: own packages may do anything there. Installed packages do not.
    """
    found = []
    for folder in (importer.parent, Path.cwd(), ROOT):
        for name in filter(None, module.split(".")):
            folder = folder / name
            found += [
                path for path in (folder.with_name(f"{name}.py"), folder / "__init__.py") if _is_file(path)
            ]
    return [path.resolve() for path in found if is_own(path.resolve())]


def named_files(tree: ast.AST, folder: Path) -> set[Path]:
    """Files that a syntax tree names in its texts, as paths from the folder of its file or from the working folder.

    `Path("weights.pt")`, `HERE / "data" / "weights.pt"` and `files = ["weights.pt"]` all name a file.
    """
    texts = [
        text for text in _texts(tree) if "." in text[1:]
    ]  # files have a suffix; other words are seldom files
    return {path for text in texts for path in (*existing(text, folder), *existing(text, Path()))}


def existing(text: str, folder: Path) -> list[Path]:
    """The file that a text names from a folder, if there is one."""
    if not text or len(text) > LONGEST or not text.isprintable():
        return []
    try:
        path = folder / Path(text).expanduser()
    except RuntimeError:  # `~name` of no user
        return []
    return [path.resolve()] if _is_file(path) else []


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long a name, or a text that is no path
        return False


def _texts(tree: ast.AST) -> Iterator[str]:
    """The texts in a syntax tree, alone and joined by `/`, `Path(...)` and `os.path.join(...)`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            yield "/".join(_parts(node))
        elif isinstance(node, ast.Call):
            called = getattr(node.func, "id", getattr(node.func, "attr", None))
            if called in JOINED_BY:
                yield "/".join(part for argument in node.args for part in _parts(argument))


def _parts(node: ast.AST) -> list[str]:
    """Texts joined by `/`, without parts that only a running program knows."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        return [*_parts(node.left), *_parts(node.right)]
    if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "Path":
        return [part for argument in node.args for part in _parts(argument)]
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []
