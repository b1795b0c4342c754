"""MANN: least-recently-used access against a reference computation in scalars (card 3)."""

import pytest
import torch
import torch.nn.functional as F

from algos.model.mann import DECAY, LeastRecentlyUsedMemory
from tests.memory_cells import steps

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
