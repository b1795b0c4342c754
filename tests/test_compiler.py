"""PyTorch's compiler is loaded where something is compiled, and nowhere else."""

import subprocess
import sys

PROGRAM = """
import sys
from bench import compiler
compiler.postpone()
import torch
from torch.utils.flop_counter import FlopCounterMode
weight = torch.nn.Parameter(torch.ones(3))
optimizer = torch.optim.Adam([weight])
weight.sum().backward()
optimizer.step()
optimizer.zero_grad()
with torch.inference_mode(), FlopCounterMode(display=False) as counter:
    torch.ones(2, 3) @ torch.ones(3, 1)
assert counter.get_total_flops() == 12
assert "torch._dynamo.config" not in sys.modules, "an optimiser and the FLOP counter need no compiler"
compiled = torch.compile(lambda x: x * 2 + 1, backend="eager")
assert compiled(torch.ones(2)).tolist() == [3, 3]
assert "torch._dynamo.config" in sys.modules
optimizer.step()
"""


def test_the_compiler_is_loaded_where_something_is_compiled():
    """A learner of your own may use `torch.compile`; the built-in ones start without its import, half of PyTorch's."""
    subprocess.run([sys.executable, "-c", PROGRAM], check=True)
