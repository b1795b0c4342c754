"""Read a YAML file that a person wrote: whatever is in it, there is a plain value or one ValueError that names the place."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from bench.study.strict_yaml import StrictLoader

DEEPEST, LARGEST = 20, 100_000
"""Levels of lists and mappings, and values, that a file may have; anchors repeat values."""
PLAIN = (str, int, float, bool, type(None))


def read_yaml(path: Path) -> Any:
    """The value of a YAML file in UTF-8. ValueError names the file, the line where there is one, and the remedy."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + error.object.count(b"\n", 0, error.start)
        raise ValueError(
            f"{path} is no UTF-8 text (byte {error.object[error.start]:#04x} in line {line}): save it as UTF-8"
        ) from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, origin: str) -> Any:
    """The value of a YAML text. ValueError names its origin, the line where there is one, and the remedy."""
    try:
        return yaml.load(text, StrictLoader)  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ValueError(f"{origin} is not valid YAML: {place}{error.problem or error.context}") from error
    except RecursionError as error:
        raise ValueError(f"{origin}: its lists and mappings are nested too deeply") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # `2001-13-45` is a date to YAML
        raise ValueError(f"{origin} is not valid YAML: {' '.join(str(error).split())}") from error


def check_plain(value: Any, origin: str) -> None:
    """Raise ValueError unless a study can hold the value: of few levels, of plain types, of text that can be shown."""
    for count, (place, item) in enumerate(_walk(value, ())):
        where = f"{origin}: {'.'.join(place) or '(top level)'}"
        if count > LARGEST:
            raise ValueError(f"{origin}: more than {LARGEST} values; anchors may repeat them")
        if len(place) > DEEPEST:
            raise ValueError(
                f"{origin}: {'.'.join(place[:3])}...: more than {DEEPEST} levels of lists and mappings"
            )
        if isinstance(item, str) and (bad := [sign for sign in item if _unprintable(sign)]):
            raise ValueError(
                f"{where}: the text holds the character {bad[0]!r}, which cannot be shown; remove it"
            )
        if not isinstance(item, PLAIN + (dict, list, tuple)):
            kind = type(item).__name__
            raise ValueError(
                f"{where}: {kind} is no type of a study; write a list, a number or a text (in quotes)"
            )


def _walk(value: Any, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value with the keys that lead to it, keys included. A value inside itself ends at the level that is too deep."""
    yield place, value
    if len(place) > DEEPEST:
        return
    if isinstance(value, dict):
        for key, item in value.items():
            yield place, key
            yield from _walk(item, (*place, str(key)[:40]))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _walk(item, (*place, str(number)))


def _unprintable(sign: str) -> bool:
    """A control character other than the ends of lines and tabs, or half of a pair (`\\ud800`)."""
    return (
        (sign < " " and sign not in "\n\r\t")
        or "\x7f" <= sign < "\xa0"
        or "\ud800" <= sign <= "\udfff"
        or sign in "\ufffe\uffff"
    )
