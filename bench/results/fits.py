"""A quick check of records against the few words of JSON schema that they use: a study may have ten thousand of them."""

from collections.abc import Callable
from typing import Any

TYPES = {"object": {dict}, "string": {str}, "integer": {int}, "number": {int, float}, "null": {type(None)}}
WORDS = {"type", "enum", "minimum", "properties", "required", "additionalProperties"}
_CHECKS: dict[int, tuple[Callable[[Any], bool], dict[str, Any]]] = {}
"""Check of each schema, by the identity of the schema, which stands beside it so that it keeps its identity."""


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """Whether a value certainly fits a schema. False also where the schema says what this check does not know."""
    if id(schema) not in _CHECKS:
        _CHECKS[id(schema)] = (_check(schema), schema)
    return _CHECKS[id(schema)][0](value)


def _check(schema: dict[str, Any]) -> Callable[[Any], bool]:
    """Turn a schema into a function once: reading it again for every value takes most of the time."""
    types = _types(schema)
    allowed, least, required = (schema.get(word) for word in ("enum", "minimum", "required"))
    parts = schema.get("properties", {})
    plain = {
        key: (_types(part), part.get("minimum"))
        for key, part in parts.items()
        if {"type"} <= part.keys() <= {"type", "minimum"}
    }
    known = {key: _check(part) for key, part in parts.items() if key not in plain}
    others = _check(schema["additionalProperties"]) if "additionalProperties" in schema else None
    unknown, required = not schema.keys() <= WORDS, set(required or ())
    if types and schema.keys() == {"type"}:
        return lambda value: type(value) in types

    def check(value: Any) -> bool:
        if unknown or (types and type(value) not in types) or (allowed is not None and value not in allowed):
            return False
        if least is not None and value is not None and not value >= least:
            return False
        if not isinstance(value, dict):
            return True
        if not value.keys() >= required:
            return False
        for key, item in value.items():
            # Most values have no more than a type; a call for each would take twice the time.
            if key in plain:
                kinds, floor = plain[key]
                if type(item) not in kinds or (floor is not None and item is not None and not item >= floor):
                    return False
            elif (part := known.get(key, others)) is not None and not part(item):
                return False
        return True

    return check


def _types(schema: dict[str, Any]) -> set[type]:
    """Python's types of what a schema allows; empty for any."""
    kinds = schema.get("type", ())
    return set().union(*(TYPES[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds)))
