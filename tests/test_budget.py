"""Which lengths of published trainings are known: only there is a budget a share of something."""

import pytest

import algos
from algos.base import TaskSpec
from bench.protocol.record import published_tasks

PHOTO = TaskSpec("miniimagenet", "classification", (3, 84, 84), 5, 1)
GLYPH = TaskSpec("omniglot", "classification", (1, 28, 28), 5, 1)


class Learner:
    """The facts of a learner that a budget depends on, without its network."""

    def __init__(self, name: str, spec: TaskSpec):
        kind = {**algos.discover(), **algos.pretrainings()}[name]
        self.kind = algos.load_pretraining(name) if "pretraining" in kind.parts else algos.load(name)
        self.stated, self.resolve, self.spec = self.kind.stated, self.kind.resolve, spec


@pytest.mark.parametrize(
    ("name", "spec", "tasks"),
    [
        ("maml", GLYPH, 60_000 * 32),
        ("maml", PHOTO, 60_000 * 4),
        ("mamlpp", GLYPH, 50_000 * 8),
        ("sca", PHOTO, 75_000 * 2),
        ("metaopt_svm", PHOTO, 60_000 * 8),
        ("supervised_cosine", PHOTO, 960_000 * 16),
        ("relation", GLYPH, 1_000_000),
        ("protonet", GLYPH, None),  # stopped by patience
        ("metanet", GLYPH, None),  # the end of an axis
        ("metanet", PHOTO, None),
        ("snail", PHOTO, None),
        ("sca", GLYPH, None),  # MAML++'s preset
        ("matching", GLYPH, None),
    ],
)
def test_a_budget_is_a_share_only_of_a_stated_length(name, spec, tasks):
    assert published_tasks(Learner(name, spec), name) == tasks


def test_a_stated_length_stands_in_a_preset():
    for name in algos.discover():
        learner = algos.load(name)
        for dataset in learner.stated:
            presets = [preset for key, preset in learner.presets.items() if dataset in key.split()]
            assert any("steps" in preset for preset in presets), f"{name}: {dataset}"


def test_sca_is_trained_on_omniglot_as_the_learner_that_the_claim_holds_it_against():
    for way in (5, 20):
        spec = TaskSpec("omniglot", "classification", (1, 28, 28), way, 1)
        sca, base = (vars(algos.load(name).resolve(name, spec)) for name in ("sca", "mamlpp"))
        assert {key: sca[key] for key in base} == base
