"""What MANN and NTM share: cosine addressing, label timing, one copy of the memory per query (cards 2, 3)."""

import pytest
import torch
import torch.nn.functional as F

from algos.nets.memory import TIMINGS, copies, cosine
from tests.memory_cells import mann_learner, ntm_learner

pytestmark = pytest.mark.usefixtures("float64")


def test_cosine_similarity():
    keys, memory = torch.randn(2, 3, 4), torch.randn(2, 5, 4)
    naive = F.cosine_similarity(keys.unsqueeze(2), memory.unsqueeze(1), dim=-1)
    torch.testing.assert_close(cosine(keys, memory), naive, rtol=1e-5, atol=1e-6)
    assert cosine(keys, torch.zeros_like(memory)).abs().max() == 0  # and not a NaN


@pytest.mark.parametrize("timing", TIMINGS)
@pytest.mark.parametrize("build", [mann_learner, ntm_learner])
def test_label_timing(build, timing):
    """A query alone, after the tokens as the timing lays them out, one by one: the same logits as the batched way."""
    learner = build(label_timing=timing)
    features, queries = (
        torch.randn(1, 6, learner.encoder.features),
        torch.randn(1, 3, learner.encoder.features),
    )
    y = torch.tensor([[0, 2, 1, 1, 0, 2]])
    none, labels = torch.zeros(3), F.one_hot(y[0], 3).double() * learner.encoder.features**0.5
    x, q = learner.feature_norm(features)[0], learner.feature_norm(queries)[0]
    carried = [none, *labels]
    if timing == "current":
        tokens, last = [torch.cat(pair) for pair in zip(x, labels, strict=True)], none
    else:
        tokens, last = [torch.cat(pair) for pair in zip(x, carried[:-1], strict=True)], labels[-1]
    if timing == "flush":
        tokens, last = [*tokens, torch.cat([torch.zeros_like(x[0]), labels[-1]])], none
    logits = learner.score(learner.fit(features, y, 3), queries)
    for j in range(3):
        state = learner.cell.initial(1)
        for token in [*tokens, torch.cat([q[j], last])]:
            state = learner.cell.step(learner.cell.project(token.unsqueeze(0)), state)
        torch.testing.assert_close(logits[:, j], learner.head(state.output))


@pytest.mark.parametrize("build", [mann_learner, ntm_learner])
def test_each_query_meets_its_own_copy_of_the_memory(build):
    learner = build()
    features, y = torch.randn(2, 6, learner.encoder.features), torch.tensor([[0, 2, 1, 1, 0, 2]] * 2)
    queries = torch.randn(2, 4, learner.encoder.features)
    state, carried = phi = learner.fit(features, y, 3)
    before = [part.clone() for part in state]
    logits = learner.score(phi, queries)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(learner.score(phi, queries[:, order]), logits[:, order])
    torch.testing.assert_close(learner.score(phi, queries[:, :1]), logits[:, :1])
    assert all(torch.equal(a, b) for a, b in zip(before, state, strict=True))
    assert copies(state, 3).memory.shape[0] == 6
    with pytest.raises(ValueError, match="reads labels of 3 classes"):
        learner.fit(features, y, 4)
