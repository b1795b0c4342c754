"""Hyper-parameters: how an algorithm declares them, and the checks of their values. Needs no torch."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

ALLOWED = {int: (int,), float: (int, float), str: (str,), bool: (bool,), (int | None): (int, type(None))}
"""Python types of the values that a hyper-parameter takes, by the type it is declared with."""


class Param(NamedTuple):
    """One hyper-parameter as it is declared. doc: its meaning and unit; choices: allowed values, or None for any."""

    name: str
    type: Any
    default: Any
    doc: str
    choices: tuple | None


def hyper(default: Any, doc: str, choices: tuple | None = None) -> Any:
    """Declare a hyper-parameter with its meaning and its allowed values, as `python -m bench list NAME` shows them."""
    return field(default=default, metadata={"doc": doc, "choices": choices})


@dataclass(frozen=True)
class HyperParameters:
    """Base of an algorithm's hyper-parameters: checked, immutable, each declared with `hyper`."""

    def __post_init__(self) -> None:
        check_choices(self.declared(), vars(self))

    @classmethod
    def declared(cls) -> list[Param]:
        """The hyper-parameters in the order of their declaration."""
        facts = ((entry, entry.metadata) for entry in fields(cls))
        return [
            Param(entry.name, entry.type, entry.default, meta.get("doc", ""), meta.get("choices"))
            for entry, meta in facts
        ]

    def override(self, owner: str, values: dict[str, Any]) -> "HyperParameters":
        """Return a copy with some values replaced. ValueError names an unknown key or a wrong value."""
        check_types(owner, self.declared(), values)
        return replace(self, **values)


def check_types(owner: str, declared: Iterable[Param], values: dict[str, Any]) -> None:
    """Raise ValueError unless each value belongs to a declared hyper-parameter of `owner` and has its type."""
    known = {param.name: param for param in declared}
    for key, value in values.items():
        if key not in known:
            raise ValueError(f"{owner} has no hyper-parameter {key!r}; it has {', '.join(sorted(known))}")
        allowed = ALLOWED[known[key].type]
        if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
            kind = getattr(known[key].type, "__name__", known[key].type)
            raise ValueError(f"hyper-parameter {key} of {owner} must be {kind}, not {value!r}")


def check_choices(declared: Iterable[Param], values: dict[str, Any]) -> None:
    """Raise ValueError where a value is not among the choices of its hyper-parameter."""
    for param in declared:
        value = values.get(param.name, param.default)
        if param.choices and value not in param.choices:
            raise ValueError(
                f"hyper-parameter {param.name}: {value!r} is not one of {', '.join(map(str, param.choices))}"
            )
