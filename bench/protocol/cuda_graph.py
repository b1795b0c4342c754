"""A meta-update recorded once as a CUDA graph and replayed: one launch instead of thousands.

A GPU is done with a small kernel before Python has launched the next one. For learners that are `capturable` only.
"""

from typing import Any

import torch
from torch import Tensor

from algos.base import MetaLearner

WARM_UP = 3
"""Ordinary updates before the recording: libraries set themselves up, Adam makes its moments."""


class Captured:
    """Call it in the place of `learner.meta_update(sampler, optimizer)`; the first calls are just that.

    The optimiser must keep its rate on the device (`build_optimizer`), and the sampler has to draw from `sampler.generator` alone.
    """

    def __init__(self, learner: MetaLearner, sampler: Any, optimizer: torch.optim.Optimizer):
        self.learner, self.sampler, self.optimizer = learner, sampler, optimizer
        self.calls, self.graph, self.loss = 0, None, None
        self.side = torch.cuda.Stream()

    def __call__(self) -> Tensor:
        if self.calls < WARM_UP:
            self.calls += 1
            return self._ordinary()
        if self.graph is None:
            self._record()
        self.graph.replay()
        return self.loss

    def _ordinary(self) -> Tensor:
        self.side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.side):
            loss = self.learner.meta_update(self.sampler, self.optimizer)
        torch.cuda.current_stream().wait_stream(self.side)
        return loss

    def _record(self) -> None:
        self.graph = torch.cuda.CUDAGraph()
        self.graph.register_generator_state(self.sampler.generator)
        with torch.cuda.graph(self.graph):
            self.loss = self.learner.meta_update(self.sampler, self.optimizer)
