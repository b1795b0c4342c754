"""MANN and NTM: addressing, writing and reading against reference computations; label timing; learning (cards 2, 3)."""

import pytest
import torch
import torch.nn.functional as F

from algos.model.mann import DECAY, MANN, LeastRecentlyUsedMemory
from algos.model.ntm import NTM, Heads, TuringMemory, rotate, sharpen, write
from algos.nets.memory import TIMINGS, copies, cosine
from tests import planted

pytestmark = pytest.mark.usefixtures("float64")


def lrua(heads=2, slots=9, slot_size=4, strength=True, tied=True):
    return LeastRecentlyUsedMemory(6, 7, slots, slot_size, heads, strength, tied)


def gates(memory, value):
    """Force the gate between `where the head read last` (1) and `least used` (0)."""
    first = memory.heads * memory.slot_size
    with torch.no_grad():
        memory.emit.weight[first : first + memory.heads] = 0
        memory.emit.bias[first : first + memory.heads] = value
    return memory


def steps(memory, count, batch=2):
    """The states after each of `count` random tokens, the first one before any."""
    states = [memory.initial(batch)]
    for token in memory.project(torch.randn(batch, count, 6)).unbind(1):
        states.append(memory.step(token, states[-1]))
    return states


def ntm(**values):
    sizes = dict(width=7, slots=8, slot_size=4, read_heads=2, write_heads=2, hidden=4)
    return NTM.Params(**sizes | values)


def mann_learner(**values):
    sizes = dict(hidden=4, width=8, slots=10, slot_size=4, read_heads=2)
    return MANN(planted.spec(), MANN.Params(**sizes | values)).double().eval()


def ntm_learner(**values):
    return NTM(planted.spec(), ntm(**values)).double().eval()


def test_cosine_similarity():
    keys, memory = torch.randn(2, 3, 4), torch.randn(2, 5, 4)
    naive = F.cosine_similarity(keys.unsqueeze(2), memory.unsqueeze(1), dim=-1)
    torch.testing.assert_close(cosine(keys, memory), naive, rtol=1e-5, atol=1e-6)
    assert cosine(keys, torch.zeros_like(memory)).abs().max() == 0  # and not a NaN


def scalar_mann_step(memory, projected, state, b):
    """One step for task b, slot by slot and head by head, from the equations of the paper."""
    R, P, W = memory.heads, memory.slots, memory.slot_size
    width = state.cell.shape[1]
    x = projected[b] + memory.controller.recurrent.weight @ state.output[b]
    f, i, o, g = (
        x[:width].sigmoid(),
        x[width : 2 * width].sigmoid(),
        x[2 * width : 3 * width].sigmoid(),
        x[3 * width :].tanh(),
    )
    cell = f * state.cell[b] + i * g
    hidden = o * cell.tanh()
    emitted = memory.emit.weight @ hidden + memory.emit.bias
    key = emitted[: R * W].tanh().view(R, W)
    content = key if memory.tied else emitted[R * W + R : 2 * R * W + R].tanh().view(R, W)
    used = state.usage[b].tolist()
    ranked = sorted(range(P), key=lambda p: (used[p], p))
    rows = [state.memory[b, p] * (p != ranked[0]) for p in range(P)]
    w_write = torch.zeros(R, P)
    for r in range(R):
        gate = emitted[R * W + r].sigmoid()
        for p in range(P):
            w_write[r, p] = gate * state.read_weights[b, r, p] + (1 - gate) * (p == ranked[r])
            rows[p] = rows[p] + w_write[r, p] * content[r]
    w_read, reads = [], []
    for r in range(R):
        beta = 1 + F.softplus(emitted[-R + r]) if memory.sizes[-1] else 1.0
        similarity = [
            key[r] @ row / (key[r].square().sum() * row.square().sum() + 1e-6).sqrt() for row in rows
        ]
        weights = [(beta * s).exp() for s in similarity]
        weights = [w / sum(weights) for w in weights]
        w_read.append(torch.stack(weights))
        reads.append(sum(w * row for w, row in zip(weights, rows, strict=True)))
    usage = [DECAY * used[p] + sum(w_read[r][p] + w_write[r, p] for r in range(R)) for p in range(P)]
    return torch.cat([hidden, *reads]), cell, torch.stack(rows), torch.stack(w_read), torch.stack(usage)


@pytest.mark.parametrize("strength", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_lrua_equals_a_scalar_reference(strength, tied):
    memory = lrua(strength=strength, tied=tied, heads=3, slots=7)  # slots run out: usage decides
    tokens = memory.project(torch.randn(2, 6, 6))
    state = memory.initial(2)
    for token in tokens.unbind(1):
        after = memory.step(token, state)
        for b in range(2):
            for ours, naive in zip(after, scalar_mann_step(memory, token, state, b), strict=True):
                torch.testing.assert_close(ours[b], naive, rtol=1e-10, atol=1e-12)
        state = after


def test_lrua_weights_are_distributions():
    for state in steps(lrua(), 12)[1:]:
        torch.testing.assert_close(state.read_weights.sum(-1), torch.ones(2, 2))
    memory = lrua()
    least = memory.least_used(torch.tensor([[0.3, 0.0, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]]))
    assert least.argmax(-1).tolist() == [[1, 3]] and least.sum(-1).tolist() == [
        [1, 1]
    ]  # ties: the first slot


def test_a_closed_gate_writes_to_the_least_used_slot_and_fills_distinct_slots():
    memory = gates(lrua(heads=1), -1e4)
    states = steps(memory, 8, batch=1)
    written = []
    for before, after in zip(states[:-1], states[1:], strict=True):
        slot = before.usage[0].argmin().item()
        changed = (after.memory[0] - before.memory[0]).abs().sum(-1).nonzero().flatten().tolist()
        key = memory._emitted(after.output[:, :7])[0][0, 0]
        assert changed == [slot]
        torch.testing.assert_close(after.memory[0, slot], key)
        written.append(slot)
    assert sorted(written) == list(range(1, 9))  # slot 0 counts as used at the start


def test_an_open_gate_writes_where_the_head_read_last():
    memory = gates(lrua(heads=1), 1e4)
    before, after = steps(memory, 4, batch=1)[-2:]
    key = memory._emitted(after.output[:, :7])[0][0]
    kept = before.memory[0].clone()
    kept[before.usage[0].argmin()] = 0
    torch.testing.assert_close(after.memory[0], kept + before.read_weights[0].T @ key)


def test_no_gradient_passes_the_ranking():
    state = lrua().initial(2)
    memory = lrua()
    for token in memory.project(torch.randn(2, 5, 6)).unbind(1):
        state = memory.step(token, state)
    assert state.memory.requires_grad and not state.usage.requires_grad


def scalar_ntm_address(heads, hidden, memory, before, b, h):
    """Section 3.3 of the NTM paper for one head of one task, slot by slot."""
    raw = (heads.emit.weight @ hidden[b] + heads.emit.bias).clamp(-20, 20).view(heads.count, -1)[h]
    P, W = memory.shape[1:]
    key, beta = raw[:W].tanh(), F.softplus(raw[W])
    k = [key @ row / (key.square().sum() * row.square().sum() + 1e-6).sqrt() for row in memory[b]]
    content = torch.stack([(beta * s).exp() for s in k])
    content = content / content.sum()
    if not heads.by_location:
        return content
    gate, m = raw[W + 1].sigmoid(), heads.shift
    gated = gate * content + (1 - gate) * before[b, h]
    shift = raw[W + 2 : W + 3 + 2 * m].softmax(0)  # shares of the moves -m ... m
    moved = [sum(gated[(i - j) % P] * shift[j + m] for j in range(-m, m + 1)) for i in range(P)]
    sharp = torch.stack([w ** (1 + F.softplus(raw[-1])) for w in moved])
    return sharp / sharp.sum()


@pytest.mark.parametrize("shift", [1, 2])
@pytest.mark.parametrize("by_location", [True, False])
def test_ntm_addressing_equals_a_scalar_reference(shift, by_location):
    heads = Heads(width=5, slot_size=4, count=3, shift=shift, by_location=by_location, onward=True)
    torch.nn.init.normal_(heads.emit.weight)
    hidden, memory, before = torch.randn(2, 5), torch.randn(2, 6, 4), torch.rand(2, 3, 6).softmax(-1)
    weights = heads(hidden, memory, before)
    for b in range(2):
        for h in range(3):
            naive = scalar_ntm_address(heads, hidden, memory, before, b, h)
            torch.testing.assert_close(weights[b, h], naive, rtol=1e-9, atol=1e-11)


def emitting(**values):
    """Heads that emit fixed raw values: key, strength, gate, shift, sharpness."""
    heads = Heads(width=3, slot_size=4, count=1, shift=1, by_location=True, onward=True)
    raw = dict(key=[0.0] * 4, strength=[0.0], gate=[0.0], shift=[0.0] * 3, sharpness=[-20.0]) | values
    with torch.no_grad():
        heads.emit.weight.zero_()
        heads.emit.bias.copy_(torch.tensor([x for name in raw for x in raw[name]]))
    return heads


def test_ntm_addressing_limits():
    """Oracles 2 to 4 of the card; raw values of +-20 stand for their limits."""
    hidden, memory = torch.zeros(1, 3), torch.eye(4).repeat(2, 1)[:6].unsqueeze(0)
    memory[:, 4:] = -memory[:, 4:]
    before = F.one_hot(torch.tensor([[2]]), 6).double()
    still = [-20.0, 20.0, -20.0]
    by_content = emitting(strength=[20.0], key=[0, 20.0, 0, 0], gate=[20.0], shift=still)
    assert by_content(hidden, memory, before)[0, 0, 1] > 0.999
    vague = emitting(strength=[-20.0], key=[0, 20.0, 0, 0], gate=[20.0], shift=still)
    torch.testing.assert_close(
        vague(hidden, memory, before)[0, 0], torch.full((6,), 1 / 6), atol=1e-6, rtol=0
    )
    onward = emitting(gate=[-20.0], shift=[-20.0, -20.0, 20.0])
    torch.testing.assert_close(onward(hidden, memory, before), before.roll(1, dims=-1), atol=1e-6, rtol=0)


def test_shift_goes_round_and_sharpening_lowers_entropy():
    weights = torch.rand(2, 3, 5).softmax(-1)
    moves = F.one_hot(torch.tensor([0, 1, 2]), 3).double().expand(2, -1, -1)
    rotated = rotate(weights, moves)
    for head, by in enumerate((-1, 0, 1)):
        torch.testing.assert_close(rotated[:, head], weights[:, head].roll(by, dims=-1))
    entropies = [
        -(w * w.log()).sum(-1) for w in (sharpen(weights, torch.full((2, 3, 1), p)) for p in (1.0, 2.0, 4.0))
    ]
    torch.testing.assert_close(sharpen(weights, torch.ones(2, 3, 1)), weights)
    assert (entropies[0] > entropies[1]).all() and (entropies[1] > entropies[2]).all()
    hard = sharpen(F.one_hot(torch.tensor([[1]]), 5).double(), torch.full((1, 1, 1), 20.5))
    assert torch.isfinite(hard).all()  # powers of zero


def test_ntm_writing():
    memory, weights = torch.randn(1, 5, 4), F.one_hot(torch.tensor([[3]]), 5).double()
    value = torch.randn(1, 1, 4)
    after = write(memory, weights, torch.ones(1, 1, 4), value)
    torch.testing.assert_close(after[0, 3], value[0, 0])
    torch.testing.assert_close(after[0, [0, 1, 2, 4]], memory[0, [0, 1, 2, 4]])
    nothing = torch.zeros(1, 1, 4)
    torch.testing.assert_close(write(memory, weights, nothing, nothing), memory)
    two = torch.rand(1, 2, 5), torch.rand(1, 2, 4), torch.randn(1, 2, 4)
    torch.testing.assert_close(write(memory, *two), write(memory, *(part.flip(1) for part in two)))


@pytest.mark.parametrize("after", [False, True])
def test_ntm_weights_are_distributions_and_reads_see_the_right_memory(after):
    memory = TuringMemory(6, ntm(read_after_write=after))
    states = steps(memory, 10)
    for before, now in zip(states[:-1], states[1:], strict=True):
        for weights in (now.read_weights, now.write_weights):
            assert weights.min() >= 0
            torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2))
        seen = now.memory if after else before.memory
        torch.testing.assert_close(now.output[:, 7:], (now.read_weights @ seen).flatten(1))


def test_writers_start_by_moving_on_and_readers_by_looking():
    cell = TuringMemory(6, ntm(shift=2))
    before = F.one_hot(torch.tensor([[3, 5]]), 8).double()
    memory = torch.randn(1, 8, 4)
    for heads in (cell.readers, cell.writers):
        torch.nn.init.zeros_(heads.emit.weight)
        heads.emit.bias.data.unflatten(0, (2, -1))[:, :4] = 20 * memory[0, :1]  # key: slot 0
    assert cell.writers(torch.zeros(1, 7), memory, before).argmax(-1).tolist() == [[4, 6]]
    assert cell.readers(torch.zeros(1, 7), memory.sign(), before).argmax(-1).tolist() == [[0, 0]]
    with pytest.raises(ValueError, match="shift must be 1 or more, not 0"):
        TuringMemory(6, ntm(shift=0))


def test_content_addressing_needs_a_memory_that_is_not_constant():
    with pytest.raises(ValueError, match="addressing 'content' with memory_start 'constant'"):
        TuringMemory(6, ntm(addressing="content"))
    memory = TuringMemory(6, ntm(addressing="content", memory_start="random"))
    last = steps(memory, 10, batch=1)[-1].memory[0]
    assert torch.linalg.matrix_rank(last) == 4
    memory.memory.fill_(1e-6)  # what is refused: all slots stay alike
    last = steps(memory, 10, batch=1)[-1].memory[0]
    torch.testing.assert_close(last, last[:1].expand_as(last))


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


def test_ntm_learns_to_copy_and_copies_from_its_memory():
    """Patterns of 4 bits, 1 to 4 of them, then the same again (section 4.1, made small).

    A controller of 8 units cannot hold 16 bits: without what the memory holds after the patterns, the copy is a guess.
    """
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    cell = TuringMemory(5, NTM.Params(width=8, slots=12, slot_size=8, read_heads=1))
    head = torch.nn.Linear(cell.outputs, 4)
    weights = [*cell.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(weights, lr=1e-2)
    for update in range(800):
        bits = torch.randint(2, (32, 1 + update % 4, 4), generator=generator).float()
        logits = copied(cell, head, bits)
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(logits, bits).backward()
        torch.nn.utils.clip_grad_norm_(weights, 10.0)
        optimizer.step()
    bits = torch.randint(2, (256, 4, 4), generator=generator).float()
    with torch.no_grad():
        kept, wiped = ((copied(cell, head, bits, wipe) > 0) != bits.bool() for wipe in (False, True))
    assert kept.float().mean() < 0.02
    assert 0.4 < wiped.float().mean() < 0.6


def copied(cell, head, bits, wipe=False):
    """Logits of the bits said after they were shown: patterns, a mark, then nothing. wipe: forget the memory in between."""
    batch, length, width = bits.shape
    mark = F.one_hot(torch.full((batch, 1), width), width + 1).float()
    tokens = torch.cat([F.pad(bits, (0, 1)), mark, torch.zeros(batch, length, width + 1)], dim=1)
    state, outputs = cell.initial(batch), []
    for i, token in enumerate(cell.project(tokens).unbind(1)):
        if wipe and i == length:
            state = state._replace(memory=cell.initial(batch).memory)
        state = cell.step(token, state)
        outputs.append(head(state.output))
    return torch.stack(outputs[-length:], dim=1)
