"""The outer optimiser, its schedule of drops, weight decay and augmentation, as options of every meta-training."""

import pytest
import torch
import torch.nn.functional as F

import algos
from algos.base import TaskSpec
from algos.nets.augment import PADDING, augmented, augmented_tasks
from bench.protocol.learner import build_learner
from bench.protocol.meta_training import MetaTraining
from bench.protocol.optimizer import build_optimizer, drops, learning_rate, load_state
from bench.protocol.sources import open_source
from bench.study.study import load_study
from tests import planted

CPU = torch.device("cpu")
LEE = dict(optimizer="nesterov", momentum=0.9, weight_decay=5e-4, learning_rate=0.1, clip_norm=0.0)


def protonet(**values):
    return planted.small(algos.load("protonet"), **values)


def test_nesterov_momentum_and_weight_decay_follow_their_equations():
    """v <- m v + (g + d w); w <- w - rate (g + d w + m v): by hand, for three updates on the same tasks."""
    learner, twin = (protonet(**LEE).train() for _ in range(2))
    optimizer, velocity = build_optimizer(learner, CPU), {}
    tasks = planted.episodes()
    for _ in range(3):
        optimizer.zero_grad()
        learner.outer_loss(tasks).backward()
        optimizer.step()
        gradients = torch.autograd.grad(twin.outer_loss(tasks), list(twin.parameters()))
        with torch.no_grad():
            for w, g in zip(twin.parameters(), gradients, strict=True):
                g = g + LEE["weight_decay"] * w
                velocity[w] = g if w not in velocity else LEE["momentum"] * velocity[w] + g
                w -= LEE["learning_rate"] * (g + LEE["momentum"] * velocity[w])
    for w, expected in zip(learner.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(w, expected, rtol=1e-4, atol=1e-6)


def test_every_option_of_the_optimiser_changes_the_training():
    def weights(**values):
        learner = protonet(**values).train()
        optimizer, tasks = build_optimizer(learner, CPU), planted.sampler("options")
        for step in range(3):
            optimizer.param_groups[0]["lr"] = learning_rate(learner.params, step)
            learner.meta_update(tasks, optimizer)
        return torch.cat([w.detach().flatten() for w in learner.parameters()])

    sgd = {"optimizer": "sgd", "schedule": "constant"}
    found = [
        weights(**values)
        for values in (
            {"schedule": "constant"},
            {"schedule": "constant", "weight_decay": 0.1},
            sgd,
            sgd | {"momentum": 0.5},
            sgd | {"weight_decay": 0.1},
            sgd | {"optimizer": "nesterov"},
            sgd | {"schedule": "drops", "steps": 4, "drops": "0.25 0.1"},
            sgd | {"schedule": "drops", "steps": 4, "drops": "0.5 0.1"},
        )
    ]
    assert not any(torch.equal(a, b) for i, a in enumerate(found) for b in found[:i])


def test_drops_divide_the_rate_at_shares_of_the_updates():
    """The miniImageNet schedule of MetaOptNet: 1, .06, .012 and .0024 from epochs 0, 20, 40 and 50 of 60."""
    spec = TaskSpec("miniimagenet", "classification", (3, 84, 84), 5, 1)
    for name in ("metaopt_svm", "metaopt_ridge"):
        params = algos.load(name).resolve(name, spec)
        rates = {
            step: learning_rate(params, step) for step in (0, 19_999, 20_000, 39_999, 40_000, 50_000, 59_999)
        }
        factors = [1, 1, 0.06, 0.06, 0.012, 0.0024, 0.0024]
        assert list(rates.values()) == pytest.approx([0.1 * factor for factor in factors])
        assert (params.optimizer, params.momentum, params.weight_decay) == ("nesterov", 0.9, 5e-4)
        assert (params.augment, params.clip_norm) == ("padded", 0.0)
    assert drops("0.8 0.01, 0.5 0.1") == [(0.5, 0.1), (0.8, 0.01)], "in any order"


@pytest.mark.parametrize("text", ["", "0.5", "0.5 0.1 3", "half 0.1", "0.5 0.1;0.8 0.01"])
def test_drops_that_are_no_pairs_are_refused(text):
    with pytest.raises(ValueError, match=r"hyper-parameter drops: .*; give pairs of a share of the updates"):
        drops(text)


def test_the_state_of_either_optimiser_is_restored():
    for kind in ("adam", "sgd", "nesterov"):
        learner = protonet(optimizer=kind).train()
        optimizer = build_optimizer(learner, CPU)
        learner.meta_update(planted.sampler("state"), optimizer)
        again = build_optimizer(learner, CPU)
        load_state(again, optimizer.state_dict())
        assert again.state_dict()["state"].keys() == optimizer.state_dict()["state"].keys() != set()


def test_a_padded_crop_moves_images_by_whole_pixels_into_black_margins(monkeypatch):
    monkeypatch.setattr("algos.nets.augment.JITTER", 0.0)
    torch.manual_seed(0)
    image, most = 0.1 + 0.9 * torch.rand(1, 3, 21, 21), round(21 * PADDING)
    padded = F.pad(image, [most] * 4)
    crops = torch.stack(
        [padded[0, :, y : y + 21, x : x + 21] for y in range(2 * most + 1) for x in range(2 * most + 1)]
    )
    known = torch.cat([crops, crops.flip(3)])
    found = augmented(image.expand(300, -1, -1, -1), "padded")
    distance = (found.unsqueeze(1) - known).abs().amax((2, 3, 4))
    assert distance.amin(1).max() < 1e-4, "each is a crop, perhaps mirrored"
    assert len(distance.argmin(1).unique()) == len(known), "every place and both sides occur"


@pytest.mark.parametrize("crop", ["resized", "padded"])
def test_training_tasks_are_augmented_and_their_labels_stay(crop):
    tasks = planted.episodes()
    changed = augmented_tasks(tasks, crop)
    for before, after in ((tasks.support_x, changed.support_x), (tasks.query_x, changed.query_x)):
        assert after.shape == before.shape and ((after - before).abs().amax((2, 3, 4)) > 0.01).all()
    assert torch.equal(changed.support_y, tasks.support_y) and torch.equal(changed.query_y, tasks.query_y)
    assert augmented_tasks(tasks, "none") is tasks


def test_augmentation_is_refused_for_regression():
    learner = algos.load("maml")
    spec = TaskSpec("sinusoid", "regression", (1,), 1, 5)
    params = learner.resolve("maml", spec, {"augment": "padded"})
    source = open_source("sinusoid", None, CPU)
    learner = learner(spec, params).train()
    with pytest.raises(ValueError, match="hyper-parameter augment: 'padded' is for images"):
        learner.meta_update(source.sampler("refused"), build_optimizer(learner, CPU))


def test_an_augmented_training_with_momentum_resumes_exactly(home):
    """Stopped after 7 of 12 updates and continued from the checkpoint: weights equal those of an undisturbed training."""
    values = LEE | {"hidden": 8, "augment": "padded", "schedule": "drops", "drops": "0.5 0.1"}
    train = {"steps": 12, "validate_every": 6, "validation_episodes": 8, "device": "cpu"}
    study = load_study(planted.write_study(home, overrides={"protonet": values}, train=train))
    run = study.run(planted.RUN.format("protonet"))
    job = study.training_job(run)

    def training(folder):
        (home / folder).mkdir(exist_ok=True)
        source = open_source(job.dataset, job.split, CPU)
        return MetaTraining(job, run.name, home / folder, source, build_learner(job, source), "code")

    whole = training("whole")
    whole.train()
    part = training("part")
    part.loop(7)
    part.save()
    torch.rand(9), torch.manual_seed(99)
    rest = training("part")
    rest.resume()
    assert rest.step == 7
    rest.train()
    final = [t.learner.state_dict() for t in (whole, rest)]
    assert all(torch.equal(final[0][key], final[1][key]) for key in final[0])
