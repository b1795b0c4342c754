"""Hyper-parameters: how an algorithm declares them, and the checks of their values. Needs no torch."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

ALLOWED = {
    int: ("an integer", int),
    float: ("a number", int, float),
    str: ("a text", str),
    bool: ("true or false", bool),
    (int | None): ("an integer or null", int, type(None)),
}
"""The values that a hyper-parameter takes, in words and as Python types, by the type it is declared with."""


OWN = "FILE.py:FUNCTION"
"""Choice that stands for any function of an own file, such as `my/net.py:build`."""


class Param(NamedTuple):
    """One hyper-parameter as it is declared. doc: its meaning and unit; choices: allowed values, or None for any.

    least, most: smallest and largest number; algos/ranges.py says what holds where none is given.
    """

    name: str
    type: Any
    default: Any
    doc: str
    choices: tuple | None = None
    least: float | None = None
    most: float | None = None


def hyper(default: Any, doc: str, choices: tuple | None = None, **limits: float) -> Any:
    """Declare a hyper-parameter with its meaning, its allowed values and limits (`least`, `most`)."""
    return field(default=default, metadata={"doc": doc, "choices": choices, **limits})


@dataclass(frozen=True)
class HyperParameters:
    """Base of an algorithm's hyper-parameters: checked, immutable, each declared with `hyper`."""

    def __post_init__(self) -> None:
        check_choices(self.declared(), vars(self))

    @classmethod
    def declared(cls) -> list[Param]:
        """The hyper-parameters in the order of their declaration."""
        return [Param(entry.name, entry.type, entry.default, **entry.metadata) for entry in fields(cls)]

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
        words, *allowed = ALLOWED[known[key].type]
        if not isinstance(value, tuple(allowed)) or (isinstance(value, bool) and bool not in allowed):
            raise ValueError(f"hyper-parameter {key} of {owner} must be {words}, not {value!r}")


def check_choices(declared: Iterable[Param], values: dict[str, Any]) -> None:
    """Raise ValueError where a value is not among the choices of its hyper-parameter."""
    for param in declared:
        value = values.get(param.name, param.default)
        own = OWN in (param.choices or ()) and isinstance(value, str) and ".py:" in value
        if param.choices and value not in param.choices and not own:
            known = ", ".join(map(str, param.choices))
            raise ValueError(f"hyper-parameter {param.name}: {value!r} is not one of {known}")


def preset(presets: dict[str, dict[str, Any]], words: set[str]) -> dict[str, Any]:
    """Values of all presets whose words (`omniglot 20way`) are among those of a task; the more specific one wins."""
    matching = [key for key in presets if set(key.split()) <= words]
    return {
        name: v for key in sorted(matching, key=lambda k: len(k.split())) for name, v in presets[key].items()
    }
