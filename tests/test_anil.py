"""ANIL against autograd and against MAML with a frozen body (card E9)."""

import pytest
import torch
import torch.nn.functional as F

from algos.base import TaskSpec
from algos.optimization import maml
from algos.optimization.anil import ANIL, head_gradient
from tests import planted

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize("regression", [False, True])
def test_the_closed_form_inner_gradient_equals_autograd(regression):
    inputs, weight = torch.randn(3, 8, 5), torch.randn(3, 5, 4, requires_grad=True)
    labels = torch.randint(4, (3, 8))
    target = torch.randn(3, 8, 4) if regression else F.one_hot(labels, 4).double()
    output = inputs @ weight
    losses = [
        F.mse_loss(output[t], target[t]) if regression else F.cross_entropy(output[t], labels[t])
        for t in range(3)
    ]
    (expected,) = torch.autograd.grad(sum(losses), weight)
    torch.testing.assert_close(head_gradient(inputs, weight, target, regression), expected)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_it_is_maml_with_a_frozen_body(kind, reduction, monkeypatch):
    """Loss and meta-gradient, on a network without batch norm (the two normalise in different ways)."""
    spec = TaskSpec("toy", kind, (6,), 3, 2)
    values = dict(backbone="mlp", hidden=7, inner_rate=0.3, inner_steps=4, inner_reduction=reduction)
    anil, reference = ANIL(spec, ANIL.Params(**values)), maml.MAML(spec, maml.MAML.Params(**values))
    reference.net.backbone, reference.net.head = anil.encoder, anil.head
    frozen = tuple(f"backbone.{name}" for name, _ in anil.encoder.named_parameters())
    monkeypatch.setattr(maml, "NOT_ADAPTED", frozen)

    def targets(count):
        return torch.randn(4, count, 3) if kind == "regression" else torch.randint(3, (4, count))

    episodes = planted.Episodes(torch.randn(4, 6, 6), targets(6), torch.randn(4, 9, 6), targets(9), 3)
    torch.testing.assert_close(anil.outer_loss(episodes), reference.outer_loss(episodes))
    weights = [*anil.encoder.parameters(), *anil.head.parameters()]
    ours, theirs = (torch.autograd.grad(m.outer_loss(episodes), weights) for m in (anil, reference))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("values", [dict(head_init="shared"), dict(test_head="nil")])
def test_heads_without_class_order_take_any_way_and_follow_a_renaming(values):
    model = planted.small(ANIL, **values).double()
    tasks = planted.sampler("ways", "test").sample(3, 5, 2, 4)
    names = torch.tensor([4, 2, 0, 1, 3])
    logits, renamed = (
        planted.predictions(
            model, planted.Episodes(tasks.support_x.double(), y, tasks.query_x.double(), y, 5)
        )
        for y in (tasks.support_y, names[tasks.support_y])
    )
    torch.testing.assert_close(renamed[..., names], logits)
    with pytest.raises(ValueError, match="ANIL has a head for 3 classes and cannot do 5-way tasks"):
        planted.predictions(
            planted.small(ANIL).double(),
            planted.Episodes(
                tasks.support_x.double(), tasks.support_y, tasks.query_x.double(), tasks.query_y, 5
            ),
        )


def test_nil_is_refused_for_regression():
    with pytest.raises(ValueError, match="test_head: 'nil' needs classes"):
        ANIL(TaskSpec("toy", "regression", (1,), 1, 5), ANIL.Params(backbone="mlp", test_head="nil"))
