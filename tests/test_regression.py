"""What every learner promises in regression, and how regression is measured."""

import dataclasses

import numpy as np
import pytest
import torch

import algos
from algos.base import MetaLearner
from bench.protocol.optimizer import learning_rate
from bench.protocol.point_conditions import point_conditions, point_fits
from bench.protocol.scores import _regression_scores
from bench.protocol.sources import open_source
from bench.study import jobs
from bench.study.experiments import Experiments
from bench.study.settings import Shifts
from tasks.sinusoid import Sinusoids
from tests.planted import OF_THE_TRAINER
from tests.waves import CPU, cast, sampler, small, waves

NAMES = [name for name in algos.discover() if "regression" in algos.load(name).tasks]
ONLY = [name for name in NAMES if "classification" not in algos.load(name).tasks]


def predictions(learner, tasks) -> torch.Tensor:
    with torch.no_grad():
        return learner.predict(learner.adapt_to(tasks), tasks.query_x)


@pytest.mark.parametrize("name", NAMES)
def test_tasks_and_queries_do_not_see_each_other(name):
    learner, tasks = small(name).double(), waves()
    together = predictions(learner, tasks)
    assert together.shape == (3, 7, 1) and torch.isfinite(together).all()
    alone = dataclasses.replace(tasks, query_x=tasks.query_x[:, :1])
    torch.testing.assert_close(predictions(learner, alone), together[:, :1], rtol=1e-9, atol=1e-9)
    for t in range(3):
        names = ("support_x", "support_y", "query_x", "query_y", "truth")
        one = dataclasses.replace(tasks, **{name: getattr(tasks, name)[t : t + 1] for name in names})
        torch.testing.assert_close(predictions(learner, one), together[t : t + 1], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_a_learner_sees_the_support_or_is_a_reference_that_is_told_the_task(name):
    """Never both: what is not seen may be anything."""
    learner, tasks = small(name).double(), waves()
    told = type(learner).adapt_to is not MetaLearner.adapt_to
    seen, hidden = ("truth", "support_y") if told else ("support_y", "truth")
    anything = dataclasses.replace(tasks, **{hidden: torch.full_like(getattr(tasks, hidden), torch.nan)})
    if told:
        assert learner.yardstick
        anything = dataclasses.replace(anything, support_x=torch.full_like(tasks.support_x, torch.nan))
    torch.testing.assert_close(predictions(learner, anything), predictions(learner, tasks), rtol=0, atol=0)
    other = dataclasses.replace(tasks, **{seen: -getattr(tasks, seen)})
    assert (predictions(learner, tasks) - predictions(learner, other)).abs().max() > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_a_distribution_is_around_the_prediction_and_narrower_near_the_support(name):
    learner, tasks = small(name).double(), waves()
    with torch.no_grad():
        phi = learner.adapt_to(tasks)
        known = learner.distribution(phi, tasks.query_x)
        if known is None:
            assert type(learner).distribution is MetaLearner.distribution
            return
        mean, variance = known
        torch.testing.assert_close(mean, learner.predict(phi, tasks.query_x))
        assert (variance.expand_as(mean) > 0).all()
        assert learner.distribution(phi, tasks.support_x)[1].mean() < variance.mean()


WITHOUT_EFFECT = ("train_way", "train_labels", "augment", *OF_THE_TRAINER)
"""On generated tasks, which have no classes and no images; and what no learner sees."""


@pytest.mark.parametrize("name", ONLY)
def test_every_hyper_parameter_has_an_effect(name):
    """As test_contract.py says of those that classify."""
    kind = algos.load(name)
    usual = {"steps": 10} if kind.trainable else {}
    needed = {"length": {"prior": "periodic"}, "halve_every": {"schedule": "halve", "halve_every": 2}}
    needed |= {"clip_norm": {"clip_norm": 0.0}}
    others = {"train_shot": [6], "clip_norm": [1e-3]}
    for entry in dataclasses.fields(kind.Params):
        if entry.name in WITHOUT_EFFECT:
            continue
        base = usual | needed.get(entry.name, {})
        used = getattr(small(name, **base).params, entry.name)
        values = others.get(entry.name) or entry.metadata["choices"] or [2 * used]
        for value in (value for value in values if value not in (used, "drops")):
            plain, changed = (_outcome(small(name, **o)) for o in (base, base | {entry.name: value}))
            assert not torch.equal(plain, changed), f"{entry.name} = {value!r} changes nothing"


def _outcome(learner):
    """Predictions after two updates, where a learner is trained."""
    if learner.trainable:
        optimizer, tasks = torch.optim.Adam(learner.parameters(), lr=1e-3), sampler("two updates")
        for step in (1, 2):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(learner.params, step)
            learner.train().meta_update(tasks, optimizer)
    return predictions(learner.eval(), cast(waves(), torch.float32))


def test_measures():
    """Two queries at one and three standard deviations: half of them are inside the interval."""
    mean, variance = torch.zeros(1, 2, 1), torch.full((1, 1, 1), 4.0).expand(1, 2, 1)
    scores = _regression_scores(mean, variance, torch.tensor([[[2.0], [-6.0]]]), 100.0)
    assert scores["mse"].item() == 20 and scores["coverage"].item() == 0.5
    expected = -torch.distributions.Normal(0.0, 2.0).log_prob(torch.tensor([2.0, -6.0])).mean()
    torch.testing.assert_close(scores["nll"], expected.view(1))
    alone = _regression_scores(mean, None, torch.ones(1, 2, 1), 100.0)
    assert alone["mse"].item() == 1 and set(alone) == {"mse"}, (
        "a mean alone has no likelihood and no interval"
    )


def test_a_learner_that_diverges_on_a_task_counts_as_far_off_there():
    mean = torch.tensor([torch.nan, torch.inf, 1e20, 3.0]).view(4, 1, 1)
    assert _regression_scores(mean, None, torch.zeros(4, 1, 1), 50.0)["mse"].tolist() == [50, 50, 50, 9]


@pytest.fixture
def asked():
    """A source, frozen episodes, and a test specification with both shifts and three numbers of steps."""
    source = open_source("sinusoid", None, CPU)
    shifts = Shifts(episodes=20, severities={"amplitude": [1], "phase": [1]})
    job = jobs.TestingJob(None, 0, 30, 15, ("inductive",), shifts, Experiments(episodes=10, steps=[0, 1, 5]))
    return source, source.frozen("test", 30, 1, 5, 15, 0), job


@pytest.mark.parametrize("name", ["maml", "anil", "reptile", "meta_lstm"])
def test_steps_are_varied_where_there_is_an_inner_loop(name, asked):
    source, frozen, job = asked
    learner = small(name)
    usual = learner.test_steps
    found = [(c.shift, c.test_steps, s["mse"]) for c, _, s in point_conditions(source, learner, frozen, job)]
    assert [(shift, steps, len(mse)) for shift, steps, mse in found] == [
        ("none", -1, 30), ("amplitude", -1, 20), ("phase", -1, 20), ("none", 0, 10), ("none", 1, 10), ("none", 5, 10)
    ]  # fmt: skip
    assert learner.test_steps == usual > 0
    assert len({float(mse.mean()) for _, steps, mse in found if steps >= 0}) == 3


def test_learners_without_an_inner_loop_have_one_number_of_steps(asked):
    source, frozen, job = asked
    alone = list(point_conditions(source, small("gp"), frozen, job))
    assert [c.test_steps for c, _, _ in alone] == [-1] * 3
    assert all(np.isfinite(scores["coverage"]).all() for _, _, scores in alone)


def test_fits_are_of_the_first_episode_in_and_out_of_range(asked):
    source, frozen, job = asked
    fits = point_fits(source, small("gp"), frozen, job)
    assert list(fits) == ["none", "amplitude", "phase"]
    fit = fits["none"]
    np.testing.assert_allclose(fit["support"][1], frozen.y[0, :5, 0], atol=1e-4)
    np.testing.assert_allclose(fit["mean"], fit["truth"], atol=0.5)
    assert fit["x"][0] == -5 and fit["x"][-1] == 5
    assert max(map(abs, fits["amplitude"]["truth"])) > Sinusoids.OUT_OF_RANGE["amplitude"][0] * 0.9
    assert point_fits(source, small("maml"), frozen, job)["none"]["deviation"] is None


def test_the_noisy_split_adds_noise_to_the_same_tasks_in_training_and_at_test():
    plain, noisy = (open_source("sinusoid", split, CPU) for split in (None, "noisy"))
    a, b = (source.frozen("test", 400, 1, 5, 15, 0) for source in (plain, noisy))
    np.testing.assert_array_equal(a.x, b.x)
    assert (b.y - a.y).var() == pytest.approx(0.02, rel=0.1) and a.digest != b.digest
    known = noisy.sampler("x").sample(400, 1, 5, 15), plain.sampler("x").sample(400, 1, 5, 15)
    assert not torch.equal(known[0].support_y, known[1].support_y)
    assert noisy.split_name == "noisy" and plain.split_name == "generated"
    with pytest.raises(ValueError, match="has no split 'lake'"):
        open_source("sinusoid", "lake", CPU)
