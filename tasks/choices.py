"""Test episodes whose classes or labels are chosen in another way than at random. Trainings need none of this."""

from dataclasses import replace

import numpy as np

from tasks.episodes import Choice, FrozenEpisodes, partition


def within_groups(groups: list[str], way: int) -> Choice:
    """All classes of an episode are of one group, drawn evenly from the groups that have `way` classes.

    groups: group of each class. ValueError: there is no such group.
    """
    names, counts = np.unique(groups, return_counts=True)
    large = names[counts >= way]
    if not len(large):
        raise ValueError(f"no group has {way} classes (the largest has {counts.max()}): lower way")
    return Choice("within groups", [np.flatnonzero(np.array(groups) == name) for name in large])


def fixed_labels(classes: int, way: int) -> Choice:
    """Each episode is a tuple of `partition`, with the labels of the partition."""
    return Choice("fixed labels", list(partition(classes, way)), in_order=True)


def relabelled(episodes: FrozenEpisodes) -> FrozenEpisodes:
    """Return the same images with each support class under the label of another class; queries keep their labels.

    Labels move up by 1 to way - 1, in turn over the episodes, so each class has each wrong label equally often.
    """
    moved = 1 + np.arange(len(episodes)) % (episodes.way - 1)
    return replace(episodes, support_y=(episodes.support_y + moved[:, None]) % episodes.way)
