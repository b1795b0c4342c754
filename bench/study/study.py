"""A study: which algorithms run on which tasks with which seeds and budgets, read from one YAML file."""

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import algos
from algos import Card
from algos.ranges import shown
from bench.paths import results_root
from bench.study import checks, sizes
from bench.study.jobs import TestingJob, TrainingJob
from bench.study.run import Pretraining, Run
from bench.study.schema import validated
from bench.study.settings import Variant
from bench.study.text import check_plain, read_yaml
from tasks.names import did_you_mean

VALIDATION_TASK = (5, 1)
"""Way and shot of the episodes on which a pretraining chooses its checkpoint, whatever tasks its learners are tested on."""


class Study:
    """A study that has been checked, with every default: `settings`."""

    def __init__(self, config: Any, origin: str = "study"):
        check_plain(config, origin)
        self.settings = validated(config, origin)
        self.origin = origin
        self.name = self.settings.study
        self.title = " ".join(self.settings.title.split()) or self.name
        try:
            self._check()
        except ValueError as error:
            raise ValueError(f"{origin}: {error}") from error

    def _check(self) -> None:
        checks.check_datasets(self.settings)
        checks.check_pretrainings(self.settings)
        if not self.cards:
            raise ValueError("algorithms: there are none, and no variants; name at least one")
        checks.check_names(self._named())
        checks.check_variants(self.settings, self.cards)
        checks.check_overrides(self.settings, self._by_short_name())
        checks.check_shifts(self.settings.shifts, self.settings.test.modes)
        checks.check_experiments(self.settings.experiments, self.settings)
        checks.check_stream(self.settings.stream)
        sizes.check_sizes(self)

    @cached_property
    def config(self) -> dict[str, Any]:
        """The settings as plain values, to be written to a file or compared by Snakemake."""
        return self.settings.model_dump(mode="json")

    @cached_property
    def cards(self) -> dict[str, Card]:
        """Card of each algorithm and variant of the study, then of each pretraining that these share."""
        try:
            found = {name: self._card(name) for name in self._named()}
            shared = [card.pretraining for card in found.values() if card.pretraining]
            return found | {name: algos.pretraining_card(name) for name in shared}
        except OSError as error:
            told = f"{error.strerror}: {shown(error.filename)}" if error.strerror else error
            raise ValueError(f"algorithms: {told}") from error
        except ValueError as error:
            raise ValueError(f"algorithms: {error}") from error

    def _card(self, name: str) -> Card:
        card, variant = algos.card(self.code(name)), self.variant(name)
        return replace(card, pretraining=variant.pretraining) if variant and variant.pretraining else card

    def _named(self) -> list[str]:
        return [*self.settings.algorithms, *self.settings.variants]

    def _by_short_name(self) -> dict[str, Card]:
        """Cards by the names that `overrides` may use: a file's stem instead of its path, a variant's algorithm, too."""
        return {
            algos.name_of(name): card
            for algorithm, card in self.cards.items()
            for name in (algorithm, self.code(algorithm))
        }

    def variant(self, algorithm: str) -> Variant | None:
        """The variant of this name, if it is one."""
        return self.settings.variants.get(algorithm)

    def code(self, algorithm: str) -> str:
        """The algorithm (or path of a file) whose code a learner of the study runs: its own, or a variant's."""
        variant = self.variant(algorithm)
        return variant.algorithm if variant else algorithm

    def title_of(self, algorithm: str) -> str:
        """Title of a learner in the report, with its name where another learner of the study has the same title.

        That is so for a copy of a file, or a subclass, that names no title of its own; an algorithm of the project keeps its own.
        """
        title = self._title(algorithm)
        same = sum(self._title(name) == title for name in self._named())
        return (
            title if same == 1 or algorithm in algos.discover() else f"{title} ({algos.name_of(algorithm)})"
        )

    def _title(self, algorithm: str) -> str:
        """The title that its file or its variant states; that of a variant says how it differs from its algorithm."""
        title, variant = self.cards[algorithm].title, self.variant(algorithm)
        if variant is None:
            return title
        changed = ", ".join(f"{key} {value}" for key, value in variant.changes.items())
        return variant.title or f"{title} ({changed})"

    def runs(self) -> list[Run]:
        """Every run of the study, without those of a kind that an algorithm cannot do (mostly regression)."""
        tasks = [
            (dataset, way, shot)
            for dataset, entry in self.settings.datasets.items()
            for way in entry.ways
            for shot in entry.shots
        ]
        every = [
            Run(self.name, *task, algorithm, seed)
            for task in tasks
            for algorithm in self._named()
            for seed in self.settings.seeds
        ]
        return [run for run in every if run.kind in self.cards[run.algorithm].tasks]

    def pretraining(self, run: Run) -> Pretraining | None:
        """The shared training that a run starts from, if its algorithm has one."""
        name = self.cards[run.algorithm].pretraining
        return Pretraining(self.name, run.dataset, *VALIDATION_TASK, name, run.seed) if name else None

    def pretrainings(self) -> list[Pretraining]:
        """Every shared training of the study, once."""
        return list(dict.fromkeys(shared for run in self.runs() if (shared := self.pretraining(run))))

    def run(self, name: str) -> Run:
        """The run called e.g. `glyphs/5way_1shot/protonet/seed0`, or the pretraining `glyphs/supervised/seed0`."""
        for run in [*self.runs(), *self.pretrainings()]:
            if run.name == name.removeprefix(f"{results_root()}/{self.name}/").rstrip("/"):
                return run
        known = [run.name for run in self.runs()[:10_000]]
        raise ValueError(
            f"{self.origin} has no run {name!r}{did_you_mean(name, known)}; `python -m bench status {self.origin}` lists its runs"
        )

    @cached_property
    def _overrides(self) -> list[tuple[set[str], dict[str, Any]]]:
        """The words that each of the `overrides` asks for and its values, the more specific later."""
        found = [(set(key.split()), entry) for key, entry in self.settings.overrides.items()]
        return sorted(found, key=lambda item: len(item[0]))

    def hyper_parameters(self, run: Run) -> dict[str, Any]:
        """Hyper-parameters that the study sets for a run: `train.steps`, then matching `overrides`, the more specific later.

        A variant has those of its algorithm, then its own.
        """
        steps, variant = self.settings.train.steps, self.variant(run.algorithm)
        values = {"steps": steps} if steps and self.cards[run.algorithm].trainable else {}
        words = run.words | {algos.name_of(self.code(run.algorithm))}
        for needed, entry in self._overrides:
            if needed <= words:
                values |= entry
        return values | (variant.params or {} if variant else {})

    @cached_property
    def _training(self) -> dict[str, Any]:
        """What all trainings of the study have in common."""
        return {key: value for key, value in self.settings.train if key != "steps"}

    def training_job(self, run: Run) -> TrainingJob:
        """What the meta-training of a run depends on."""
        shared = self.pretraining(run)
        return TrainingJob(
            **{key: getattr(run, key) for key in ("dataset", "way", "shot", "algorithm", "seed")},
            code=self.code(run.algorithm),
            split=self.settings.datasets[run.dataset].split,
            study_seed=self.settings.seed,
            overrides=self.hyper_parameters(run),
            pretraining=self.training_job(shared) if shared else None,
            **self._training,
        )

    def testing_job(self, run: Run) -> TestingJob:
        """What the meta-test of a run depends on besides the model."""
        return TestingJob(
            split=self.settings.datasets[run.dataset].split,
            study_seed=self.settings.seed,
            **dict(self.settings.test),
            shifts=self.settings.shifts,
            experiments=self.settings.experiments,
        )


def load_study(path: str | Path) -> Study:
    """Read and check a study file. ValueError names the file, the key, the value and the remedy."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"study file {path} does not exist; see config/ for examples")
    return Study(read_yaml(path), str(path))
