"""What an algorithm's file says about itself: its facts and its hyper-parameters, without running it.

A study, its plan and its report need these of every algorithm; running all files would import torch, which takes seconds.
"""

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algos.hyper import Param, preset
from algos.literals import Class, NotLiteral, evaluate, read
from algos.ranges import check_values

FOLDER = Path(__file__).resolve().parent
LEARNER = (FOLDER / "base.py", "MetaLearner")
FACTS = (
    *("title", "family", "citation", "tasks", "modes", "paper_mode"),
    *("trainable", "pretraining", "yardstick", "any_way", "test_steps", "presets", "stated"),
)
"""Attributes of a learner's class that its card repeats; algos/base.py explains them."""


@dataclass(frozen=True)
class Card:
    """Facts about an algorithm or a pretraining, as its class has them, and its hyper-parameters.

    doc: docstring of the file. A learner's instance may narrow `any_way` and set `test_steps` by its hyper-parameters.
    """

    name: str
    title: str
    family: str
    citation: str
    tasks: tuple[str, ...]
    modes: tuple[str, ...]
    paper_mode: str
    trainable: bool
    pretraining: str | None
    yardstick: bool
    any_way: bool
    test_steps: int | None
    presets: dict[str, dict[str, Any]]
    stated: tuple[str, ...]
    doc: str
    path: Path
    params: dict[str, Param]

    def check(self, owner: str, values: dict[str, Any]) -> None:
        """Raise ValueError unless these are hyper-parameters of the algorithm, of the right type and in their range.

        owner: the name in the message, that of the algorithm or of a variant.
        """
        check_values(owner, self.params, values)

    def resolved(self, words: set[str], overrides: dict[str, Any]) -> dict[str, Any]:
        """Hyper-parameters for a task, as `MetaLearner.resolve` gives them. words: `omniglot`, `5way`, `1shot`."""
        defaults = {name: param.default for name, param in self.params.items()}
        return defaults | preset(self.presets, words) | overrides


def read_card(path: Path) -> Card:
    """The card of the only learner in a file. NotLiteral where running the file is the only way to know it."""
    module = read(path)
    if any(_changes_an_object(node) for node in module.tree.body):
        raise NotLiteral(f"{path} changes an object after its definition")
    found = [kind for kind in module.classes() if LEARNER in {base.identity for base in kind.lineage}]
    if len(found) != 1 or found[0].node.decorator_list:
        raise NotLiteral(f"{path} holds {len(found)} learners")
    facts = {name: found[0].lookup(name) for name in FACTS}
    params = found[0].lookup("Params")
    if not isinstance(params, Class) or not all(_is_literal(value) for value in facts.values()):
        raise NotLiteral(f"{path}: a fact is not literal")
    doc = ast.get_docstring(module.tree, clean=False) or ""
    return Card(path.stem, **facts, doc=doc, path=path, params=_declared(params))


def card_of(learner: type, path: Path, doc: str | None) -> Card:
    """The card of a learner's class that has been imported."""
    facts = {name: getattr(learner, name) for name in FACTS}
    params = {param.name: param for param in learner.Params.declared()}
    return Card(path.stem, **facts, doc=doc or "", path=path, params=params)


def _changes_an_object(node: ast.stmt) -> bool:
    """`MAML.title = ...` at the top level of a file."""
    targets = getattr(node, "targets", [getattr(node, "target", None)])
    return any(isinstance(target, ast.Attribute) for target in targets)


def _is_literal(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_is_literal, value))
    if isinstance(value, dict):
        return all(map(_is_literal, [*value, *value.values()]))
    return value is None or isinstance(value, str | int | float)


def _declared(params: Class) -> dict[str, Param]:
    """Fields of a dataclass of hyper-parameters: the bases' first, each where it was declared first."""
    found: dict[str, Param] = {}
    for kind in reversed(params.lineage):
        entries = [node for node in kind.node.body if isinstance(node, ast.AnnAssign)]
        if entries and not any("dataclass" in ast.dump(decorator) for decorator in kind.node.decorator_list):
            raise NotLiteral(f"{kind.module.path}: {kind.node.name} is no dataclass")
        for node in entries:
            param = _param(node, kind)
            found[param.name] = param
    return found


def _param(node: ast.AnnAssign, kind: Class) -> Param:
    """`name: type = hyper(default, doc, choices, least=0, most=1)`"""
    call = node.value
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "hyper"):
        raise NotLiteral(f"{kind.module.path}, line {node.lineno}")
    names = ("default", "doc", "choices", "least", "most")
    given = dict(zip(names[:3], call.args, strict=False)) | {
        entry.arg: entry.value for entry in call.keywords
    }
    values = {name: evaluate(value, kind.module, kind) for name, value in given.items()}
    if not set(values) <= set(names) or not all(map(_is_literal, values.values())):
        raise NotLiteral(f"{kind.module.path}, line {node.lineno}")
    annotation = evaluate(node.annotation, kind.module, kind)
    return Param(node.target.id, annotation, **values)
