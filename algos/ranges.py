"""What a number of a study may be: the range of each hyper-parameter, and what to write instead of a wrong one."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from algos.hyper import Param, check_choices, check_types
from algos.own_files import check_own_files
from tasks.names import did_you_mean

MOST = 1_000_000_000
"""Largest integer where a hyper-parameter declares no limit."""


def check_values(owner: str, params: Mapping[str, Param], values: Mapping[str, Any]) -> None:
    """Raise ValueError unless each value belongs to a hyper-parameter of `owner`, in its type, range and choices.

    Files that a value names must be there.
    """
    for key, value in values.items():
        try:
            check_types(owner, params.values(), {key: value})
        except ValueError as error:
            raise ValueError(
                f"{error}{remedy(value) if key in params else did_you_mean(key, params)}"
            ) from error
        limit = broken_limit(params[key], value)
        if limit:
            raise ValueError(f"hyper-parameter {key} of {owner} must be {limit}, not {shown(value)}")
    check_choices(params.values(), values)
    check_own_files(owner, params, values)


def broken_limit(param: Param, value: Any) -> str:
    """The limit that a value breaks, in words; empty where it breaks none.

    A number must be finite, and more than 0 unless `least` or a default of 0 says otherwise.
    """
    if param.type in (str, bool) or value is None:
        return ""
    if not _finite(value):
        return "a finite number"
    least = 0 if param.least is None and param.default == 0 else param.least
    most = MOST if param.most is None and param.type is not float else param.most
    if least is None and value <= 0:
        return "more than 0"
    if least is not None and value < least:
        return f"at least {least}"
    return f"at most {most}" if most is not None and value > most else ""


def shown(value: Any) -> str:
    """The value as it stands in a message, cut where it is long."""
    text = _repr(value)
    return text if len(text) <= 80 else f"{text[:60]} ... ({len(text)} characters)"


def remedy(value: Any) -> str:
    """What to write in place of a value that YAML takes for something else: `1e-3` is a text, `4.0` no integer."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return f"; write {int(value)}"
    number = _number(value) if isinstance(value, str) else None
    if number is None or not isfinite(number):
        return ""
    whole = number.is_integer() and not {"e", "E", "."} & set(value)
    return f", which YAML takes for a text; write {int(number) if whole else _yaml(number, value)}"


def _yaml(number: float, text: str) -> str:
    """`1e-3` -> `1.0e-3`: YAML needs the point and the sign of the exponent."""
    mantissa, _, exponent = text.strip().lower().partition("e")
    if not exponent:
        return repr(number)
    sign = "" if exponent[0] in "+-" else "+"
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{sign}{exponent}"


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _finite(value: float) -> bool:
    try:
        return isfinite(value)
    except OverflowError:  # an integer beyond the range of floats
        return True


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except (ValueError, RecursionError):  # an integer of more than 4,300 digits, a list that contains itself
        return f"a {type(value).__name__} that is too long to show"
