"""The keys of a study file: types, defaults and meaning.

`python -m bench schema` writes them as a JSON schema, from which an editor completes and checks a study file.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from bench.study.experiments import Experiments
from bench.study.fields import Count, Distinct, Number, Part, Some
from tasks.catalogue import FOLDER

Mode = Literal["inductive", "transductive"]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Scope = Literal["task", "query"]
Severity = Annotated[int, Field(ge=1, le=5)]

StreamLearner = Annotated[str, Field(pattern="^(lstm|(mann|ntm)( [a-z_]+=[a-z0-9.]+)*)$")]
VariantName = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$", max_length=100)]
OF_PICTURES = ("size", "channels", "split_seed")
"""Keys of a data set that only own pictures have."""
_NO_OTHER_NAMES = Field(json_schema_extra={"additionalProperties": False})


class DataSet(Part):
    """Tasks posed on one data set: every combination of a way and a shot."""

    ways: Some[Count] = (1,)
    """Classes per task. Generated regression tasks have none: leave the key out."""
    shots: Some[Count]
    """Support examples per class."""
    split: str | None = None
    """Named split of the data set; null = its own default."""
    size: Annotated[int, Field(ge=16, le=512)] | None = None
    """Side in pixels of your own pictures (`folder:<path>`); null = chosen by the pictures."""
    channels: Literal[1, 3] | None = None
    """Channels of your own pictures, 1 (grey) or 3 (colours); null = 3 where a picture has colours."""
    split_seed: Seed | None = None
    """Seed of the classes drawn for training, validation and test, where your own pictures have no split; null = 0."""


def _named(datasets: dict[str, DataSet]) -> dict[str, DataSet]:
    """Move the keys of own pictures into their names: `folder:/data/birds size=64` is a data set of its own."""
    found = {}
    for name, entry in datasets.items():
        keys = {key: value for key in OF_PICTURES if (value := getattr(entry, key)) is not None}
        if keys and not name.startswith(FOLDER):
            raise ValueError(
                f"{name} has no {', '.join(keys)}: only your own pictures (`{FOLDER}<path>`) have these keys; leave them out"
            )
        named = name + "".join(f" {key}={value}" for key, value in keys.items())
        if named in found:
            raise ValueError(f"{named} occurs twice; put its ways and shots together")
        found[named] = entry.model_copy(update=dict.fromkeys(keys))
    return found


class Variant(Part):
    """A learner of its own: an algorithm with some other hyper-parameters, or from another pretraining."""

    algorithm: str
    """Name of the algorithm, or path of a Python file."""
    params: Annotated[dict[str, Any], Field(min_length=1)] | None = None
    """Hyper-parameters that differ from those of the algorithm in this study."""
    pretraining: str | None = None
    """Shared training to start from instead of the algorithm's own, such as `supervised`; null = the algorithm's."""
    title: str = ""
    """Name in the report; by default the algorithm's title and what differs."""

    @property
    def changes(self) -> dict[str, Any]:
        """What differs from the algorithm: hyper-parameters, and the pretraining where it is another."""
        return {**(self.params or {}), **({"pretraining": self.pretraining} if self.pretraining else {})}


class Training(Part):
    """Budget and machine of every training."""

    steps: Count | None = None
    """Meta-updates of every algorithm; null = its published budget."""
    minutes: Annotated[Number, Field(gt=0)] | None = None
    """Time limit of a training in minutes; null = no limit."""
    validate_every: Count = 500
    """Meta-updates between validations."""
    validation_episodes: Annotated[int, Field(ge=8)] = 200
    """Episodes of a validation, which chooses the best checkpoint."""
    threads: Count = 1
    """CPU threads of a training or test."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device of trainings and tests; auto = a GPU where there is one."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of convolutions in training. Everything else, every test included, is float32."""


class Testing(Part):
    """Meta-test on the frozen episodes of each setting."""

    episodes: Annotated[int, Field(ge=2)] = 1000
    """Test episodes per setting."""
    query: Count = 15
    """Query images per class."""
    modes: Some[Mode] = ("inductive", "transductive")
    """May batch statistics come from the queries (transductive) or not (inductive)?"""


class Shifts(Part):
    """Distribution shifts at test, each in the reported mode of an algorithm, and in the further `modes`."""

    episodes: Annotated[int, Field(ge=2)] = 300
    """Test episodes per shifted condition, the first of the setting's."""
    scopes: Some[Scope] = ("task", "query")
    """What is shifted: the whole task, or its query images only."""
    modes: Distinct[Mode] = ()
    """Further modes to test under shift, of those in `test.modes`, on the same episodes as the reported mode."""
    further: Literal["every", "highest"] = "every"
    """Severities at which further modes, and scopes after the first, are tested: every one; or only the highest of each
    shift, and no further mode in a further scope."""
    severities: dict[str, Distinct[Severity]] = {}
    """Severities, 1 to 5, by shift."""
    strengths: dict[str, Distinct[Number]] = {}
    """Exact strengths by shift of images, in the shift's own unit, beside the severities."""


class Stream(Part):
    """Trainings by the stream protocol of Santoro et al. 2016 on Omniglot, as `python -m bench stream` runs them."""

    learners: Some[StreamLearner]
    """`lstm`, `mann` or `ntm`, with hyper-parameters of the memory as in `mann content=own`."""
    updates: Count = 100_000
    """Meta-updates, each of 16 streams."""
    labels: Some[Literal["independent", "balanced"]] = ("independent",)
    """Labels of a stream: drawn one by one, or each class equally often."""
    seeds: Some[Seed] = (0,)
    """One training each."""


class Settings(Part):
    """What to run. Unknown keys are errors; keys that are left out have their default."""

    study: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_]*$", max_length=100)]
    """Name of the study and of its folders under results/ and reports/: lower-case letters, digits and _."""
    title: str = ""
    """Title of the report; by default the name of the study."""
    note: str = ""
    """What a reader must know before any number, shown at the top of the report."""
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] = 0
    """Seed of the frozen meta-validation and meta-test episodes."""
    datasets: Annotated[dict[str, DataSet], Field(min_length=1), AfterValidator(_named)]
    """Data sets by name, each with the tasks posed on it."""
    algorithms: Distinct[str] = ()
    """Names of algorithms (`python -m bench list`), or paths of Python files."""
    variants: Annotated[dict[VariantName, Variant], _NO_OTHER_NAMES] = {}
    """Further learners by name, each an algorithm with some hyper-parameters of its own."""
    seeds: Some[Seed] = (0,)
    """Seeds of initialisation and training tasks: one training each."""
    train: Training = Training()
    overrides: dict[str, dict[str, Any]] = {}
    """Hyper-parameters by algorithm, or by algorithm and task as in `maml omniglot 20way`."""
    test: Testing = Testing()
    shifts: Shifts = Shifts()
    experiments: Experiments = Experiments()
    stream: Stream | None = None
    """Trainings on streams beside the runs of the study; null = none."""
