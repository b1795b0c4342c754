"""Validation of a study file, with the defaults filled in."""

from typing import Any

import jsonschema
import yaml

from bench.paths import ROOT

SCHEMA = ROOT / "workflow" / "schemas" / "study.schema.yaml"


def validated(config: Any, origin: str) -> dict[str, Any]:
    """The configuration with defaults inserted; unknown keys and wrong values are errors."""
    schema = yaml.safe_load(SCHEMA.read_text())
    config = _with_defaults(config, schema)
    errors = sorted(
        jsonschema.Draft202012Validator(schema).iter_errors(config), key=lambda error: error.json_path
    )
    if errors:
        lines = [f"  {error.json_path.removeprefix('$.')}: {_explain(error)}" for error in errors]
        raise ValueError(f"{origin} is not a valid study:\n" + "\n".join(lines))
    return config


def _explain(error: jsonschema.ValidationError) -> str:
    if error.validator == "additionalProperties" and "properties" in error.schema:
        return f"{error.message}; known keys: {', '.join(sorted(error.schema['properties']))}"
    return error.message


def _with_defaults(value: Any, schema: dict) -> Any:
    """Insert the schema's defaults, nested objects included."""
    if not isinstance(value, dict):
        return value
    known, other = schema.get("properties", {}), schema.get("additionalProperties")
    filled = {key: entry["default"] for key, entry in known.items() if "default" in entry} | value
    children = {key: known.get(key, other if isinstance(other, dict) else {}) for key in filled}
    return {key: _with_defaults(item, children[key]) for key, item in filled.items()}
