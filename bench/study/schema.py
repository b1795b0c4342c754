"""Check a study against the model of its keys, and write that model as a JSON schema for editors."""

import json
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.json_schema import GenerateJsonSchema

from algos.ranges import remedy, shown
from bench.paths import ROOT
from bench.study.settings import Settings
from tasks.names import did_you_mean

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
    "string_too_long": "must have at most {max_length} letters",
    "finite_number": "must be a finite number",
    "invalid_key": "must be a text (keys are in quotes, if YAML takes them for something else)",
    "string_pattern_mismatch": "must match {pattern}",
    "value_error": "{error}",
}
"""What a value must be, by pydantic's type of error."""
NUMBERS = ("int_type", "int_from_float", "float_type")


def validated(config: Any, origin: str) -> Settings:
    """The settings of a study with every default. ValueError names each wrong key, its value and what is allowed."""
    try:
        return Settings.model_validate(config)
    except ValidationError as error:
        wrong = [found for found in error.errors(include_url=False) if not _only_wrong_items(found)]
        lines = sorted(f"  {_explain(found)}" for found in wrong)
        raise ValueError(f"{origin} is not a valid study:\n" + "\n".join(lines)) from None


def _only_wrong_items(found: Any) -> bool:
    """pydantic calls a list too short when its items are wrong, which it reports as well."""
    return found["type"] == "too_short" and bool(found["input"])


def _explain(found: Any) -> str:
    *parents, key = found["loc"] or ("",)
    if found["type"] == "extra_forbidden":
        known = sorted(_model_at(parents).model_fields)
        close = did_you_mean(key, known)
        return f"{_path(parents)}: {shown(key)} was unexpected{close}; known keys: {', '.join(known)}"
    if found["type"] == "missing":
        return f"{_path(parents)}: {key!r} is a required key"
    must = EXPECTED.get(found["type"], found["msg"]).format_map(found.get("ctx", {}))
    if found["type"] == "value_error":
        return f"{_path(found['loc'])}: {must}"
    other = remedy(found["input"]) if found["type"] in NUMBERS else ""
    return f"{_path(found['loc'])}: {must}, not {shown(found['input'])}{other}"


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
