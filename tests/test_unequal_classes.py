"""Classes of unequal size: no episode asks a class for more than it has; where all are equal, nothing changes."""

import numpy as np
import pytest
import torch

from tasks.dataset import ImageData, ImageSplit
from tasks.episodes import EpisodeSampler, FrozenEpisodes, check_sizes, draw_distinct
from tasks.stream import StreamSampler

COUNTS = [6, 9, 7, 12, 6, 8]


def part(counts=None, size=12) -> ImageSplit:
    """Every pixel of an image is its number within the class, plus 1; padding is 0."""
    images = torch.zeros(len(COUNTS), size, 1, 4, 4, dtype=torch.uint8)
    for c, n in enumerate(counts or [size] * len(COUNTS)):
        images[c, :n] = torch.arange(1, n + 1, dtype=torch.uint8).view(n, 1, 1, 1)
    meta = {"class_names": list("abcdef"), "groups": [""] * 6, "name": "own"}
    return ImageSplit(
        images, ImageData(meta | ({"counts": counts} if counts else {}), None), "train", list(range(6)), 1
    )


def generator():
    return torch.Generator().manual_seed(0)


def test_no_training_task_shows_padding_and_every_image_is_drawn():
    split = part(COUNTS)
    sampler, seen = EpisodeSampler(split, generator()), set()
    for labels in ("shuffled", "groups", "tuples"):
        episodes = sampler.sample(200, 3, 2, 4, labels)
        for x in (episodes.support_x, episodes.query_x):
            values = (x * 255).round().int()[..., 0, 0, 0]
            assert values.min() > 0
            seen |= set(values.unique().tolist())
    assert seen == set(range(1, 13))
    images, classes = sampler.sample_images(4000)
    numbers = (images * 255).round().int()[:, 0, 0, 0]
    assert {(c, n) for c, n in zip(classes.tolist(), numbers.tolist(), strict=True)} == {
        (c, n + 1) for c, count in enumerate(COUNTS) for n in range(count)
    }


def test_images_of_a_class_are_distinct_and_evenly_drawn():
    totals = torch.tensor(COUNTS).expand(5000, -1)
    drawn = draw_distinct(totals, 6, tuple(totals.shape), generator())
    assert (drawn < totals.unsqueeze(-1)).all()
    assert all(len(set(row)) == 6 for row in drawn[:50].flatten(0, 1).tolist())
    shares = torch.bincount(drawn[:, 3].flatten(), minlength=12) / 5000
    assert (shares - 0.5).abs().max() < 0.03


def test_equal_classes_draw_the_same_numbers_with_or_without_counts():
    totals = torch.full((7, 5), 12)
    assert torch.equal(
        draw_distinct(totals, 6, (7, 5), generator()), draw_distinct(12, 6, (7, 5), generator())
    )
    plain, counted = (EpisodeSampler(part(c), generator()).sample(20, 3, 2, 4) for c in (None, [12] * 6))
    assert torch.equal(plain.support_x, counted.support_x) and torch.equal(plain.query_x, counted.query_x)
    sizes = 6, 12, 20, 3, 2, 4, "axis"
    assert FrozenEpisodes.draw(*sizes).digest == FrozenEpisodes.draw(*sizes, counts=[12] * 6).digest


def test_frozen_episodes_stay_within_the_counts():
    episodes = FrozenEpisodes.draw(6, 12, 300, 3, 2, 4, counts=COUNTS)
    for ids in (episodes.support, episodes.query):
        assert (ids % 12 < np.array(COUNTS)[ids // 12]).all()
    used = set(np.concatenate([episodes.support.ravel(), episodes.query.ravel()]).tolist())
    assert len(used) == sum(COUNTS)
    with pytest.raises(ValueError, match="need 3 classes of 7 images; this part has 6 of 6"):
        FrozenEpisodes.draw(6, 12, 300, 3, 2, 5, counts=COUNTS)


def test_too_few_images_are_named_before_anything_is_drawn():
    said = r"own, train: 2 classes have fewer images than 2 support \+ 5 query: a \(6\), e \(6\); lower the shot or train_query"
    with pytest.raises(ValueError, match=said):
        EpisodeSampler(part(COUNTS), generator()).sample(1, 3, 2, 5)
    check_sizes(part(COUNTS), 2, 4, "train_query")


def test_rotated_copies_have_the_size_of_their_class():
    split = part(COUNTS)
    turned = ImageSplit(torch.cat([split.images] * 2), split.data, "train", [0, 1, 2, 3, 4, 5], 2)
    assert turned.counts == COUNTS * 2 and turned.smallest == 6 and part().counts is None


def test_streams_show_no_padding():
    streams = StreamSampler(part(COUNTS), generator(), balanced=True, augment=False).sample(50, 5, 50)
    assert streams.x.mean(-1).min() * 255 > 0.5
