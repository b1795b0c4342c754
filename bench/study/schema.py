"""Check a study against the model of its keys, and write that model as a JSON schema for editors."""

import difflib
import json
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.json_schema import GenerateJsonSchema

from bench.paths import ROOT
from bench.study.settings import Settings

SCHEMA = ROOT / "workflow" / "schemas" / "study.schema.json"
EXPECTED = {
    "int_type": "must be an integer",
    "int_from_float": "must be an integer",
    "float_type": "must be a number",
    "string_type": "must be a text (in quotes, if YAML takes it for something else)",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "literal_error": "must be {expected}",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "too_short": "needs at least {min_length} entry",
    "string_pattern_mismatch": "must match {pattern}",
    "value_error": "{error}",
}
"""What a value must be, by pydantic's type of error."""


def validated(config: Any, origin: str) -> Settings:
    """The settings of a study with every default. ValueError names each wrong key, its value and what is allowed."""
    try:
        return Settings.model_validate(config)
    except ValidationError as error:
        lines = sorted(f"  {_explain(found)}" for found in error.errors(include_url=False))
        raise ValueError(f"{origin} is not a valid study:\n" + "\n".join(lines)) from None


def _explain(found: Any) -> str:
    *parents, key = found["loc"] or ("",)
    if found["type"] == "extra_forbidden":
        known = sorted(_model_at(parents).model_fields)
        close = difflib.get_close_matches(str(key), known, n=1)
        remedy = f" (did you mean {close[0]!r}?)" if close else ""
        return f"{_path(parents)}: {key!r} was unexpected{remedy}; known keys: {', '.join(known)}"
    if found["type"] == "missing":
        return f"{_path(parents)}: {key!r} is a required key"
    must = EXPECTED.get(found["type"], found["msg"]).format_map(found.get("ctx", {}))
    value = "" if found["type"] == "value_error" else f", not {found['input']!r}"
    return f"{_path(found['loc'])}: {must}{value}"


def _path(location: Any) -> str:
    """`datasets.omniglot.ways[1]`"""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in location if part != "[key]"]
    return "".join(parts).removeprefix(".") or "(top level)"


def _model_at(location: Any) -> type[BaseModel]:
    """The model of the mapping at a place in a study."""
    kind: Any = Settings
    for key in location:
        kind = kind.model_fields[key].annotation if hasattr(kind, "model_fields") else get_args(kind)[-1]
    return kind


class _Plain(GenerateJsonSchema):
    """Without the titles that pydantic makes of the names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def json_schema() -> str:
    """The JSON schema of a study file, as it is committed in `SCHEMA`."""
    schema = Settings.model_json_schema(schema_generator=_Plain)
    schema = {"$schema": _Plain.schema_dialect, **schema, "title": "A study"}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
