"""Baseline, Baseline++ and training from scratch (card E26)."""

import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from algos.baseline.cosine_finetune import SCALE, CosineFinetune
from algos.baseline.finetune import Finetune
from algos.baseline.scratch import Scratch
from algos.nets.layers import Linear, Statistics
from tests import planted

LABELS = torch.tensor([[1, 0, 2, 0, 1, 2, 2], [0, 0, 1, 1, 2, 2, 0]])
HEADS = [Finetune, CosineFinetune]


def features(*shape, seed=0):
    return torch.randn(*shape, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


SUPPORT, QUERY = features(2, 7), features(2, 5, seed=1)


def logits(model, support=SUPPORT, labels=LABELS, query=QUERY):
    return model.score(model.fit(support, labels, 3), query)


def test_the_linear_head_finds_the_optimum_of_logistic_regression(float64):
    """With whole-batch steps; the released code's weight decay also holds the bias: a column of ones in X."""
    model = planted.small(Finetune, epochs=4_000, batch=7, rate=0.5, weight_decay=0.05)
    ours = logits(model).softmax(-1)
    for t in range(2):
        x, q = (F.pad(z[t], (0, 1), value=1.0).numpy() for z in (SUPPORT, QUERY))
        reference = LogisticRegression(C=1 / (7 * 0.05), fit_intercept=False, tol=1e-12, max_iter=10_000)
        expected = reference.fit(x, LABELS[t].numpy()).predict_proba(q)
        torch.testing.assert_close(ours[t], torch.from_numpy(expected), rtol=1e-6, atol=1e-7)


class ReleasedCosine(nn.Module):
    """The cosine classifier from PyTorch's own weight norm, for one task."""

    def __init__(self, direction):
        super().__init__()
        linear = nn.Linear(*direction.shape, bias=False)
        linear.weight.data = direction.T.clone()
        self.linear = weight_norm(linear, dim=0)

    def forward(self, x):
        return SCALE * self.linear(x / (x.norm(dim=-1, keepdim=True) + 1e-5))


@pytest.mark.parametrize("kind", HEADS)
def test_the_heads_equal_pytorchs_sgd_one_task_at_a_time(float64, kind):
    """Autograd, torch.optim.SGD with momentum and dampening, mini-batches of 4 of the 7 examples (the last has 3)."""
    model = planted.small(kind, epochs=20, rate=0.1, weight_decay=0.01)
    ours = logits(model)
    for t in range(2):
        if kind is Finetune:
            head = nn.Linear(6, 3)
            nn.init.zeros_(head.weight), nn.init.zeros_(head.bias)
        else:
            start, _ = CosineFinetune._start(F.one_hot(LABELS, 3).double(), 6)
            head = ReleasedCosine(start[t])
        sgd = torch.optim.SGD(head.parameters(), lr=0.1, momentum=0.9, dampening=0.9, weight_decay=0.01)
        generator = torch.Generator().manual_seed(0)
        for _ in range(20):
            for batch in torch.randperm(7, generator=generator).split(4):
                sgd.zero_grad()
                F.cross_entropy(head(SUPPORT[t, batch]), LABELS[t, batch]).backward()
                sgd.step()
        torch.testing.assert_close(ours[t], head(QUERY[t]).detach(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", HEADS)
def test_a_batch_of_tasks_equals_one_by_one(float64, kind):
    model = planted.small(kind)
    alone = [logits(model, SUPPORT[t : t + 1], LABELS[t : t + 1], QUERY[t : t + 1]) for t in range(2)]
    torch.testing.assert_close(logits(model), torch.cat(alone), rtol=1e-12, atol=1e-12)


def test_only_the_cosine_head_ignores_the_length_of_features(float64):
    cosine, linear = planted.small(CosineFinetune), planted.small(Finetune)
    longer = (1e4 * SUPPORT, LABELS, 1e4 * QUERY)
    torch.testing.assert_close(logits(cosine, *longer), logits(cosine), rtol=0, atol=1e-4)
    assert not torch.allclose(logits(linear, *longer).softmax(-1), logits(linear).softmax(-1), atol=0.1)


@pytest.mark.parametrize("kind", HEADS)
def test_the_test_steps_are_the_first_of_the_own_ones(float64, kind):
    """Own: two steps of 4 + 3 examples in each of three passes; others: fewer, or more passes; none: the start."""
    model, longer = planted.small(kind, epochs=3), planted.small(kind, epochs=4)
    assert model.test_steps == -1 and model.steps(7) == 6 and model.steps(8) == 6 and model.steps(9) == 9
    own, by_steps = logits(model), []
    for steps in range(9):
        model.test_steps = steps
        by_steps.append(logits(model))
    torch.testing.assert_close(by_steps[6], own, rtol=0, atol=0)
    torch.testing.assert_close(by_steps[8], logits(longer), rtol=0, atol=0)
    torch.testing.assert_close(by_steps[0], logits(planted.small(kind, epochs=0)), rtol=0, atol=0)
    assert min((a - b).abs().max() for a, b in zip(by_steps, by_steps[1:], strict=False)) > 1e-6


@pytest.mark.parametrize("kind", HEADS)
def test_the_names_of_the_classes_do_not_matter(float64, kind):
    model, names = planted.small(kind), torch.tensor([2, 0, 1])
    torch.testing.assert_close(
        logits(model, labels=names[LABELS])[..., names], logits(model), rtol=1e-10, atol=1e-10
    )


def test_from_scratch_equals_adam_on_one_native_network_at_a_time(float64):
    model = planted.small(Scratch, hidden=4, test_steps=5)
    chosen = planted.episodes(tasks=2)
    support, query = chosen.support_x.double(), chosen.query_x.double()
    weights, _ = model.adapt(support, chosen.support_y, planted.WAY)
    for t in range(2):
        fresh = planted.small(Scratch, hidden=4).net
        fresh.head = Linear(fresh.backbone.features, planted.WAY)
        torch.nn.init.zeros_(fresh.head.weight)
        adam = torch.optim.Adam(fresh.parameters(), lr=model.params.rate)
        for _ in range(5):
            adam.zero_grad()
            output = fresh(support[t : t + 1], Statistics.batch())[0]
            F.cross_entropy(output, chosen.support_y[t]).backward()
            adam.step()
        for name, w in fresh.named_parameters():
            torch.testing.assert_close(weights[name][t], w.detach(), rtol=1e-7, atol=1e-9)
    before = planted.small(Scratch, hidden=4, test_steps=0)
    assert not torch.allclose(
        model.predict((weights, support), query),
        before.predict(before.adapt(support, chosen.support_y, planted.WAY), query),
    )
