"""Few-shot episodes: drawn on the device while training, frozen as index lists for validation and test."""

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tasks.dataset import ImageSplit
from tasks.seeds import numpy_generator


@dataclass(frozen=True, eq=False)
class Episodes:
    """A batch of B tasks: support_x `[B, S, *x]`, support_y `[B, S]`, query_x `[B, Q, *x]`, query_y `[B, Q]`.

    Classification: images float32 in [0, 1], labels int64 in [0, way). Regression: y is float `[B, S, d]`.
    truth: the numbers `[B, p]` that define generated tasks, for yardsticks that are told them (`adapt_to`); else None.
    """

    support_x: Tensor
    support_y: Tensor
    query_x: Tensor
    query_y: Tensor
    way: int
    truth: Tensor | None = None

    def __len__(self) -> int:
        return len(self.support_x)


def draw_distinct(
    total: int | Tensor, count: int, shape: tuple[int, ...], generator: torch.Generator
) -> Tensor:
    """Draw in order without replacement: int64 `[*shape, count]`, uniform over arrangements, no rejection, no host sync.

    The i-th draw is a rank among the `total - i` values not drawn yet; it moves up by one for each smaller value
    that is gone. With the drawn values sorted, that is the number of s_k with s_k - k <= rank.
    total: one number, or one for each draw, int64 `[*shape]` on the generator's device, each at least `count` (not checked).
    ValueError: `count` exceeds `total`.
    """
    if isinstance(total, int) and count > total:
        raise ValueError(f"cannot draw {count} distinct values out of {total}")
    device = generator.device
    order = torch.arange(count, device=device)
    left = (total.unsqueeze(-1) if isinstance(total, Tensor) else total) - order
    ranks = (torch.rand(*shape, count, generator=generator, device=device, dtype=torch.float64) * left).long()
    drawn = ranks[..., :1]
    for i in range(1, count):
        rank = ranks[..., i : i + 1]
        gone = drawn.sort(dim=-1).values - order[:i]
        drawn = torch.cat([drawn, rank + (gone <= rank).sum(-1, keepdim=True)], dim=-1)
    return drawn


TRAIN_LABELS = ("shuffled", "groups", "tuples", "shuffled_tuples")
"""Ways to choose and label the classes of a training task. With `groups` and `tuples` a class has the same label in
every task, so that one classifier of all training classes solves them without a support set ("non-mutually-exclusive").

shuffled: any classes, in any order. groups: one class of each group, the label is the group (Yin et al. 2020).
tuples: the classes of one tuple in its fixed order; shuffled_tuples: in any order (Rajendran et al. 2020).
"""


def partition(classes: int, way: int) -> np.ndarray:
    """Fixed arrangement of training classes, int64 `[tuples, way]`: a row is a tuple, a column is a group.

    It depends on the arguments only, not on a training seed, so all learners can memorise the same labels. Up to
    `way - 1` classes are left over and never seen. Rotated copies of a character are classes like any other and may be in
    different groups and tuples. A row is also a task with one class of each group. ValueError: fewer classes than `way`.
    """
    if way > classes:
        raise ValueError(f"{classes} classes cannot be divided into {way} groups: lower the way of training")
    order = numpy_generator("partition of classes", classes, way).permutation(classes)
    return order[: classes // way * way].reshape(-1, way)


class EpisodeSampler:
    """Training episodes from a resident uint8 tensor; indices are drawn on the device by the sampler's own generator."""

    def __init__(self, split: ImageSplit, generator: torch.Generator):
        self.split, self.generator = split, generator
        self.classes, self.per_class = split.images.shape[:2]
        self.partitions: dict[int, Tensor] = {}
        self.counts = self.listed = None
        if split.counts:  # int64 [classes], and flat ids of all images, without the padding
            self.counts = torch.tensor(split.counts, device=split.images.device)
            listed = [self.per_class * c + torch.arange(count) for c, count in enumerate(split.counts)]
            self.listed = torch.cat(listed).to(split.images.device)

    def sample(self, tasks: int, way: int, shot: int, query: int, labels: str = "shuffled") -> Episodes:
        """Draw `tasks` episodes, each with its own classes, labels, images and order of support and query.

        labels: one of TRAIN_LABELS; with all but `shuffled`, classes and labels come from the partition for this way.
        ValueError: a class has too few images.
        """
        if self.counts is not None:
            check_sizes(self.split, shot, query, "train_query")
        classes = self._choose_classes(tasks, way, labels)
        sizes = self.per_class if self.counts is None else self.counts[classes]
        images = draw_distinct(sizes, shot + query, (tasks, way), self.generator)
        flat = classes.unsqueeze(-1) * self.per_class + images
        labels = torch.arange(way, device=flat.device).view(1, way, 1).expand(tasks, way, shot + query)
        support, support_y = self._shuffle(flat[..., :shot], labels[..., :shot])
        query_ids, query_y = self._shuffle(flat[..., shot:], labels[..., shot:])
        return Episodes(self.split.gather(support), support_y, self.split.gather(query_ids), query_y, way)

    def sample_images(self, count: int) -> tuple[Tensor, Tensor]:
        """Draw a mini-batch of all classes with replacement: images `[count, *x]` in [0, 1], classes `[count]`."""
        total = self.classes * self.per_class if self.listed is None else len(self.listed)
        flat = torch.randint(total, (count,), generator=self.generator, device=self.split.images.device)
        flat = flat if self.listed is None else self.listed[flat]
        return self.split.gather(flat), flat // self.per_class

    def _choose_classes(self, tasks: int, way: int, labels: str) -> Tensor:
        """Draw the classes of each task in the order of their labels: int64 `[tasks, way]`, on the device."""
        if labels not in TRAIN_LABELS:
            raise ValueError(f"labels {labels!r} of training tasks: choose from {', '.join(TRAIN_LABELS)}")
        if labels == "shuffled":
            return draw_distinct(self.classes, way, (tasks,), self.generator)
        device = self.generator.device
        if way not in self.partitions:  # copied once, because a copy makes the host wait for the device
            self.partitions[way] = torch.from_numpy(partition(self.classes, way)).to(device)
        table, columns = self.partitions[way], way if labels == "groups" else 1
        rows = torch.randint(len(table), (tasks, columns), generator=self.generator, device=device)
        classes = table.gather(0, rows.expand(tasks, way))
        if labels == "shuffled_tuples":
            classes = classes.gather(1, draw_distinct(way, way, (tasks,), self.generator))
        return classes

    def _shuffle(self, flat: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        flat, labels = flat.flatten(1), labels.flatten(1)
        noise = torch.rand(flat.shape, generator=self.generator, device=flat.device)
        order = noise.argsort(dim=1, stable=True)
        return flat.gather(1, order), labels.gather(1, order)


class Choice(NamedTuple):
    """Pools of classes, one of which is drawn for each episode. in_order: all of it, in its order (see tasks/choices.py)."""

    name: str
    pools: list[np.ndarray]
    in_order: bool = False


@dataclass(frozen=True, eq=False)
class FrozenEpisodes:
    """Index lists shared by every algorithm, seed and device, so that statistics can be paired.

    support, support_y int64 `[T, S]`; query, query_y `[T, Q]`: flat image ids of an ImageSplit and labels.
    """

    support: np.ndarray
    support_y: np.ndarray
    query: np.ndarray
    query_y: np.ndarray
    way: int
    shot: int

    @classmethod
    def draw(
        cls,
        classes: int,
        per_class: int,
        tasks: int,
        way: int,
        shot: int,
        query: int,
        *axes: str | int,
        choice: Choice | None = None,
        counts: list[int] | None = None,
    ) -> "FrozenEpisodes":
        """Draw episodes as a pure function of the arguments; episode t does not depend on how many follow it.

        axes: further names that the draws depend on. choice: of the classes, any by default. counts: images of each
        class, where some have less than `per_class`. ValueError: the part or a class is too small.
        """
        smallest = min(counts or [per_class])
        if way > classes or shot + query > smallest:
            raise ValueError(
                f"{way}-way {shot}-shot episodes with {query} queries per class need {way} classes of {shot + query} "
                f"images; this part has {classes} of {smallest}: lower way, shot or query"
            )
        names = (choice.name,) if choice else ()
        choice = choice or Choice("", [np.arange(classes)])
        generator = numpy_generator("episodes", classes, per_class, way, shot, query, *axes, *names)
        sizes = counts or [per_class] * classes
        rows = [cls._draw_one(generator, choice, per_class, sizes, way, shot, query) for _ in range(tasks)]
        return cls(*(np.stack(column) for column in zip(*rows, strict=True)), way, shot)

    @staticmethod
    def _draw_one(generator, choice, per_class, sizes, way, shot, query):
        several = len(choice.pools) > 1
        pool = choice.pools[generator.integers(len(choice.pools)) if several else 0]
        chosen = pool if choice.in_order else generator.permutation(pool)[:way]
        images = np.stack([generator.permutation(sizes[c])[: shot + query] for c in chosen])
        flat = chosen[:, None] * per_class + images
        support, query_order = generator.permutation(way * shot), generator.permutation(way * query)
        label = np.arange(way)
        return (
            flat[:, :shot].reshape(-1)[support],
            label.repeat(shot)[support],
            flat[:, shot:].reshape(-1)[query_order],
            label.repeat(query)[query_order],
        )

    def __len__(self) -> int:
        return len(self.support)

    @property
    def digest(self) -> str:
        """sha256 of the index lists, stored with each result and checked before two results are compared."""
        code = hashlib.sha256(f"{self.way}-way {self.shot}-shot".encode())
        for array in (self.support, self.support_y, self.query, self.query_y):
            code.update(np.ascontiguousarray(array, dtype="<i8").tobytes())
        return code.hexdigest()

    def head(self, tasks: int) -> "FrozenEpisodes":
        """Return the first `tasks` episodes."""
        arrays = (self.support, self.support_y, self.query, self.query_y)
        return FrozenEpisodes(*(array[:tasks] for array in arrays), self.way, self.shot)

    def tensors(self, part: slice, device: torch.device) -> tuple[Tensor, ...]:
        """Return support, support_y, query and query_y of some episodes, on a device."""
        arrays = (self.support, self.support_y, self.query, self.query_y)
        return tuple(torch.from_numpy(array[part]).to(device) for array in arrays)

    def batch(self, split: ImageSplit, start: int, stop: int) -> Episodes:
        """Return episodes `start` to `stop - 1` as images of `split`, on its device."""
        support, support_y, query, query_y = self.tensors(slice(start, stop), split.images.device)
        return Episodes(split.gather(support), support_y, split.gather(query), query_y, self.way)


def check_sizes(split: ImageSplit, shot: int, query: int, key: str) -> None:
    """ValueError names the classes with fewer than shot + query images, and the remedy. key: the setting behind `query`."""
    sizes = split.counts or [split.images.shape[1]] * len(split.images)
    small = {name: n for name, n in zip(split.class_names, sizes, strict=True) if n < shot + query}
    if small:
        shown = ", ".join(f"{name} ({n})" for name, n in list(small.items())[:5])
        raise ValueError(
            f"{split.data.meta.get('name', 'data set')}, {split.part}: {len(small)} classes have fewer images than "
            f"{shot} support + {query} query: {shown}{', ...' if len(small) > 5 else ''}; "
            f"lower the shot or {key}, or add images to these classes or leave them out"
        )
