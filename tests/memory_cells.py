"""Small memory networks and the states that they pass through, for the tests of MANN and NTM."""

import torch

from algos.model.mann import MANN
from algos.model.ntm import NTM
from tests import planted


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
