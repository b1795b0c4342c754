"""Whether the two sides of a claim were trained alike, from the records of their runs."""

from bench.results.run_folder import RunResult
from bench.statistics.contestants import Contestants, Missing

SAME_BUDGET = 1.25
"""Largest ratio of the images of two trainings that count as one budget."""
LABELS = {
    "network": "networks",
    "meta_batch": "meta-batches",
    "train_way": "ways",
    "images": "training images",
}


def check_alike(claim: dict, contestants: Contestants) -> None:
    """Raise Missing naming what the trainings of both sides do not share of the claim's `alike`."""
    sides = [claim[side] for side in ("left", "right") if "constant" not in claim[side]]
    runs = [(name, contestants.runs[name][0]) for side in sides for name in contestants.algorithms(side)]
    for key in claim.get("alike", []):
        values = {name: _value(run, key) for name, run in runs}
        if not _equal(key, list(values.values())):
            said = ", ".join(f"{name} {value}" for name, value in values.items())
            raise Missing(f"trained with different {LABELS[key]}: {said}")


def _value(run: RunResult, key: str) -> object:
    chosen = run.run["hyper_parameters"]
    if key == "network":
        return " ".join(str(chosen[part]) for part in ("backbone", "hidden") if chosen.get(part) is not None)
    return images_seen(run.run) if key == "images" else chosen.get(key)


def _equal(key: str, values: list) -> bool:
    if key == "images":
        return max(values) <= SAME_BUDGET * min(values)
    return len(set(values)) == 1


def images_per_task(record: dict) -> int:
    """Return the images of a training task, support and queries; 1 in a pretraining, whose tasks are images.

    Reptile trains on supports alone: it has no queries.
    """
    chosen = record["hyper_parameters"]
    way, shot, query = (chosen.get(key) for key in ("train_way", "train_shot", "train_query"))
    return way * (shot + (query or 0)) if way and shot else 1


def images_seen(record: dict) -> int:
    """Return the images that a training saw, repeated ones included."""
    return record["training"]["tasks"] * images_per_task(record)
