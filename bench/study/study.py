"""A study: which algorithms run on which tasks with which seeds and budgets, read from one YAML file."""

import itertools
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

import algos
from bench.paths import results_root
from bench.study.run import Pretraining, Run
from bench.study.schema import validated
from tasks.catalogue import LAKE_DATA, OUT_OF_RANGE, folder_name
from tasks.shift_table import SHIFTS, Shift

VALIDATION_TASK = (5, 1)
"""Way and shot of the episodes on which a pretraining chooses its checkpoint, whatever tasks its learners are tested on."""


class Study:
    """A validated study; `config` holds it with every default inserted."""

    def __init__(self, config: dict[str, Any], origin: str = "study"):
        self.config = validated(config, origin)
        self.origin = origin
        self.name: str = self.config["study"]
        self.title: str = self.config["title"] or self.name
        if not self.learners:
            raise ValueError(f"{origin}: algorithms: there are none, and no variants: name one at least")
        self._check_variants()
        self._check_overrides()
        self._check_shifts()
        self._check_experiments()

    @cached_property
    def learners(self) -> dict[str, type[algos.MetaLearner]]:
        """Class of each algorithm and variant the study names, then of each pretraining that these share."""
        named = [*self.config["algorithms"], *self.config["variants"]]
        try:
            found = {algorithm: algos.load(self.code(algorithm)) for algorithm in named}
            return found | {
                learner.pretraining: algos.load_pretraining(learner.pretraining)
                for learner in found.values()
                if learner.pretraining
            }
        except (ValueError, FileNotFoundError) as error:
            raise ValueError(f"{self.origin}: algorithms: {error}") from error

    def code(self, algorithm: str) -> str:
        """The algorithm (or path of a file) whose code a learner of the study runs: its own, or a variant's."""
        return self.config["variants"].get(algorithm, {"algorithm": algorithm})["algorithm"]

    def title_of(self, algorithm: str) -> str:
        """What the report calls a learner: a variant says what is different about it."""
        title, variant = self.learners[algorithm].title, self.config["variants"].get(algorithm)
        if variant is None:
            return title
        changed = ", ".join(f"{key} {value}" for key, value in variant["params"].items())
        return variant["title"] or f"{title} ({changed})"

    def _check_variants(self) -> None:
        """A variant has a name of its own, and hyper-parameters that its algorithm has."""
        names = {algos.name_of(algorithm) for algorithm in self.config["algorithms"]}
        for name, variant in self.config["variants"].items():
            if name in names | set(algos.discover()) | set(algos.pretrainings()):
                raise ValueError(
                    f"{self.origin}: variants: {name!r} is an algorithm; give the variant another name"
                )
            try:
                self.learners[name].Params().override(name, variant["params"])
            except ValueError as error:
                raise ValueError(f"{self.origin}: variants: {name}: {error}") from error

    def _check_overrides(self) -> None:
        """Each key of `overrides` names one of the study's algorithms (or pretrainings), and hyper-parameters that it has."""
        learners = {
            algos.name_of(name): learner
            for algorithm, learner in self.learners.items()
            for name in (algorithm, self.code(algorithm))
        }
        tasks = set(self.config["datasets"])
        for entry in self.config["datasets"].values():
            tasks |= {f"{way}way" for way in entry["ways"]} | {f"{shot}shot" for shot in entry["shots"]}
        for key, values in self.config["overrides"].items():
            named = set(key.split()) & set(learners)
            strange = set(key.split()) - set(learners) - tasks
            if len(named) != 1 or strange:
                raise ValueError(
                    f"{self.origin}: overrides: {key!r} must name one algorithm of the study ({', '.join(learners)}) "
                    f"and may add tasks of it ({', '.join(sorted(tasks))})"
                )
            name = named.pop()
            try:
                learners[name].Params().override(name, values)
            except ValueError as error:
                raise ValueError(f"{self.origin}: overrides: {key}: {error}") from error

    def _check_shifts(self) -> None:
        known = (*SHIFTS, *itertools.chain(*OUT_OF_RANGE.values()))
        for name in self.config["shifts"]["severities"]:
            if name not in known:
                raise ValueError(
                    f"{self.origin}: shifts.severities: no shift {name!r}; known: {', '.join(known)}"
                )
        for name, values in self.config["shifts"]["strengths"].items():
            if name not in SHIFTS:
                raise ValueError(
                    f"{self.origin}: shifts.strengths: no shift {name!r} of images; "
                    f"known: {', '.join(SHIFTS)}"
                )
            for value in values:
                self._check_strength(SHIFTS[name], value)

    def _check_strength(self, shift: Shift, value: float) -> None:
        try:
            shift.check(value)
        except ValueError as error:
            raise ValueError(f"{self.origin}: shifts.strengths.{shift.name}: {error}") from error
        if value == shift.identity:
            raise ValueError(
                f"{self.origin}: shifts.strengths.{shift.name}: {value!r} changes nothing and is tested in any case, "
                "as the clean task; leave it out"
            )

    def _check_experiments(self) -> None:
        wanted, data = self.config["experiments"], self.config["datasets"]
        for name in wanted["other_data"]:
            try:
                folder_name(name)
            except ValueError as error:
                raise ValueError(f"{self.origin}: experiments.other_data: {error}") from error
        name, split = LAKE_DATA
        if wanted["lake_runs"] and data.get(name, {}).get("split") != split:
            raise ValueError(
                f"{self.origin}: experiments.lake_runs: other splits train on the characters of Lake's runs; "
                f"give data set {name} `split: {split}` or leave the key out"
            )

    def runs(self) -> list[Run]:
        """Every run of the study, leaving out what an algorithm cannot do (regression, mostly)."""
        tasks = [
            (dataset, way, shot)
            for dataset, entry in self.config["datasets"].items()
            for way in entry["ways"]
            for shot in entry["shots"]
        ]
        every = [
            Run(self.name, *task, algorithm, seed)
            for task in tasks
            for algorithm in [*self.config["algorithms"], *self.config["variants"]]
            for seed in self.config["seeds"]
        ]
        return [run for run in every if run.kind in self.learners[run.algorithm].tasks]

    def pretraining(self, run: Run) -> Pretraining | None:
        """The shared training that a run starts from, if its algorithm has one."""
        name = self.learners[run.algorithm].pretraining
        return Pretraining(self.name, run.dataset, *VALIDATION_TASK, name, run.seed) if name else None

    def pretrainings(self) -> list[Pretraining]:
        """Every shared training of the study, once."""
        return list(dict.fromkeys(shared for run in self.runs() if (shared := self.pretraining(run))))

    def run(self, name: str) -> Run:
        """The run called e.g. `glyphs/5way_1shot/protonet/seed0`, or the pretraining `glyphs/supervised/seed0`."""
        for run in [*self.runs(), *self.pretrainings()]:
            if run.name == name.removeprefix(f"{results_root()}/{self.name}/").rstrip("/"):
                return run
        raise ValueError(
            f"{self.origin} has no run {name!r}; `python -m bench status {self.origin}` lists its runs"
        )


def load_study(path: str | Path) -> Study:
    """Read and check a study file. ValueError names the file, the key, the value and the remedy."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"study file {path} does not exist; see config/ for examples")
    try:
        config = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not valid YAML: {error}") from error
    return Study(config, str(path))


def overrides_for(study: Study, run: Run) -> dict[str, Any]:
    """The study's hyper-parameters for a run: those of `train`, then matching `overrides`, the more specific later.

    A variant has those of its algorithm, then its own.
    """
    steps, variant = study.config["train"]["steps"], study.config["variants"].get(run.algorithm, {})
    values = {"steps": steps} if steps and study.learners[run.algorithm].trainable else {}
    words = run.words | {algos.name_of(study.code(run.algorithm))}
    for key, entry in sorted(study.config["overrides"].items(), key=lambda item: len(item[0].split())):
        if set(key.split()) <= words:
            values |= entry
    return values | variant.get("params", {})


def run_spec(study: Study, run: Run) -> dict[str, Any]:
    """Everything of the study that a meta-training depends on: a job with the same specification gives the same model."""
    train = study.config["train"]
    split = study.config["datasets"][run.dataset]["split"]
    return {
        **{key: value for key, value in asdict(run).items() if key != "study"},
        "split": split,
        "study_seed": study.config["seed"],
        "overrides": overrides_for(study, run),
        **{
            key: train[key]
            for key in ("minutes", "validate_every", "validation_episodes", "threads", "device", "precision")
        },
    }


def test_spec(study: Study, run: Run) -> dict[str, Any]:
    """Everything of the study that a meta-test depends on besides the model."""
    return {
        "split": study.config["datasets"][run.dataset]["split"],
        "study_seed": study.config["seed"],
        **study.config["test"],
        "shifts": study.config["shifts"],
        "experiments": study.config["experiments"],
    }
