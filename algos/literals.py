"""Values and classes of Python files, read from their syntax trees: no file is run, so none imports torch.

Names are followed through the project's imports, attributes through the bases of a class. `NotLiteral` says that only
running the file would tell.
"""

import ast
import builtins
import operator
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from math import inf
from pathlib import Path
from typing import Any, Optional

ROOT = Path(__file__).resolve().parents[1]
OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
    ast.BitOr: operator.or_,
    ast.USub: operator.neg,
    ast.Not: operator.not_,
}


class NotLiteral(Exception):
    """The value is no literal."""


class External:
    """Something of a package that is not the project's, such as `torch.nn`."""


@dataclass
class Module:
    """A file. names: what its top level defines, None where that is no plain definition, or not the only one.

    values, kinds: those that have been asked for, so that each is evaluated once.
    """

    path: Path
    tree: ast.Module
    names: dict[str, ast.stmt | None] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    kinds: dict[ast.ClassDef, "Class"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for node in self.tree.body:
            for name, plain in _defined(node):
                self.names[name] = node if plain and name not in self.names else None

    def lookup(self, name: str) -> Any:
        """Value of a name of the top level, or of a builtin."""
        if name in self.names:
            if name not in self.values:
                self.values[name] = _value(name, self.names[name], self, None)
            return self.values[name]
        if hasattr(builtins, name):
            return getattr(builtins, name)
        raise NotLiteral(f"{self.path}: {name}")

    def classes(self) -> list["Class"]:
        """The classes of the top level."""
        return [self.kind(node) for node in self.names.values() if isinstance(node, ast.ClassDef)]

    def kind(self, node: ast.ClassDef, owner: Optional["Class"] = None) -> "Class":
        """The class that a statement of the file defines, in the body of another class if `owner` is given."""
        return self.kinds.setdefault(node, Class(self, node, owner))


@dataclass
class Class:
    """A class of a file. owner: the class in whose body it stands, if any."""

    module: Module
    node: ast.ClassDef
    owner: Optional["Class"] = None

    @property
    def identity(self) -> tuple[Path, str]:
        """File and name."""
        return self.module.path, self.node.name

    @cached_property
    def lineage(self) -> list["Class"]:
        """The class, its base, the base of that, ..., without those of other packages."""
        bases = [evaluate(base, self.module, self.owner) for base in self.node.bases]
        ours = [base for base in bases if isinstance(base, Class)]
        if len(ours) > 1 or self.node.keywords:
            raise NotLiteral(f"{self.module.path}: bases of {self.node.name}")
        return [self, *(ours[0].lineage if ours else [])]

    def own(self, name: str, above: float = inf) -> ast.stmt | None:
        """The last statement in the class's body, above a line, that gives a name its value."""
        found = [node for line, node in self._definitions.get(name, ()) if line < above]
        return found[-1] if found else None

    @cached_property
    def _definitions(self) -> dict[str, list[tuple[int, ast.stmt]]]:
        """Line and statement of each definition in the body, by name; `pass` stands for one that is not plain."""
        found: dict[str, list[tuple[int, ast.stmt]]] = {}
        for node in self.node.body:
            for name, plain in _defined(node):
                found.setdefault(name, []).append((node.lineno, node if plain else ast.Pass()))
        return found

    def lookup(self, name: str) -> Any:
        """Value of an attribute, its own or inherited."""
        for kind in self.lineage:
            node = kind.own(name)
            if node is not None:
                return _value(name, node, kind.module, kind)
        raise NotLiteral(f"{self.module.path}: {self.node.name}.{name}")


def read(path: Path) -> Module:
    """The file at a path. ValueError names the line of a syntax error."""
    status = path.stat()
    return _read(path.resolve(), status.st_mtime_ns, status.st_size)


@cache
def _read(path: Path, changed: int, size: int) -> Module:
    try:
        return Module(path, ast.parse(path.read_text(encoding="utf-8"), str(path)))
    except SyntaxError as error:
        raise ValueError(f"{path}, line {error.lineno}: {error.msg}") from error


def evaluate(node: ast.expr, module: Module, owner: Class | None = None) -> Any:
    """Value of an expression in a file, in the body of a class if `owner` is given."""
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            above = owner.own(node.id, node.lineno) if owner else None
            return _value(node.id, above, module, owner) if above else module.lookup(node.id)
        case ast.Attribute():
            return _attribute(evaluate(node.value, module, owner), node.attr)
        case ast.Tuple() | ast.List():
            return (tuple if isinstance(node, ast.Tuple) else list)(_items(node.elts, module, owner))
        case ast.Dict():
            pairs = zip(node.keys, node.values, strict=True)
            return _mapping([(key, value) for key, value in pairs], module, owner)
        case ast.Call(func=ast.Name(id="dict"), args=[]):
            keys = [ast.Constant(entry.arg) if entry.arg else None for entry in node.keywords]
            values = [entry.value for entry in node.keywords]
            return _mapping(list(zip(keys, values, strict=True)), module, owner)
        case ast.UnaryOp() if type(node.op) in OPERATORS:
            return OPERATORS[type(node.op)](evaluate(node.operand, module, owner))
        case ast.BinOp() if type(node.op) in OPERATORS:
            left, right = (evaluate(side, module, owner) for side in (node.left, node.right))
            return OPERATORS[type(node.op)](left, right)
    raise NotLiteral(f"{module.path}, line {node.lineno}")


def _items(nodes: list[ast.expr], module: Module, owner: Class | None) -> Iterator[Any]:
    for node in nodes:
        if isinstance(node, ast.Starred):
            yield from evaluate(node.value, module, owner)
        else:
            yield evaluate(node, module, owner)


def _mapping(pairs: list[tuple[ast.expr | None, ast.expr]], module: Module, owner: Class | None) -> dict:
    found = {}
    for key, node in pairs:
        value = evaluate(node, module, owner)
        found |= value if key is None else {evaluate(key, module, owner): value}  # no key: `**value`
    return found


def _attribute(value: Any, name: str) -> Any:
    if isinstance(value, Class | Module):
        return value.lookup(name)
    if isinstance(value, External):
        return value
    raise NotLiteral(f".{name}")


def _defined(node: ast.stmt) -> Iterator[tuple[str, bool]]:
    """Names that a statement sets, each with: is its value plain to see, an import, a class or `name = value`?"""
    match node:
        case ast.ClassDef():
            yield node.name, True
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield node.name, False
        case ast.Import() | ast.ImportFrom():
            yield from ((alias.asname or alias.name.split(".")[0], True) for alias in node.names)
        case ast.AnnAssign():
            if node.value is not None and isinstance(node.target, ast.Name):
                yield node.target.id, True
        case _:
            plain = isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
            for inner in ast.walk(node):
                if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                    yield inner.id, plain
                elif inner is not node and isinstance(inner, ast.stmt):
                    yield from ((name, False) for name, _ in _defined(inner))


def _value(name: str, node: ast.stmt | None, module: Module, owner: Class | None) -> Any:
    """Value that a statement gives to a name."""
    match node:
        case ast.ClassDef():
            return module.kind(node, owner)
        case ast.Assign() | ast.AnnAssign():
            return evaluate(node.value, module, owner)
        case ast.Import():
            return External()
        case ast.ImportFrom(level=0):
            original = next(alias.name for alias in node.names if name == (alias.asname or alias.name))
            return _imported(node.module, original)
    raise NotLiteral(f"{module.path}: {name}")


def _imported(package: str, name: str) -> Any:
    """`from package import name`"""
    if package.split(".")[0] not in ("algos", "tasks", "bench"):
        return External()
    file, submodule = (
        ROOT.joinpath(*p.split(".")).with_suffix(".py") for p in (package, f"{package}.{name}")
    )
    if submodule.exists():
        return read(submodule)
    if file.exists():
        return read(file).lookup(name)
    raise NotLiteral(f"{package}.{name}")
