"""Test tasks unlike those of meta-training: what each experiment draws, and who takes part."""

import numpy as np
import pytest
import torch

import algos
from bench.protocol.optimizer import learning_rate
from bench.protocol.other_tasks import INITIAL, other_tasks
from bench.protocol.sources import open_source
from bench.study import jobs
from bench.study.experiments import Experiments
from bench.study.settings import Shifts
from bench.study.study import Study
from tasks.choices import within_groups
from tasks.episodes import FrozenEpisodes
from tasks.preparation.write import write_prepared
from tests import planted


def job(**wanted) -> jobs.TestingJob:
    """A test of six episodes per experiment, with only the wanted experiments."""
    experiments = Experiments(**{"episodes": 6} | wanted)
    return jobs.TestingJob(None, 0, 10, 4, ("inductive",), Shifts(), experiments)


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_ROOT", str(tmp_path))
    write_prepared("planted", planted.pictures(), planted.meta(), root=tmp_path / "prepared")
    return open_source("planted", None, torch.device("cpu"))


def run(source, name, frozen_way=planted.WAY, learner=None, **wanted):
    """Conditions of a learner in order, with their scores."""
    learner = learner or planted.small(algos.load(name)).eval()
    frozen = source.frozen("test", 10, frozen_way, planted.SHOT, 4, 0)
    return list(other_tasks(learner, source, frozen, job(**wanted)))


def test_nothing_is_tested_unless_it_is_switched_on(source):
    assert run(source, "protonet") == []


def test_other_ways_and_shots_are_drawn_and_own_ones_are_not_repeated(source):
    found = run(source, "protonet", ways=[2, planted.WAY], shots=[planted.SHOT, 3])
    assert {(c.test_way, c.test_shot) for c, _, _ in found} == {(2, planted.SHOT), (planted.WAY, 3)}
    assert len(found) == 2
    assert len({digest for _, digest, _ in found}) == 2
    assert all(scores["accuracy"].shape == (6,) for _, _, scores in found)


def test_a_head_of_fixed_size_sits_out_other_ways(source):
    assert run(source, "maml", ways=[2]) == []
    assert len(run(source, "maml", shots=[3])) == 1


def test_who_descends_gradients_at_test():
    """The curves over gradient steps are of these."""
    found = {name for name in algos.discover() if "classification" in algos.load(name).tasks}
    found = {name for name in found if planted.small(algos.load(name)).test_steps is not None}
    descending = {"maml", "fomaml", "mamlpp", "sca", "anil", "reptile", "meta_lstm"}
    assert found == descending | {"scratch", "finetune", "cosine_finetune"}


@pytest.mark.parametrize("name", ["scratch", "finetune", "cosine_finetune"])
def test_learners_without_meta_training_take_more_steps_too(source, name):
    found = run(source, name, steps=[0, 1, 5])
    assert [c.test_steps for c, _, _ in found] == [0, 1, 5]
    nll = [scores["nll"].mean() for _, _, scores in found]
    assert len(set(nll)) == 3 and nll[2] < nll[0], "descending helps"


def test_more_gradient_steps_change_the_answer_and_leave_the_learner_as_it_was(source):
    learner = planted.small(algos.load("maml")).eval()
    own = learner.test_steps
    found = run(source, "maml", learner=learner, steps=[0, 1, 5])
    assert [c.test_steps for c, _, _ in found] == [0, 1, 5] and learner.test_steps == own
    losses = [scores["nll"].mean() for _, _, scores in found]
    assert len(set(losses)) == 3
    assert run(source, "protonet", steps=[0, 1]) == [], "protonet has no inner loop"


def test_steps_under_shift_are_those_of_each_shift_at_its_highest_severity_with_their_clean_counterparts(
    source,
):
    learner = planted.small(algos.load("maml")).eval()
    frozen = source.frozen("test", 10, planted.WAY, planted.SHOT, 4, 0)
    shifts = Shifts(episodes=5, severities={"shear": [1, 4], "smear": [2]}, strengths={"scale": [2.0]})
    experiments = Experiments(episodes=6, steps=[1], steps_under_shift=[0, 1])
    asked = jobs.TestingJob(None, 0, 10, 4, ("inductive",), shifts, experiments)
    found = {c: (digest, scores["nll"]) for c, digest, scores in other_tasks(learner, source, frozen, asked)}
    shifted = [c for c in found if not c.clean]
    assert {(c.shift, c.severity, c.scope, c.test_steps) for c in shifted} == {
        *(
            (shift, severity, "task", steps)
            for shift, severity in (("shear", 4), ("smear", 2))
            for steps in (0, 1)
        )
    }
    clean = {c.test_steps: found[c] for c in found if c.clean}
    assert {steps: len(nll) for steps, (_, nll) in clean.items()} == {0: 5, 1: 6}, "each number of steps once"
    assert {digest for c in shifted for digest in [found[c][0]]} == {clean[0][0]}, "the same episodes"
    by_steps = {c.test_steps: found[c][1] for c in shifted if c.shift == "shear"}
    assert not np.allclose(by_steps[0], by_steps[1]) and not np.allclose(by_steps[1], clean[1][1][:5])
    protonet = planted.small(algos.load("protonet")).eval()
    assert list(other_tasks(protonet, source, frozen, asked)) == [], "no inner loop"


def test_a_prototype_head_on_the_features_of_protonet_is_protonet(source):
    learner = planted.small(algos.load("protonet")).eval()
    frozen = source.frozen("test", 10, planted.WAY, planted.SHOT, 4, 0).head(6)
    own = source.score(learner, "test", frozen, "inductive")
    ((condition, _, scores),) = run(source, "protonet", learner=learner, prototypes=True)
    assert condition.test_tasks == "prototypes"
    np.testing.assert_allclose(scores["accuracy"], own["accuracy"], atol=1e-6)
    assert run(source, "maml", prototypes=True) == [], "maml adapts its features"
    assert run(source, "metanet", prototypes=True) == [], (
        "metanet's encoder gives maps to networks of its own"
    )


def test_episodes_within_groups_stay_within_them_and_reach_every_large_one():
    groups = ["a"] * 5 + ["b"] * 2 + ["c"] * 7
    frozen = FrozenEpisodes.draw(14, 6, 200, 3, 1, 2, "axis", choice=within_groups(groups, 3))
    seen = [{groups[image // 6] for image in row} for row in np.hstack([frozen.support, frozen.query])]
    assert all(len(names) == 1 for names in seen)
    assert {name for names in seen for name in names} == {"a", "c"}, "b has too few classes"
    with pytest.raises(ValueError, match="no group has 8 classes"):
        within_groups(groups, 8)


def test_a_study_with_lakes_runs_must_not_train_on_their_characters():
    study = {"study": "s", "datasets": {"omniglot": {"ways": [20], "shots": [1]}}, "algorithms": ["protonet"]}
    with pytest.raises(ValueError, match="split: lake"):
        Study(study | {"experiments": {"lake_runs": True}})
    study["datasets"]["omniglot"]["split"] = "lake"
    Study(study | {"experiments": {"lake_runs": True}})
    with pytest.raises(ValueError, match="other_data: unknown data set 'omniglott'"):
        Study(study | {"experiments": {"other_data": ["omniglott"]}})


def test_the_untrained_control_measures_its_statistics_and_leaves_the_weights(source):
    learner = planted.small(algos.load("protonet")).eval()
    before = {name: w.clone() for name, w in learner.named_parameters()}
    frozen = source.frozen("test", 10, planted.WAY, planted.SHOT, 4, 0)
    assert list(other_tasks(learner, source, frozen, job(untrained=True))) == [], "after training"
    ((condition, _, scores),) = other_tasks(learner, source, frozen, job(untrained=True), INITIAL)
    assert condition.test_tasks == "untrained" and scores["accuracy"].shape == (6,)
    assert all(torch.equal(before[name], w) for name, w in learner.named_parameters())
    block = learner.encoder.blocks[0]
    batch = source.sampler("untrained test").sample(40, planted.WAY, planted.SHOT, 1)
    maps = torch.nn.functional.conv2d(
        learner.encoder.normalise(batch.support_x).flatten(0, 1), block.weight, padding=block.padding
    )
    torch.testing.assert_close(block.running_mean, maps.mean((0, 2, 3)), atol=0.1, rtol=0.1)
    assert not learner.training


def test_only_learners_with_averages_spend_time_on_filling_them(source, monkeypatch):
    learner = planted.small(algos.load("metanet")).eval()
    monkeypatch.setattr(learner, "outer_loss", lambda episodes: pytest.fail("it has no batch norm"))
    frozen = source.frozen("test", 10, planted.WAY, planted.SHOT, 4, 0)
    assert len(list(other_tasks(learner, source, frozen, job(untrained=True), INITIAL))) == 1


FEW = 48
"""Classes of a data set whose 32 training classes are quickly known by heart."""


@pytest.fixture
def few(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_ROOT", str(tmp_path))
    write_prepared("planted", planted.pictures(FEW), planted.meta(FEW), root=tmp_path / "prepared")
    return open_source("planted", None, torch.device("cpu"))


def after_training(source, name, labels, updates):
    """Mean accuracy on new classes, and by probe: (test_tasks, test_steps)."""
    learner = planted.small(algos.load(name), steps=updates, train_labels=labels)
    optimizer = torch.optim.Adam(learner.parameters(), lr=learner.params.learning_rate)
    tasks = source.sampler("memorisation")
    for step in range(updates):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(learner.params, step)
        learner.train().meta_update(tasks, optimizer)
    frozen = source.frozen("test", 60, planted.WAY, planted.SHOT, 4, 0)
    probes = run(source, name, learner=learner.eval(), memorisation=True, episodes=60)
    new = source.score(learner, "test", frozen, "inductive")["accuracy"].mean()
    return new, {(c.test_tasks, c.test_steps): scores["accuracy"].mean() for c, _, scores in probes}


def test_a_black_box_with_fixed_labels_answers_against_its_support(few):
    new, probes = after_training(few, "lstm", "shuffled", 150)
    assert new > 0.7 and probes["training", -1] > 0.9 and probes["training_permuted", -1] < 0.15
    new, probes = after_training(few, "lstm", "groups", 150)
    assert new < 0.6 and probes["training", -1] > 0.9 and probes["training_permuted", -1] > 0.9


def test_fixed_labels_show_before_adaptation(few):
    """Healthy MAML guesses before its first step; with fixed labels it has learned them into its initialisation."""
    _, healthy = after_training(few, "maml", "shuffled", 80)
    _, fixed = after_training(few, "maml", "groups", 80)
    assert healthy["training", 0] < 0.5 and fixed["training", 0] > 0.7
    assert healthy["training", -1] > 0.9 and healthy["training_permuted", -1] < 0.1


def test_prototypes_cannot_memorise_labels(few):
    new, probes = after_training(few, "protonet", "groups", 30)
    assert new > 0.9 and probes["training", -1] > 0.9 and probes["training_permuted", -1] < 0.1
    assert set(probes) == {("training", -1), ("training_permuted", -1)}, "no inner loop, no steps"


def test_the_probe_leaves_the_learner_as_it_was_and_asks_all_the_same_tasks(source):
    maml, baseline = planted.small(algos.load("maml")).eval(), planted.small(algos.load("pixel_nn")).eval()
    own, fixed = maml.test_steps, planted.small(algos.load("protonet"), train_labels="tuples").eval()
    found = run(source, "maml", learner=maml, memorisation=True)
    assert maml.test_steps == own
    digests = [digest for _, digest, _ in found]
    assert digests[0] == digests[2] != digests[1]
    assert [d for _, d, _ in run(source, "protonet", learner=fixed, memorisation=True)] == digests[:2]
    assert run(source, "pixel_nn", learner=baseline, memorisation=True) == [], "nothing is trained"
    other = planted.small(algos.load("protonet"), train_labels="groups", train_way=planted.WAY + 1).eval()
    assert run(source, "protonet", learner=other, memorisation=True) == [], "another partition"


def test_a_shared_training_refuses_fixed_labels():
    with pytest.raises(ValueError, match="supervised has no hyper-parameter 'train_labels'"):
        planted.small_pretraining("supervised", train_labels="groups")
