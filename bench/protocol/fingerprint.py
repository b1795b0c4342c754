"""The files behind a job: ONE list, for Snakemake's inputs and for the fingerprint of a checkpoint.

Read from the syntax trees alone: importing this module loads neither torch nor any algorithm.
"""

import ast
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from algos.literals import read
from bench.paths import ROOT, modules_in
from bench.protocol.own_code import existing, is_own, named_files, own_modules
from tasks.catalogue import REGRESSION

FOUND_BY_NAME = modules_in.__name__
"""Call whose literal argument is a package: its files are found by name, and count as imported."""
OWN_NETWORKS = ROOT / "algos" / "nets" / "own.py"
"""Code that trainings load only for an own network."""
FUNCTION_SOURCE = ROOT / "bench" / "protocol" / "function_source.py"
"""Code that trainings load only for generated tasks."""
IMPORTERS = ("import_module", "__import__")
"""Calls that import the module whose name is their first argument."""
HOLDS_STATEMENTS = (ast.stmt, ast.excepthandler, ast.match_case)


def code_files(
    verb: str,
    algorithm: str | None = None,
    hyper_parameters: Mapping[str, Any] | None = None,
    dataset: str | None = None,
) -> list[Path]:
    """Return the files behind a job of a verb (`train`, `test`, `report`, ...), of an algorithm, a pretraining or an own file.

    Editing one of them repeats the job and makes its checkpoint void; editing any other file does neither. An own file
    counts with the files that it names, such as weights; so does a file that a hyper-parameter of the study names.
    dataset: the code of generated tasks counts where their name is given. Paths are absolute. FileNotFoundError where
    there is no such verb or algorithm.
    """
    files = set(_verb_files(verb))
    if algorithm:
        files |= set(closure(algorithm_file(algorithm)))
    if dataset in REGRESSION:
        files |= set(closure(FUNCTION_SOURCE))
    texts = [value for value in (hyper_parameters or {}).values() if isinstance(value, str)]
    return sorted(files | {found for text in texts for found in _named(text)})


@cache
def _verb_files(verb: str) -> tuple[Path, ...]:
    """Files behind a verb, without those of an algorithm."""
    jobs = [path for path in [ROOT / "bench" / "protocol" / f"{verb}.py"] if path.exists()]
    return tuple(closure(jobs[0] if jobs else _only(f"bench/*/{verb}.py", f"verb {verb!r}")))


def _named(text: str) -> list[Path]:
    """Files that a hyper-parameter names: weights, or an own network (`my/net.py:build`) with all that it imports."""
    network = text.rpartition(":")[0]
    if network.endswith(".py") and existing(network, Path()):
        return [*closure(network), *closure(OWN_NETWORKS)]
    return existing(text, Path())


def algorithm_file(algorithm: str) -> Path:
    """Return the file of an algorithm or pretraining by its name; the path of an own file stands for itself."""
    if algorithm.endswith(".py"):
        return Path(algorithm).resolve()
    return _only(f"algos/*/{algorithm}.py", f"algorithm {algorithm!r}")


def code_digest(
    verb: str,
    algorithm: str | None = None,
    hyper_parameters: Mapping[str, Any] | None = None,
    dataset: str | None = None,
) -> str:
    """Return the digest of the content of `code_files`."""
    return content_digest(code_files(verb, algorithm, hyper_parameters, dataset))


def content_digest(files: Iterable[Path], digest_of: Callable[[Path], bytes] | None = None) -> str:
    """Return the digest of the content of some files. digest_of: digest of one file, by default read anew.

    The project's files count in their order. Own files may lie before or after the project, so where they lie does not count.
    """
    digest, files = digest_of or file_digest, list(files)
    ours = [digest(file) for file in files if not is_own(file)]
    return hashlib.sha256(
        b"".join([*ours, *sorted(digest(file) for file in files if is_own(file))])
    ).hexdigest()


def file_digest(path: Path) -> bytes:
    """Return the digest of the content of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def closure(path: str | Path) -> list[Path]:
    """Return a Python file and every file that it imports, directly or not: those of the project, and those of own code.

    Own code is what lies outside the project's rooms; the files that it names count, too.
    """
    found: set[Path] = set()
    waiting = [Path(path).resolve()]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            if file.suffix == ".py":
                waiting += _imported(file)
    return sorted(found)


def _only(pattern: str, what: str) -> Path:
    found = sorted(path for path in ROOT.glob(pattern) if path.parent.name != "nets")
    if not found:
        raise FileNotFoundError(f"there is no {what}: no file {pattern} in {ROOT}")
    return found[0]


@cache
def _imported(path: Path) -> list[Path]:
    """Files that one file imports, finds by name or, in own code, names."""
    source, own = path.read_bytes(), is_own(path)
    tree = ast.parse(source, str(path)) if own else read(path).tree
    calls = not source.isascii() or any(name.encode() in source for name in (FOUND_BY_NAME, *IMPORTERS))
    names = _names(tree, path, calls)
    if not own:
        return [file for name in names for file in _files(name)]
    imported = [file for name in names for file in (*_files(name), *own_modules(name, path))]
    return [*imported, *named_files(tree, path.parent)]


def _names(tree: ast.AST, path: Path, calls: bool) -> Iterator[str]:
    """Dotted names that a syntax tree imports: `from a import b` counts as `a` and `a.b`. Types alone do not count.

    calls: look into expressions, too, which are nine tenths of a tree, for calls that import.
    """
    waiting = [tree]
    for node in waiting:  # grows while it is read
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(filter(None, [_package(path, node.level), node.module]))
            yield from (base, *(f"{base}.{alias.name}" for alias in node.names))
        elif isinstance(node, ast.Call):
            yield from _called(node)
        typing_only = isinstance(node, ast.If) and getattr(node.test, "id", None) == "TYPE_CHECKING"
        below = node.orelse if typing_only else ast.iter_child_nodes(node)
        waiting += below if calls else [child for child in below if isinstance(child, HOLDS_STATEMENTS)]


def _called(node: ast.Call) -> Iterator[str]:
    """Modules that a call finds by file name, or imports."""
    called = getattr(node.func, "id", getattr(node.func, "attr", None))
    literals = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
    if called == FOUND_BY_NAME:
        yield from (name for package in literals for name in modules_in(package))
    elif called in IMPORTERS and literals and isinstance(literals[0], str):
        yield literals[0]


def _package(path: Path, level: int) -> str:
    """Dotted package that a relative import of `level` dots starts from; empty for an absolute import."""
    if not level or not path.is_relative_to(ROOT):
        return ""
    return ".".join(path.relative_to(ROOT).parts[:-level])


def _files(module: str) -> list[Path]:
    """The file of a module of the project. A package's `__init__` only describes or finds files, and does not count."""
    if not module.isascii() or module.startswith("."):
        return []
    path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
    return [path] if path.exists() else []
