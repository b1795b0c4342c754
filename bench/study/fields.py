"""Types of the keys of a study file."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WrapValidator

Item = TypeVar("Item")


class Part(BaseModel):
    """A mapping of a study file: an unknown key or a value of another type is an error, nothing is converted."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True, validate_default=True
    )


def _distinct(values: tuple[Item, ...]) -> tuple[Item, ...]:
    twice = [value for value in values if values.count(value) > 1]
    if twice:
        raise ValueError(f"{twice[0]!r} occurs twice")
    return values


def _as_written(value: Any, check: Callable[[Any], float]) -> float:
    """Keep an integer an integer: `30` and `30.0` would be two settings to a job that compares them."""
    check(value)
    return value


_LIST = {"strict": False, "json_schema_extra": {"uniqueItems": True}}
Distinct = Annotated[tuple[Item, ...], Field(**_LIST), AfterValidator(_distinct)]
"""A YAML list without repetitions. Not strict, because strict tuples refuse lists; the items are strict."""
Some = Annotated[tuple[Item, ...], Field(**_LIST, min_length=1), AfterValidator(_distinct)]
"""A `Distinct` with at least one item."""
Number = Annotated[float, Field(allow_inf_nan=False), WrapValidator(_as_written)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
