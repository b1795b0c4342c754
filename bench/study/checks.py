"""Checks of a study that need more than the value of one key. Each raises ValueError, which names key, value and remedy."""

import itertools
import os
from collections.abc import Mapping, Sequence

import algos
from algos import Card
from bench.study.settings import Experiments, Settings, Shifts, Stream
from bench.study.text import parse_yaml
from tasks.catalogue import (
    FOLDER,
    NAMES,
    OUT_OF_RANGE,
    REGRESSION,
    TORCHMETA,
    TORCHMETA_NAMES,
    folder_name,
    path_name,
    prepared_root,
)
from tasks.facts import LAKE_DATA
from tasks.names import did_you_mean
from tasks.prepared import is_prepared
from tasks.shift_table import SHIFTS, Shift

LONGEST = 200
"""Letters of a data set's folder; file systems take 255."""


def check_datasets(settings: Settings) -> None:
    """Data sets are known, or prepared; classification tasks have two classes at least, generated tasks have none."""
    for name, entry in settings.datasets.items():
        if name in REGRESSION:
            if entry.ways != (1,):
                raise ValueError(
                    f"datasets.{name}.ways: its tasks are generated and have no classes; leave the key out"
                )
            continue
        check_dataset(name, f"datasets.{name}")
        if min(entry.ways) < 2:
            raise ValueError(
                f"datasets.{name}.ways: a task of classification needs at least 2 classes, not 1; "
                f"write e.g. `ways: [5]`"
            )


def check_dataset(name: str, key: str) -> None:
    """Raise ValueError unless an image data set can be prepared, or somebody put its prepared form there."""
    try:
        letters = len(folder_name(name))
    except ValueError as error:
        if not (name.isidentifier() and len(name) <= 100 and (prepared_root() / name / "meta.json").exists()):
            close = did_you_mean(name, (*NAMES, *REGRESSION))
            pictures = (
                f"; for the pictures there write {FOLDER}{name}"
                if os.path.exists(os.path.expanduser(name))
                else ""
            )
            raise ValueError(f"{key}: {error}{close or pictures}") from error
        return
    except (OSError, RuntimeError) as error:  # a path of too many letters, `~nobody`
        raise ValueError(f"{key[:100]}: {str(error)[:100]}") from error
    if letters > LONGEST:
        raise ValueError(
            f"{key[:100]}...: the name has {letters} letters; at most {LONGEST} make the name of a folder"
        )
    short = name.removeprefix(TORCHMETA)
    if name.startswith(TORCHMETA) and short not in TORCHMETA_NAMES and not is_prepared(name):
        close = did_you_mean(short, TORCHMETA_NAMES)
        raise ValueError(
            f"{key}: torchmeta has no data set {short!r}{close}; it has {', '.join(TORCHMETA_NAMES)}"
        )


def check_names(learners: Sequence[str]) -> None:
    """A learner's name is that of its folder of results: Snakemake can read it, and no other learner shares it.

    `a/same.py` and `b/same.py` would share it, and `Same.py` and `same.py` where the file system ignores case.
    """
    paths: dict[str, str] = {}
    for learner in learners:
        name = algos.name_of(learner)
        if "{" in name or "}" in name:
            raise ValueError(
                f"algorithms: {learner}: the name of a learner has no braces, between which Snakemake reads a wildcard; "
                "rename the file"
            )
        first = paths.setdefault(name.casefold(), learner)
        if first != learner:
            raise ValueError(
                f"algorithms: two learners are called {name!r}: {first} and {learner}; "
                "they would share a folder of results, so rename one of the files"
            )


def check_pretrainings(settings: Settings) -> None:
    """A variant differs in something, and names a pretraining that there is."""
    known = algos.pretrainings()
    for name, variant in settings.variants.items():
        key = f"variants.{name}"
        if not variant.changes:
            raise ValueError(f"{key}.params: name a hyper-parameter, or a pretraining, in which it differs")
        if variant.pretraining and variant.pretraining not in known:
            close = did_you_mean(variant.pretraining, known)
            raise ValueError(
                f"{key}.pretraining: there is no {variant.pretraining!r}{close}; there are {', '.join(sorted(known))}"
            )


def check_variants(settings: Settings, cards: Mapping[str, Card]) -> None:
    """A variant has a name of its own, and hyper-parameters and a pretraining that its algorithm can have."""
    names = {algos.name_of(algorithm) for algorithm in settings.algorithms}
    names |= set(algos.discover()) | set(algos.pretrainings())
    for name, variant in settings.variants.items():
        if name in names:
            raise ValueError(f"variants: {name!r} is an algorithm; give the variant another name")
        try:
            cards[name].check(name, variant.params or {})
        except ValueError as error:
            raise ValueError(f"variants: {name}: {error}") from error
        if variant.pretraining and not algos.card(variant.algorithm).pretraining:
            raise ValueError(
                f"variants.{name}.pretraining: {variant.algorithm} starts from no pretraining; leave the key out"
            )


def check_overrides(settings: Settings, cards: Mapping[str, Card]) -> None:
    """A key of `overrides` names one algorithm or pretraining of the study and some of its tasks; its values fit."""
    tasks = set(map(path_name, settings.datasets))
    for entry in settings.datasets.values():
        tasks |= {f"{way}way" for way in entry.ways} | {f"{shot}shot" for shot in entry.shots}
    for key, values in settings.overrides.items():
        named = set(key.split()) & set(cards)
        strange = set(key.split()) - set(cards) - tasks
        if len(named) != 1 or strange:
            raise ValueError(
                f"overrides: {key!r} must name one algorithm of the study ({', '.join(cards)}) "
                f"and may add tasks of it ({', '.join(sorted(tasks))})"
                + "".join(did_you_mean(word, (*cards, *tasks)) for word in sorted(strange)[:1])
            )
        name = named.pop()
        try:
            cards[name].check(name, values)
        except ValueError as error:
            raise ValueError(f"overrides: {key}: {error}") from error


def check_shifts(shifts: Shifts, tested: tuple[str, ...]) -> None:
    """Severities are of known shifts; strengths are of shifts of images, within their limits, and change something.

    tested: the modes of the clean tasks, which those of shifted ones are compared with.
    """
    for mode in shifts.modes:
        if mode not in tested:
            raise ValueError(
                f"shifts.modes: {mode!r} is not in test.modes ({', '.join(tested)}), so there is no clean task to "
                "compare with; add it there or leave it out here"
            )
    known = (*SHIFTS, *itertools.chain(*OUT_OF_RANGE.values()))
    for name in shifts.severities:
        if name not in known:
            close = did_you_mean(name, known)
            raise ValueError(f"shifts.severities: no shift {name!r}{close}; known: {', '.join(known)}")
    for name, values in shifts.strengths.items():
        if name not in SHIFTS:
            close = did_you_mean(name, SHIFTS)
            raise ValueError(
                f"shifts.strengths: no shift {name!r} of images{close}; known: {', '.join(SHIFTS)}"
            )
        for value in values:
            _check_strength(SHIFTS[name], value)


def _check_strength(shift: Shift, value: float) -> None:
    try:
        shift.check(value)
    except ValueError as error:
        raise ValueError(f"shifts.strengths.{shift.name}: {error}") from error
    if value == shift.identity:
        raise ValueError(
            f"shifts.strengths.{shift.name}: {value!r} changes nothing and is tested in any case, "
            "as the clean task; leave it out"
        )


def check_experiments(wanted: Experiments, settings: Settings) -> None:
    """Other data sets exist, and Lake's runs are tested only where their characters are no training classes."""
    for name in wanted.other_data:
        check_dataset(name, "experiments.other_data")
    name, split = LAKE_DATA
    if wanted.lake_runs and (name not in settings.datasets or settings.datasets[name].split != split):
        raise ValueError(
            f"experiments.lake_runs: other splits train on the characters of Lake's runs; "
            f"give data set {name} `split: {split}` or leave the key out"
        )


def check_stream(stream: Stream | None) -> None:
    """Hyper-parameters of the learners on streams are those of their memory."""
    for learner in stream.learners if stream else ():
        name, *settings = learner.split()
        try:
            pairs = [setting.split("=") for setting in settings]
            values = {key: parse_yaml(value, key) for key, value in pairs}
            algos.card(name).check(name, values)
        except ValueError as error:
            raise ValueError(f"stream.learners: {learner!r}: {error}") from error
