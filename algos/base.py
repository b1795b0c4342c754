"""The contract of a meta-learner: two verbs, `adapt` and `predict`, over batches of tasks."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algos.hyper import HyperParameters, hyper, preset
from algos.nets.augment import CROPS, augmented_tasks
from algos.nets.layers import Statistics
from tasks.episodes import TRAIN_LABELS, Episodes


@dataclass(frozen=True)
class TaskSpec:
    """What an algorithm may know about its tasks before it sees one.

    input_shape: of one input (`(C, H, W)` or `(d,)`); way: classes per test task (regression: output dimension).
    mean, std: per input channel, in [0, 1] units. parameters: how many numbers define a task, if it is generated.
    """

    dataset: str
    kind: str
    input_shape: tuple[int, ...]
    way: int
    shot: int
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    parameters: int = 0


LABELS = "classes and labels of a training task: any, or fixed by a partition of the classes"


@dataclass(frozen=True)
class Params(HyperParameters):
    """Hyper-parameters of meta-training that every trained algorithm has."""

    steps: int = hyper(20_000, "meta-updates")
    meta_batch: int = hyper(16, "tasks per meta-update")
    train_way: int | None = hyper(None, "classes per training task; null = as tested")
    train_shot: int | None = hyper(None, "support examples per class in training; null = as tested")
    train_query: int = hyper(5, "query examples per class in training")
    train_labels: str = hyper("shuffled", LABELS, TRAIN_LABELS)
    augment: str = hyper("none", "crops, colour jitter and mirroring of training photos", ("none", *CROPS))
    optimizer: str = hyper("adam", "optimiser of the outer loop", ("adam", "sgd", "nesterov"))
    momentum: float = hyper(0.9, "momentum of sgd and nesterov", least=0, most=1)
    weight_decay: float = hyper(0.0, "L2 penalty of the outer loop", least=0)
    learning_rate: float = hyper(1e-3, "rate in the outer loop")
    schedule: str = hyper("cosine", "course of the rate", ("constant", "halve", "drops", "cosine"))
    drops: str = hyper("", "shares of the updates and factors of the rate for schedule `drops`")
    halve_every: int = hyper(2_000, "meta-updates between halvings, for schedule `halve`")
    clip_norm: float = hyper(10.0, "largest global norm of the outer gradient; 0 = no clipping", least=0)


class MetaLearner(nn.Module):
    """Base class of all algorithms; a file under `algos/<family>/` that holds one subclass is one algorithm.

    `adapt` maps B support sets to phi (any structure of tensors with leading B), `predict` maps phi and queries to
    logits `[B, Q, way]` (regression: mean `[B, Q, d]`). In training mode both record what the outer gradient needs.
    """

    title: ClassVar[str]
    family: ClassVar[str]
    citation: ClassVar[str]
    tasks: ClassVar[tuple[str, ...]] = ("classification",)
    Params: ClassVar[type[HyperParameters]] = Params
    presets: ClassVar[dict[str, dict[str, Any]]] = {}
    """Published settings by task, e.g. `{"omniglot": {...}, "omniglot 20way": {...}}`; the more specific one wins."""
    stated: ClassVar[tuple[str, ...]] = ()
    """Data sets for which a preset's `steps` are in the paper or its code: only there, a budget is a share of something."""
    yardstick: ClassVar[bool] = False
    """A yardstick, not a competitor: it knows more about the tasks than learners can, or does not learn at all."""
    trainable: ClassVar[bool] = True
    pretraining: ClassVar[str | None] = None
    """A file under algos/pretraining/, trained once for all learners that name it: its encoder becomes theirs."""
    modes: ClassVar[tuple[str, ...]] = ("inductive", "transductive")
    """May a prediction see the other queries, through batch-norm statistics? What `predict` can do."""
    paper_mode: ClassVar[str] = "inductive"
    capturable: ClassVar[bool] = False
    """May a GPU replay a recorded meta-update (bench/protocol/cuda_graph.py)? Only if nothing depends on its number or the host."""
    any_way: bool = True
    """May a test task have another number of classes than the learner was built for?"""
    test_steps: int | None = None
    """Steps of the inner loop at test; -1: as many as the learner takes for a support set of that size; None: no inner loop."""

    def __init__(self, spec: TaskSpec, params: HyperParameters):
        super().__init__()
        if spec.kind not in self.tasks:
            can = ", ".join(self.tasks)
            raise ValueError(f"{type(self).__name__} does not do {spec.kind}; it does {can}")
        self.spec, self.params = spec, params
        self.transductive = self.paper_mode == "transductive"

    @classmethod
    def resolve(cls, name: str, spec: TaskSpec, overrides: dict[str, Any] | None = None) -> HyperParameters:
        """Hyper-parameters for a task: defaults, then matching presets, then the study's overrides."""
        values = preset(cls.presets, {spec.dataset, f"{spec.way}way", f"{spec.shot}shot"})
        return cls.Params().override(name, values | (overrides or {}))

    def require_own_way(self, way: int, has: str, remedy: str = "") -> None:
        """For learners that cannot do any way. ValueError unless a task has as many classes as they were built for."""
        if way != self.spec.way:
            wanted = f"cannot do {way}-way tasks{remedy}"
            raise ValueError(f"{self.title} {has} {self.spec.way} classes and {wanted}")

    @contextmanager
    def testing(self, transductive: bool | None = None, steps: int | None = None) -> Iterator[None]:
        """Test settings for a block: evaluation mode without gradients; everything is restored on leaving it.

        transductive: may predictions see the other queries? steps: of the inner loop. None: as it is.
        """
        before = self.training, self.transductive, self.test_steps
        self.eval()
        self.transductive = self.transductive if transductive is None else transductive
        self.test_steps = self.test_steps if steps is None else steps
        try:
            with torch.no_grad():
                yield
        finally:
            training, self.transductive, self.test_steps = before
            self.train(training)

    def take_encoder(self, pretrained: "MetaLearner") -> None:
        """Use the encoder of a pretraining in place of the own one."""
        self.encoder = pretrained.encoder

    def adapt(self, support_x: Tensor, support_y: Tensor, way: int) -> Any:
        """theta -> phi for B tasks at once: support_x `[B, S, *x]`, support_y `[B, S]`."""
        raise NotImplementedError

    def adapt_to(self, episodes: Episodes) -> Any:
        """phi of a batch of tasks, from their support sets. Only a yardstick may look at `episodes.truth` instead."""
        return self.adapt(episodes.support_x, episodes.support_y, episodes.way)

    def predict(self, phi: Any, query_x: Tensor) -> Tensor:
        """Logits `[B, Q, way]` (regression: mean `[B, Q, d]`) for query_x `[B, Q, *x]`."""
        raise NotImplementedError

    def distribution(self, phi: Any, query_x: Tensor) -> tuple[Tensor, Tensor] | None:
        """Regression at test: mean `[B, Q, d]` and variance `[B, Q, 1 or d]` of an observation, by Gaussian learners.

        None: the learner predicts a mean only, and has no likelihood or interval to score.
        """
        return None

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Mean cross-entropy (regression: mean squared error) over all tasks and queries."""
        if self.spec.kind == "regression":
            return F.mse_loss(prediction, target)
        return F.cross_entropy(prediction.flatten(0, 1), target.flatten())

    def outer_loss(self, episodes: Episodes) -> Tensor:
        """Loss of the adapted learner on the queries: what meta-training minimises."""
        return self.loss(self.predict(self.adapt_to(episodes), episodes.query_x), episodes.query_y)

    def meta_update(self, sampler: Any, optimizer: torch.optim.Optimizer) -> Tensor:
        """One step of meta-training; returns the loss, still on the device. The hook for other ways of training."""
        p = self.params
        way, shot = p.train_way or self.spec.way, p.train_shot or self.spec.shot
        episodes = sampler.sample(p.meta_batch, way, shot, p.train_query, p.train_labels)
        loss = self.outer_loss(augmented_tasks(episodes, p.augment))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if p.clip_norm:
            nn.utils.clip_grad_norm_(self.parameters(), p.clip_norm)
        optimizer.step()
        return loss.detach()


class EmbeddingLearner(MetaLearner):
    """A learner whose encoder is not adapted: it is embed, then `fit` on the support features, then `score`.

    In inductive mode the encoder normalises with running statistics, so each image is embedded on its own. In training
    and in transductive mode support and queries share one pass and its batch statistics.
    """

    encoder: nn.Module

    def fit(self, features: Tensor, support_y: Tensor, way: int) -> Any:
        """Support features `[B, S, D]` -> phi."""
        raise NotImplementedError

    def score(self, phi: Any, features: Tensor) -> Tensor:
        """Query features `[B, Q, D]` -> logits `[B, Q, way]`."""
        raise NotImplementedError

    def embed(self, x: Tensor) -> Tensor:
        """`[B, n, *x]` -> `[B, n, D]`, each image on its own."""
        return self.encoder(x, Statistics.running())

    def adapt(self, support_x: Tensor, support_y: Tensor, way: int) -> Any:
        if self.training or self.transductive:
            return support_x, support_y, way  # batch statistics need the queries: see predict
        return self.fit(self.embed(support_x), support_y, way)

    def predict(self, phi: Any, query_x: Tensor) -> Tensor:
        if not (self.training or self.transductive):
            return self.score(phi, self.embed(query_x))
        support_x, support_y, way = phi
        features = self._embed_together(torch.cat([support_x, query_x], dim=1))
        support, query = features.split([support_x.shape[1], query_x.shape[1]], dim=1)
        return self.score(self.fit(support, support_y, way), query)

    def _embed_together(self, x: Tensor) -> Tensor:
        """Batch statistics: per task at test; over all tasks of the meta-batch, and remembered, in training."""
        statistics = Statistics.batch()
        if not self.training:
            return self.encoder(x, statistics)
        features = self.encoder(x.flatten(0, 1).unsqueeze(0), statistics)[0].unflatten(0, x.shape[:2])
        statistics.remember()
        return features
