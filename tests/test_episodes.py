"""Properties of the episode samplers: what makes a few-shot number mean what it says."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy import stats

from tasks.choices import fixed_labels, relabelled
from tasks.dataset import ImageData, ImageSplit
from tasks.episodes import TRAIN_LABELS, Episodes, EpisodeSampler, FrozenEpisodes, draw_distinct, partition
from tasks.seeds import numpy_generator, seed_from, torch_generator

CLASSES, PER_CLASS = 12, 9


@pytest.fixture
def split() -> ImageSplit:
    """Images that carry their own identity: pixel 0 is the class, pixel 1 the drawing."""
    images = torch.zeros(CLASSES, PER_CLASS, 1, 2, 2, dtype=torch.uint8)
    images[..., 0, 0, 0] = torch.arange(CLASSES).view(-1, 1)
    images[..., 0, 0, 1] = torch.arange(PER_CLASS)
    return ImageSplit(images, ImageData({}, None), "train", list(range(CLASSES)), 1)


def identity(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Class and drawing of each image of `split`."""
    return (x[..., 0, 0, 0] * 255).round().long(), (x[..., 0, 0, 1] * 255).round().long()


def flat_ids(x: torch.Tensor) -> list:
    character, drawing = identity(x)
    return (character * PER_CLASS + drawing).tolist()


def test_named_seeds_depend_on_every_axis_and_on_nothing_else():
    assert seed_from("a", 1) == seed_from("a", "1") != seed_from("a1")
    assert len({seed_from("train", way, shot) for way in range(50) for shot in range(50)}) == 2500
    assert numpy_generator("x").integers(1 << 40) == numpy_generator("x").integers(1 << 40)


def test_distinct_draws_are_uniform_over_arrangements():
    draws = draw_distinct(5, 3, (60_000,), torch_generator("cpu", "arrangements"))
    arrangements, counts = torch.unique(draws, dim=0, return_counts=True)
    assert len(arrangements) == 60
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3


def test_more_distinct_values_than_there_are_is_an_error():
    with pytest.raises(ValueError, match="cannot draw 6 distinct values out of 5"):
        draw_distinct(5, 6, (2,), torch_generator("cpu", "x"))


def test_support_and_query_are_disjoint_and_balanced(split):
    episodes = EpisodeSampler(split, torch_generator("cpu", "a")).sample(300, way=5, shot=3, query=4)
    for x, y, count in ((episodes.support_x, episodes.support_y, 3), (episodes.query_x, episodes.query_y, 4)):
        assert x.shape == (300, 5 * count, 1, 2, 2) and x.dtype == torch.float32 and y.dtype == torch.int64
        assert all(torch.bincount(labels, minlength=5).eq(count).all() for labels in y)
    both = torch.cat([episodes.support_x, episodes.query_x], dim=1)
    character, drawing = identity(both)
    flat = (character * PER_CLASS + drawing).sort(dim=1).values
    assert (flat[:, 1:] != flat[:, :-1]).all(), "an image appears twice in a task"


def test_a_label_names_one_class_and_classes_are_distinct(split):
    episodes = EpisodeSampler(split, torch_generator("cpu", "b")).sample(200, 5, 2, 2)
    support_class, query_class = identity(episodes.support_x)[0], identity(episodes.query_x)[0]
    for t in range(200):
        by_label = [set(support_class[t][episodes.support_y[t] == k].tolist()) for k in range(5)]
        assert all(len(found) == 1 for found in by_label)
        assert len(set.union(*by_label)) == 5
        for k in range(5):
            assert set(query_class[t][episodes.query_y[t] == k].tolist()) == by_label[k]


def test_labels_are_a_fresh_permutation_and_orders_are_shuffled(split):
    """A class gets every label equally often; neither support nor query position predicts the label."""
    episodes = EpisodeSampler(split, torch_generator("cpu", "c")).sample(6000, 3, 1, 2)
    first_class = identity(episodes.support_x)[0] == 0
    counts = torch.bincount(episodes.support_y[first_class], minlength=3)
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3
    for labels in (episodes.support_y, episodes.query_y):
        table = torch.stack(
            [torch.bincount(labels[:, position], minlength=3) for position in range(labels.shape[1])]
        )
        assert stats.chi2_contingency(table.numpy()).pvalue > 1e-3
        assert stats.chisquare(table[0].numpy()).pvalue > 1e-3


def test_classes_and_images_are_drawn_uniformly(split):
    episodes = EpisodeSampler(split, torch_generator("cpu", "d")).sample(4000, 5, 1, 1)
    character, drawing = identity(torch.cat([episodes.support_x, episodes.query_x], dim=1))
    assert (
        stats.chisquare(torch.bincount(character[:, :5].flatten(), minlength=CLASSES).numpy()).pvalue > 1e-3
    )
    assert stats.chisquare(torch.bincount(drawing[:, 0], minlength=PER_CLASS).numpy()).pvalue > 1e-3


def test_a_sampler_is_a_function_of_its_generator(split):
    def sample():
        return EpisodeSampler(split, torch_generator("cpu", "same")).sample(4, 5, 2, 3)

    assert torch.equal(sample().support_x, sample().support_x) and torch.equal(
        sample().query_y, sample().query_y
    )


def test_ordinary_training_tasks_are_those_that_models_were_trained_on(split):
    """Image ids and labels as drawn before fixed labels were known: other draws would orphan every result."""
    sampler = EpisodeSampler(split, torch_generator("cpu", "default"))
    for support, support_y, query, query_y in [
        (
            [[104, 26, 0], [53, 99, 33]],
            [[2, 1, 0], [1, 0, 2]],
            [[24, 101, 106, 19, 1, 4], [104, 100, 30, 48, 45, 35]],
            [[1, 2, 2, 1, 0, 0], [0, 0, 2, 1, 1, 2]],
        ),
        (
            [[101, 74, 66], [4, 90, 42]],
            [[0, 2, 1], [1, 2, 0]],
            [[73, 67, 102, 75, 70, 106], [2, 44, 37, 92, 95, 8]],
            [[2, 1, 0, 2, 1, 0], [1, 0, 0, 2, 2, 1]],
        ),
    ]:
        drawn = sampler.sample(2, 3, 1, 2)
        assert flat_ids(drawn.support_x) == support and drawn.support_y.tolist() == support_y
        assert flat_ids(drawn.query_x) == query and drawn.query_y.tolist() == query_y


def test_a_partition_places_each_class_once_and_depends_on_no_seed():
    table = partition(17, 5)
    assert table.shape == (3, 5) and len(np.unique(table)) == 15 and table.max() <= 16
    assert np.array_equal(table, partition(17, 5))
    assert np.abs(np.diff(partition(100, 5).ravel())).mean() > 10, (
        "neighbours in the alphabet are no neighbours here"
    )
    with pytest.raises(ValueError, match="17 classes cannot be divided into 20 groups"):
        partition(17, 20)


def classes_by_label(episodes: Episodes) -> np.ndarray:
    """Class under each label `[tasks, way]`; fails unless every image of a label, query or support, is of that class."""
    found = np.full((len(episodes), episodes.way), -1)
    for x, y in ((episodes.support_x, episodes.support_y), (episodes.query_x, episodes.query_y)):
        for classes, labels, row in zip(identity(x)[0].numpy(), y.numpy(), found, strict=True):
            for c, label in zip(classes, labels, strict=True):
                assert row[label] in (-1, c)
                row[label] = c
    return found


def sample_labelled(split: ImageSplit, labels: str, tasks: int = 4000) -> np.ndarray:
    return classes_by_label(
        EpisodeSampler(split, torch_generator("cpu", labels)).sample(tasks, 4, 1, 1, labels)
    )


def test_with_groups_the_label_is_the_group_and_classes_combine_freely(split):
    classes, table = sample_labelled(split, "groups"), partition(CLASSES, 4)
    rows = np.stack([[np.flatnonzero(table[:, g] == c).item() for c in classes[:, g]] for g in range(4)])
    for group in rows:
        assert stats.chisquare(np.bincount(group, minlength=3)).pvalue > 1e-3
    assert stats.chisquare(np.unique(rows, axis=1, return_counts=True)[1]).pvalue > 1e-3
    assert len(np.unique(rows, axis=1).T) == 3**4, "some classes never meet"


def test_with_tuples_the_tuples_in_their_order_are_the_only_tasks(split):
    classes = sample_labelled(split, "tuples")
    found, counts = np.unique(classes, axis=0, return_counts=True)
    assert {tuple(row) for row in found} == {tuple(row) for row in partition(CLASSES, 4)}
    assert stats.chisquare(counts).pvalue > 1e-3


def test_shuffled_tuples_are_the_tuples_in_every_order(split):
    """The tasks of `tuples` with labels permuted, all 24 ways equally often: the same to who is blind to their order."""
    classes, table = sample_labelled(split, "shuffled_tuples"), partition(CLASSES, 4)
    found, counts = np.unique(classes, axis=0, return_counts=True)
    assert {tuple(sorted(row)) for row in found} == {tuple(sorted(row)) for row in table}
    assert len(found) == 3 * 24 and stats.chisquare(counts).pvalue > 1e-3


def test_labels_that_are_unknown_or_impossible_are_refused(split):
    sampler = EpisodeSampler(split, torch_generator("cpu", "x"))
    with pytest.raises(ValueError, match="labels 'pairs' of training tasks: choose from shuffled, groups"):
        sampler.sample(2, 4, 1, 1, "pairs")
    for labels in set(TRAIN_LABELS) - {"shuffled"}:
        with pytest.raises(ValueError, match="12 classes cannot be divided into 13 groups"):
            sampler.sample(2, 13, 1, 1, labels)


def test_frozen_episodes_of_fixed_labels_are_tuples_and_their_support_can_be_relabelled(split):
    def draw(tasks):
        return FrozenEpisodes.draw(
            CLASSES, PER_CLASS, tasks, 4, 2, 3, "fixed", choice=fixed_labels(CLASSES, 4)
        )

    frozen, tuples = draw(120), {tuple(row) for row in partition(CLASSES, 4)}
    assert {tuple(row) for row in classes_by_label(frozen.batch(split, 0, 120))} == tuples
    assert frozen.head(20).digest == draw(20).digest
    moved = relabelled(frozen)
    assert (moved.support_y != frozen.support_y).all() and np.array_equal(moved.query_y, frozen.query_y)
    assert moved.head(20).digest == relabelled(frozen.head(20)).digest != frozen.head(20).digest
    of_label = moved.support_y[frozen.support_y == 1]
    assert np.bincount(of_label, minlength=4).tolist() == [80, 0, 80, 80]
    labels = classes_by_label(
        dataclasses.replace(moved, query=moved.support, query_y=moved.support_y).batch(split, 0, 9)
    )
    assert {tuple(sorted(row)) for row in labels} <= {tuple(sorted(row)) for row in tuples}, (
        "no label names two classes"
    )


def test_frozen_episodes_are_a_function_of_their_names():
    def draw(*axes, tasks=20):
        return FrozenEpisodes.draw(CLASSES, PER_CLASS, tasks, 5, 2, 3, *axes)

    assert draw("test", 0).digest == draw("test", 0).digest
    assert len({draw("test", 0).digest, draw("test", 1).digest, draw("val", 0).digest}) == 3
    assert draw("test", 0, tasks=50).head(20).digest == draw("test", 0).digest, (
        "more episodes leave the first as they were"
    )
    assert draw("test", 0).digest == "4c41bf9b259d7794e937f8671a762d665a04ad0a8ea927cce723db8aa06ae0f1", (
        "the frozen test episodes changed: published results lose their pairing"
    )


def test_frozen_episodes_keep_the_rules_of_sampled_ones(split):
    frozen = FrozenEpisodes.draw(CLASSES, PER_CLASS, 100, 5, 2, 3, "rules")
    for t in range(100):
        assert not set(frozen.support[t]) & set(frozen.query[t])
        label_of = dict(zip(frozen.support[t] // PER_CLASS, frozen.support_y[t], strict=True))
        assert len(label_of) == 5 and sorted(label_of.values()) == list(range(5))
        assert all(
            label_of[c] == y for c, y in zip(frozen.query[t] // PER_CLASS, frozen.query_y[t], strict=True)
        )
    assert np.ptp([np.flatnonzero(row == 0)[0] for row in frozen.support_y]) > 0, (
        "the support is not shuffled"
    )
    batch = frozen.batch(split, 10, 13)
    assert torch.equal(identity(batch.support_x)[0], torch.from_numpy(frozen.support[10:13] // PER_CLASS))


def test_impossible_episodes_are_refused_with_the_remedy():
    with pytest.raises(
        ValueError, match="need 5 classes of 12 images; this part has 12 of 9: lower way, shot or query"
    ):
        FrozenEpisodes.draw(CLASSES, PER_CLASS, 1, 5, 2, 10, "x")
