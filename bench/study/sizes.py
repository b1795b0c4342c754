"""Ways, shots and queries of a study against the classes and images of its data, before anything is trained."""

import json
from ast import literal_eval
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.study.jobs import TestingJob
from bench.study.run import Pretraining, Run
from tasks.catalogue import REGRESSION, path_name, prepared_root

if TYPE_CHECKING:
    from bench.study.study import Study

PARTS = ("train", "val", "test")
KNOWN = {
    "glyphs": ("default", {"default": (775, 142, 262)}, 20),
    "omniglot": ("vinyals", {"vinyals": (4112, 688, 1692), "lake": (3168, 688, 2636)}, 20),
    "miniimagenet": ("ravi", {"ravi": (64, 16, 20)}, 600),
}
"""Default split, classes of each part by split (rotations included), and images of a class, of data that need not be there."""


class Size(NamedTuple):
    """Classes of each part of a split, rotations included, and images of the smallest class of each part.

    unequal: images by name of class, by part, where classes differ in size.
    """

    classes: dict[str, int]
    images: dict[str, int]
    unequal: dict[str, dict[str, int]] = {}

    def fewer(self, part: str, images: int) -> str:
        """Name classes with fewer images, and the remedy."""
        small = [f"{name} ({n})" for name, n in self.unequal.get(part, {}).items() if n < images]
        if not small:
            return "lower it"
        names = ", ".join(small[:5]) + (", ..." if len(small) > 5 else "")
        return f"lower it, or add images to these classes or leave them out: {names}"


def sizes_of(name: str, split: str | None) -> Size | None:
    """Sizes of a data set, from its prepared form or from what is known of it; None where neither tells.

    ValueError: the data set has no such split.
    """
    found = _prepared(prepared_root() / path_name(name).replace(":", "_") / "meta.json") or _known(name)
    if found is None:
        return None
    default, splits = found
    if (split or default) not in splits:
        raise ValueError(
            f"datasets.{name}.split: there is no split {split!r}; choose from {', '.join(sorted(splits))}"
        )
    return splits[split or default]


def _known(name: str) -> tuple[str, dict[str, Size]] | None:
    if name not in KNOWN:
        return None
    default, splits, images = KNOWN[name]
    count = dict.fromkeys(PARTS, images)
    return default, {
        split: Size(dict(zip(PARTS, parts, strict=True)), count) for split, parts in splits.items()
    }


def _prepared(path: Path) -> tuple[str, dict[str, Size]] | None:
    """Sizes by split from the record of a prepared data set; None where it is missing or damaged, which its reader says."""
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
        classes, images, *_ = _shape(path.with_name("images.npy"))
        counts = meta.get("counts") or [images] * classes
        sizes = {
            split: Size(
                {part: len(parts[part]) * meta["rotations"] for part in PARTS},
                {part: min((counts[c] for c in parts[part]), default=0) for part in PARTS},
                {part: {meta["class_names"][c]: counts[c] for c in parts[part]} for part in PARTS}
                if "counts" in meta
                else {},
            )
            for split, parts in meta["splits"].items()
        }
        return meta["default_split"], sizes
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, EOFError):
        return None


def _shape(path: Path) -> tuple[int, ...]:
    """Shape of an array in a file, from its header alone: every command that reads a study would wait for numpy."""
    with path.open("rb") as file:
        magic, version, _ = file.read(6), *file.read(2)
        if magic != b"\x93NUMPY":
            raise ValueError(f"{path} holds no array")
        length = int.from_bytes(file.read(2 if version == 1 else 4), "little")
        return literal_eval(file.read(length).decode())["shape"]


def check_sizes(study: "Study") -> None:
    """Raise ValueError where a task of the study needs more classes or images than a part of its data set has."""
    read_once = cache(sizes_of)
    one_seed = {(run.dataset, run.way, run.shot, run.algorithm): run for run in reversed(study.runs())}
    for run in (*reversed(one_seed.values()), *study.pretrainings()):
        if run.dataset in REGRESSION:
            continue
        size = read_once(run.dataset, study.settings.datasets[run.dataset].split)
        if size:
            _check_training(study, run, size)
            for need in () if isinstance(run, Pretraining) else _tests(study, run):
                need.check(size)
        for name in () if isinstance(run, Pretraining) else study.settings.experiments.other_data:
            other = read_once(name, None) if name != run.dataset else None
            if other:
                keys = f"datasets.{run.dataset}.ways", f"datasets.{run.dataset}.shots"
                Need(name, "test", run.way, run.shot + 1, _one_query(run.shot), *keys).check(other)


class Need(NamedTuple):
    """Classes and images per class that tasks take from a part. way_key, shot_key: what to lower in the study."""

    dataset: str
    part: str
    way: int
    images: int
    what: str
    way_key: str
    shot_key: str

    def check(self, size: Size) -> None:
        """Raise ValueError where the part is too small."""
        classes, images = size.classes[self.part], size.images[self.part]
        if self.way > classes:
            raise ValueError(
                f"{self.way_key}: {self.way} classes per task are more than the {classes} classes of part "
                f"{self.part} of {self.dataset}; lower it to {classes} or less"
            )
        if self.images > images:
            raise ValueError(
                f"{self.shot_key}: {self.what} are more than the {images} images of the smallest class of part "
                f"{self.part} of {self.dataset}; {size.fewer(self.part, self.images)}"
            )


def _check_training(study: "Study", run: Run, size: Size) -> None:
    """Training tasks, and the validation tasks, which have the way and shot of the run."""
    card = study.cards[run.algorithm]
    if not card.trainable or (card.pretraining and not isinstance(run, Pretraining)):
        return
    words = {path_name(run.dataset), f"{run.way}way", f"{run.shot}shot"}
    values = card.resolved(words, study.hyper_parameters(run))
    at = f"datasets.{run.dataset}"
    way, shot, query = (values.get(f"train_{key}") for key in ("way", "shot", "query"))
    named = f"{run.algorithm}: train_"
    if "train_way" in values:
        Need(
            run.dataset, "train", way or run.way, (shot or run.shot) + (query or 0),
            f"{shot or run.shot} training shots + {query or 0} train_query per class",
            f"{named}way" if way else f"{at}.ways",
            f"{named}query" if query else f"{named}shot" if shot else f"{at}.shots",
        ).check(size)  # fmt: skip
    for part in ("train", "val"):
        Need(
            run.dataset, part, run.way, run.shot + 1, _one_query(run.shot), f"{at}.ways", f"{at}.shots"
        ).check(size)


def queries_per_class(run: Run, job: TestingJob) -> dict[str, int]:
    """Queries per class that a run's tests really use, by task: no more than a class has besides the support.

    Empty for generated tasks, and for data of unknown size.
    """
    size = None if run.dataset in REGRESSION else sizes_of(run.dataset, job.split)
    if size is None:
        return {}
    used = {f"{run.way}way_{shot}shot": (shot, size) for shot in (run.shot, *job.experiments.shots)}
    for name in job.experiments.other_data:
        other = sizes_of(name, None)
        used |= (
            {f"{name}_{run.way}way_{run.shot}shot": (run.shot, other)}
            if other and name != run.dataset
            else {}
        )
    return {task: min(job.query, found.images["test"] - shot) for task, (shot, found) in used.items()}


def fewer_queries(used: dict[str, int], wanted: int) -> str:
    """Say where a test has fewer queries per class than the study wants; empty where it has them all."""
    fewer = ", ".join(f"{queries} in {task}" for task, queries in used.items() if queries < wanted)
    return (
        f"fewer than the {wanted} queries per class of `test.query`, because classes have no more images: {fewer}"
        if fewer
        else ""
    )


def _one_query(shot: int) -> str:
    return f"{shot} shots + 1 query per class"


def _tests(study: "Study", run: Run) -> Iterator[Need]:
    """What the test of a run takes from part test, and from the training classes."""
    at, wanted = f"datasets.{run.dataset}", study.settings.experiments
    one = _one_query(run.shot)
    yield Need(run.dataset, "test", run.way, run.shot + 1, one, f"{at}.ways", f"{at}.shots")
    for way in wanted.ways:
        yield Need(run.dataset, "test", way, run.shot + 1, one, "experiments.ways", f"{at}.shots")
    for shot in wanted.shots:
        yield Need(
            run.dataset, "test", run.way, shot + 1, _one_query(shot), f"{at}.ways", "experiments.shots"
        )
    if wanted.memorisation:
        yield Need(run.dataset, "train", run.way, run.shot + 1, one, f"{at}.ways", f"{at}.shots")
