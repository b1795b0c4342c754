"""MAML++ against its schedules in closed form, finite differences, and MAML (cards E7, E8)."""

import dataclasses

import pytest
import torch

from algos.optimization.fomaml import FOMAML
from algos.optimization.maml import MAML
from algos.optimization.mamlpp import MAMLPlusPlus, step_importance
from tasks.episodes import Episodes
from tests import planted

OFF = dict(learn_rates=False, step_norm=False, multi_step_share=0.0, first_order_share=0.0)


@pytest.fixture(autouse=True)
def double():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def learner(kind=MAMLPlusPlus, **values):
    torch.manual_seed(0)
    values = {"hidden": 4, "inner_steps": 3, "inner_rate": 0.3, "steps": 100} | values
    return kind(planted.spec(), kind.Params(**values)).double()


def tasks(name="episodes") -> Episodes:
    chosen = planted.episodes(tasks=3, name=name)
    return dataclasses.replace(chosen, support_x=chosen.support_x.double(), query_x=chosen.query_x.double())


class Fixed:
    """A sampler that gives the same tasks to every learner: the n-th call the n-th batch."""

    def __init__(self):
        self.calls = 0

    def sample(self, *_):
        self.calls += 1
        return tasks(f"update {self.calls}")


def gradient_of(model, loss):
    weights = {name: w for name, w in model.named_parameters() if w.requires_grad}
    return dict(zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True))


def test_the_multi_step_weights():
    """Uniform at first, published values in between, floor and rest at the end; always a sum of one."""
    torch.testing.assert_close(torch.tensor(step_importance(0, 5)), torch.full((5,), 0.2))
    torch.testing.assert_close(
        torch.tensor(step_importance(3 / 10, 5)),  # epoch 3 of 10: 1/5 - 3/50, and 1/5 + 3 * 4/50
        torch.tensor([0.14, 0.14, 0.14, 0.14, 0.44]),
    )
    end = step_importance(1, 5)
    torch.testing.assert_close(torch.tensor(end), torch.tensor([0.006] * 4 + [1 - 4 * 0.03 / 5]))
    for progress in (0, 0.2, 0.5, 0.9, 0.99, 1):
        assert sum(step_importance(progress, 5)) == pytest.approx(1, abs=1e-15)
    assert step_importance(0.4, 1) == [1.0]


def test_after_the_multi_step_phase_only_the_last_step_counts():
    model = learner(multi_step_share=0.1)  # of 100 updates: 10
    model.updates = 9
    assert all(model.importance())
    model.updates = 10
    assert model.importance() == [0.0, 0.0, 1.0]


def test_with_all_stabilisers_off_it_is_maml():
    """The same losses and the same weights over four updates of Adam."""
    plain, plus = learner(MAML), learner(**OFF)
    optimizers = [torch.optim.Adam([w for w in m.parameters() if w.requires_grad]) for m in (plain, plus)]
    samplers = Fixed(), Fixed()
    for _ in range(4):
        ours, theirs = (
            m.meta_update(s, o) for m, s, o in zip((plus, plain), samplers, optimizers[::-1], strict=True)
        )
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    for (name, a), b in zip(plain.net.named_parameters(), plus.net.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12, msg=name)


def test_equal_rates_and_norms_give_mamls_gradient_and_the_steps_share_it():
    """At initialisation all steps are alike: the copies of a scale or shift have gradients that sum to MAML's."""
    plain, plus, episodes = learner(MAML), learner(multi_step_share=0.0, first_order_share=0.0), tasks()
    loss = plus.outer_loss(episodes)
    torch.testing.assert_close(loss, plain.outer_loss(episodes), rtol=1e-12, atol=1e-12)
    ours, theirs = gradient_of(plus, loss), gradient_of(plain, plain.outer_loss(episodes))
    for name, g in theirs.items():
        copies = ours[name]
        torch.testing.assert_close(
            copies.sum(0) if copies.ndim > g.ndim else copies, g, rtol=1e-9, atol=1e-12
        )
    assert ours["rates"].shape == (3, len(plus._start(1, planted.WAY))) and ours["rates"].abs().min() > 0
    scale = ours["net.backbone.blocks.0.gamma"]
    assert scale.shape == (3, 4) and not torch.allclose(scale[0], scale[1])


def test_the_multi_step_loss_is_the_weighted_sum_of_shorter_mamls():
    model, episodes = learner(first_order_share=0.0), tasks()
    model.updates = 4
    losses = [learner(MAML, inner_steps=steps).outer_loss(episodes) for steps in (1, 2, 3)]
    expected = sum(w * loss for w, loss in zip(step_importance(0.4, 3), losses, strict=True))
    torch.testing.assert_close(model.outer_loss(episodes), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("updates", [3, 50])
def test_the_meta_gradient_equals_finite_differences(updates):
    """Of all that is learned, steps made unlike each other first; in the multi-step phase and after it."""
    model, episodes = learner(first_order_share=0.0, backbone="conv4"), tasks()
    model.updates = updates
    with torch.no_grad():
        for name, w in model.named_parameters():
            if name == "rates" or name.endswith(("gamma", "beta")):
                w += 0.1 * torch.randn(w.shape)
    gradient = gradient_of(model, model.outer_loss(episodes))
    for _ in range(2):
        direction = {name: torch.randn(g.shape) for name, g in gradient.items()}
        norm = torch.sqrt(sum(d.square().sum() for d in direction.values()))
        values = []
        for step in (1e-6, -1e-6):
            moved = {name: w.detach() + step * direction[name] / norm for name, w in model.named_parameters()}
            values.append(functional_outer_loss(model, moved, episodes))
        numeric = (values[0] - values[1]) / 2e-6
        ours = sum((g * direction[name]).sum() for name, g in gradient.items()) / norm
        torch.testing.assert_close(ours, numeric, rtol=2e-5, atol=1e-8)


def functional_outer_loss(model, weights, episodes):
    before = {name: w.detach().clone() for name, w in model.named_parameters()}
    with torch.no_grad():
        for name, w in model.named_parameters():
            w.copy_(weights[name])
    loss = model.outer_loss(episodes).detach()
    with torch.no_grad():
        for name, w in model.named_parameters():
            w.copy_(before[name])
    return loss


def test_first_order_gradients_come_first():
    model, episodes = learner(**OFF | {"first_order_share": 0.2}), tasks()
    for updates, reference in ((19, FOMAML), (20, MAML)):
        model.updates = updates
        other = learner(reference)
        expected = gradient_of(other, other.outer_loss(episodes))
        for name, g in gradient_of(model, model.outer_loss(episodes)).items():
            torch.testing.assert_close(g, expected[name], rtol=1e-9, atol=1e-12)


def test_steps_beyond_training_repeat_the_last():
    """With one trained step every step is that one, as in MAML."""
    values = dict(inner_steps=1, test_steps=4)
    plus, plain = learner(**values), learner(MAML, **values)
    for transductive in (False, True):
        ours, theirs = (planted.predictions(m, tasks(), transductive) for m in (plus, plain))
        torch.testing.assert_close(ours, theirs)
    three = learner(test_steps=3)
    with torch.no_grad():
        three.rates[2] = 0.7
    phi, x = three.eval().adapt(tasks().support_x, tasks().support_y, planted.WAY)
    three.test_steps = 4
    further, _ = three.adapt(tasks().support_x, tasks().support_y, planted.WAY)
    plain = learner(MAML, inner_rate=0.7).eval()
    expected = plain._step(phi, x, tasks().support_y, 0)
    for name, w in expected.items():
        torch.testing.assert_close(further[name], w)


def test_a_restored_learner_goes_on_in_its_schedules():
    model = learner()
    optimizer = torch.optim.Adam(model.parameters())
    model.meta_update(Fixed(), optimizer)
    model.meta_update(Fixed(), optimizer)
    other = learner()
    other.load_state_dict(model.state_dict())
    assert other.updates == 2 and other.importance() == model.importance() != learner().importance()
