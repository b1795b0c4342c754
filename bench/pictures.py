"""Pictures of what the learners see, drawn from the prepared data set when it is on this machine."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Picture:
    """A PNG as data URI, or a note that says why there is none."""

    title: str
    alt: str
    source: str = ""
    note: str = ""


def pictures(datasets: list[str], config: dict) -> list[Picture]:
    return [Picture(name, "", note=f"{name} is not prepared on this machine: python -m bench prepare {name}") for name in datasets]
