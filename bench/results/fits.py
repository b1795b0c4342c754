"""A quick check of records against the few words of JSON schema that they use: a study may have ten thousand of them."""

from typing import Any

TYPES = {"object": dict, "string": str, "integer": int, "number": (int, float), "null": type(None)}
WORDS = {"type", "enum", "minimum", "properties", "required", "additionalProperties"}

DEEPER = {"properties", "required", "additionalProperties"}
"""Words about what is in an object."""


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """Whether a value certainly fits a schema. False also where the schema says what this check does not know."""
    if not schema.keys() <= WORDS or ("enum" in schema and value not in schema["enum"]):
        return False
    kinds = schema.get("type", ())
    if isinstance(kinds, str):
        if not _is(value, kinds):
            return False
    elif kinds and not any(_is(value, kind) for kind in kinds):
        return False
    if "minimum" in schema and value is not None and not value >= schema["minimum"]:
        return False
    if not isinstance(value, dict) or not schema.keys() & DEEPER:
        return True
    known, others = schema.get("properties", {}), schema.get("additionalProperties", {})
    return all(key in value for key in schema.get("required", [])) and all(
        fits(item, known.get(key, others)) for key, item in value.items()
    )


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, TYPES[kind]) and (kind == "object" or not isinstance(value, bool))
