"""A trained learner outside the benchmark: `load_learner(folder)`, then `adapt` and `predict`."""

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch

import algos
from algos.base import MetaLearner, TaskSpec
from bench.results.run_folder import read_run
from bench.results.schema import DIVERGED, MODEL
from bench.use.form import Form, form_of
from tasks.generated import FUNCTIONS

BATCH = 256
"""Queries that pass the network at once."""


class TrainedLearner:
    """A trained learner with the form of its inputs. `adapt` learns classes from examples, `predict` names them.

    classes: the labels that `adapt` was given, sorted; columns of what `predict` returns. way, shot: of the tasks that
    it was trained for.
    """

    def __init__(self, learner: MetaLearner, form: Form, title: str, device: str):
        self.learner, self.form, self.title, self.device = learner.to(device).eval(), form, title, device
        self.way, self.shot, self.kind = learner.spec.way, learner.spec.shot, learner.spec.kind
        self.classes: list = []
        self._phi: Any = None

    def adapt(self, images: Any, labels: Sequence[Hashable]) -> "TrainedLearner":
        """Learn from a support set and return self; what was learned before is forgotten.

        images: n paths, or an array `[n, H, W]` or `[n, H, W, C]` (regression: `[n, d]`). labels: n names or numbers
        (regression: targets `[n, d]`). ValueError: they do not fit together, or the learner cannot do so many classes.
        """
        x, labels = self.form.inputs(images), _listed(labels)
        if len(x) != len(labels):
            raise ValueError(f"there are {len(x)} images and {len(labels)} labels; give one label per image")
        if self.kind == "regression":
            y, way = torch.tensor(labels, dtype=torch.float32).reshape(len(x), -1), self.way
            if y.shape[1] != way:
                raise ValueError(f"targets have the shape {list(y.shape)}; this learner takes [n, {way}]")
        else:
            self.classes = sorted(set(labels), key=lambda label: (str(type(label)), label))
            y = torch.tensor([self.classes.index(label) for label in labels])
            way = len(self.classes)
        if self.kind == "classification" and way < 2:
            raise ValueError(f"the support set has {way} class; give images of at least two")
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
        with self.learner.testing(transductive=False):
            support = (part[order].unsqueeze(0).to(self.device) for part in (x, y))
            self._phi = self.learner.adapt(*support, way)
        return self

    def predict(self, queries: Any) -> np.ndarray:
        """Probabilities float32 `[n, classes]` of n queries (regression: means `[n, d]`), each query on its own.

        queries: as the images of `adapt`. RuntimeError: `adapt` has not been called.
        """
        if self._phi is None:
            raise RuntimeError("call adapt(images, labels) before predict(queries)")
        found = []
        with self.learner.testing(transductive=False):
            for part in self.form.inputs(queries).split(BATCH):
                answer = self.learner.predict(self._phi, part.unsqueeze(0).to(self.device))[0]
                found.append(answer if self.kind == "regression" else answer.softmax(-1))
        return torch.cat(found).cpu().numpy()


def load_learner(folder: str | Path, device: str = "cpu") -> TrainedLearner:
    """Return the learner that a run has trained. folder: of the run, e.g. `results/quick/glyphs/5way_1shot/maml/seed0`.

    FileNotFoundError: the folder holds no trained run. ValueError: the training diverged, or the weights do not fit.
    """
    folder = Path(folder)
    result = read_run(folder)
    record = result.run
    if record is None or not (folder / MODEL).exists():
        raise FileNotFoundError(
            f"{folder} holds no trained run (run.json and {MODEL}); give the folder of a run, such as "
            "results/quick/glyphs/5way_1shot/maml/seed0"
        )
    if record["status"] == DIVERGED:
        raise ValueError(f"{folder}: the training diverged ({record['reason']}), so there is no model")
    result.check(MODEL)
    form = form_of(record)
    learner = _built(record, form, folder)
    try:
        learner.load_state_dict(safetensors.torch.load_file(folder / MODEL))
    except (RuntimeError, safetensors.SafetensorError) as error:
        raise ValueError(
            f"{folder / MODEL} does not fit the code of {record['algorithm']}: train the run again ({error})"
        ) from error
    return TrainedLearner(learner, form, record["title"], device)


def _built(record: dict, form: Form, folder: Path) -> MetaLearner:
    """The run's learner, without its weights."""
    code = record.get("code") or record.get("variant_of") or record["algorithm"]
    try:
        learner_class = algos.load(code)
    except (ValueError, FileNotFoundError) as error:
        raise ValueError(f"{folder}/run.json: {error}; call from the folder where it was trained") from error
    made = FUNCTIONS[record["dataset"]].PARAMETERS if record["dataset"] in FUNCTIONS else ()
    task = (record["dataset"], record["task_kind"], form.shape, record["way"], record["shot"])
    spec = TaskSpec(*task, form.mean, form.std, len(made))
    values, shared = record["hyper_parameters"], learner_class.pretraining
    own = {key: value for key, value in values.items() if "." not in key}
    with torch.random.fork_rng(devices=[]):  # initial weights are drawn, and replaced
        learner = learner_class(spec, learner_class.Params().override(code, own))
        if shared:
            of_shared = {
                k.removeprefix(f"{shared}."): v for k, v in values.items() if k.startswith(f"{shared}.")
            }
            pretraining = algos.load_pretraining(shared)
            learner.take_encoder(pretraining(spec, pretraining.Params().override(shared, of_shared)))
    return learner


def _listed(labels: Any) -> list:
    return labels.tolist() if isinstance(labels, np.ndarray | torch.Tensor) else list(labels)
