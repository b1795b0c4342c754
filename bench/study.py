"""A study: which algorithms run on which tasks with which seeds and budgets, read from one YAML file."""

import os
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jsonschema
import yaml

import algos
from tasks import shifts
from tasks.generated import FUNCTIONS, OUT_OF_RANGE
from tasks.omniglot import LAKE_DATA
from tasks.prepare import disk_name

SCHEMA = Path(__file__).parents[1] / "workflow" / "schemas" / "study.schema.yaml"
REGRESSION = tuple(FUNCTIONS)
VALIDATION_TASK = (5, 1)
"""Way and shot of the episodes on which a stage chooses its checkpoint, whatever tasks its learners are tested on."""


def results_root() -> Path:
    """Folder of results (env RESULTS_ROOT, default `results`)."""
    return Path(os.environ.get("RESULTS_ROOT", "results"))


def reports_root() -> Path:
    """Folder of reports (env REPORTS_ROOT, default `reports`)."""
    return Path(os.environ.get("REPORTS_ROOT", "reports"))


@dataclass(frozen=True)
class Run:
    """One meta-training and its meta-test: a cell of the study and a seed."""

    study: str
    dataset: str
    way: int
    shot: int
    algorithm: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.dataset}/{self.way}way_{self.shot}shot/{algos.name_of(self.algorithm)}/seed{self.seed}"

    @property
    def folder(self) -> Path:
        return results_root() / self.study / self.name

    @property
    def kind(self) -> str:
        return "regression" if self.dataset in REGRESSION else "classification"

    @property
    def words(self) -> set[str]:
        """What a key of the study's `overrides` may name to concern this run."""
        return {algos.name_of(self.algorithm), self.dataset, f"{self.way}way", f"{self.shot}shot"}


@dataclass(frozen=True)
class Stage(Run):
    """A training that several runs share: one per data set and seed. way, shot: of its validation episodes."""

    @property
    def name(self) -> str:
        return f"{self.dataset}/{self.algorithm}/seed{self.seed}"

    @property
    def words(self) -> set[str]:
        return {self.algorithm, self.dataset}


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
        """Class of each algorithm and variant the study names, then of each stage that these share."""
        named = [*self.config["algorithms"], *self.config["variants"]]
        try:
            found = {algorithm: algos.load(self.code(algorithm)) for algorithm in named}
            return found | {
                learner.stage: algos.load_stage(learner.stage) for learner in found.values() if learner.stage
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
            if name in names | set(algos.discover()) | set(algos.stages()):
                raise ValueError(
                    f"{self.origin}: variants: {name!r} is an algorithm; give the variant another name"
                )
            try:
                self.learners[name].Params().override(name, variant["params"])
            except ValueError as error:
                raise ValueError(f"{self.origin}: variants: {name}: {error}") from error

    def _check_overrides(self) -> None:
        """Each key of `overrides` names one of the study's algorithms (or stages), and hyper-parameters that it has."""
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
        known = (*shifts.SHIFTS, *OUT_OF_RANGE)
        for name in self.config["shifts"]["severities"]:
            if name not in known:
                raise ValueError(
                    f"{self.origin}: shifts.severities: no shift {name!r}; known: {', '.join(known)}"
                )
        for name, values in self.config["shifts"]["strengths"].items():
            if name not in shifts.SHIFTS:
                raise ValueError(
                    f"{self.origin}: shifts.strengths: no shift {name!r} of images; "
                    f"known: {', '.join(shifts.SHIFTS)}"
                )
            for value in values:
                self._check_strength(shifts.SHIFTS[name], value)

    def _check_strength(self, shift: shifts.Shift, value: float) -> None:
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
                disk_name(name)
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

    def stage(self, run: Run) -> Stage | None:
        """The shared training that a run starts from, if its algorithm has one."""
        name = self.learners[run.algorithm].stage
        return Stage(self.name, run.dataset, *VALIDATION_TASK, name, run.seed) if name else None

    def stages(self) -> list[Stage]:
        """Every shared training of the study, once."""
        return list(dict.fromkeys(stage for run in self.runs() if (stage := self.stage(run))))

    def run(self, name: str) -> Run:
        """The run called e.g. `glyphs/5way_1shot/protonet/seed0`, or the stage `glyphs/supervised/seed0`."""
        for run in [*self.runs(), *self.stages()]:
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
