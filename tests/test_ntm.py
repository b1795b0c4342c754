"""NTM: addressing, writing and reading against reference computations; learning to copy (card 2)."""

import pytest
import torch
import torch.nn.functional as F

from algos.model.ntm import NTM, Heads, TuringMemory, rotate, sharpen, write
from tests.memory_cells import ntm, steps

pytestmark = pytest.mark.usefixtures("float64")


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
    optimizer = torch.optim.Adam(weights, lr=1e-2, fused=True)
    losses = [1.0] * 20
    while sum(losses[-20:]) > 20 * 0.03 and len(losses) < 820:
        bits = torch.randint(2, (32, 1 + len(losses) % 4, 4), generator=generator).float()
        logits = copied(cell, head, bits)
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(logits, bits)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 10.0)
        optimizer.step()
        losses.append(loss.item())
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
