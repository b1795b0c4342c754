"""Case `updates`: one meta-update as in a study, 5-way 1-shot on Conv4, by type of the convolutions and by device.

On a GPU it is also recorded and replayed, as a study does there (bench/protocol/cuda_graph.py).
"""

from collections.abc import Iterator

import torch

import algos
from algos.nets.layers import train_in
from bench.protocol.cuda_graph import WARM_UP, Captured
from bench.protocol.optimizer import build_optimizer, set_rate
from benchmarks import synthetic
from benchmarks.maml import OurStep
from benchmarks.timing import Comparison, Scale, Variant, local
from tasks.episodes import Episodes
from tasks.seeds import torch_generator

ALGORITHMS = ("protonet", "maml", "metaopt_svm", "snail", "mann")
TOLERANCE = 0.1
"""Largest relative difference between first losses: bfloat16 keeps 8 bits, and a GPU multiplies with 10 (TF32)."""


def cases(scale: Scale, device: torch.device) -> Iterator[Comparison]:
    cpu = torch.device("cpu")
    for name in ALGORITHMS:
        ways = {"float32": (device, torch.float32), "bfloat16": (device, torch.bfloat16)}
        if device.type == "cuda":
            ways["float32, one thread of its CPU"] = (cpu, torch.float32)
        steps = {variant: Update(name, scale, *way) for variant, way in ways.items()}
        first = [step().item() for step in steps.values()]
        assert max(first) - min(first) <= TOLERANCE * max(first), f"{name}: losses {first} differ"
        variants: list[Variant] = [
            local(variant, scale.tasks, step, ways[variant][0]) for variant, step in steps.items()
        ]
        if device.type == "cuda" and algos.load(name).capturable:
            recorded = Update(name, scale, device, torch.float32).recorded()
            variants.insert(1, local("float32, recorded", scale.tasks, recorded, device))
        yield Comparison("updates", name, "tasks", variants)


class Update(OurStep):
    """The same for any learner, with the task sizes that the learner asks for; it can also be recorded."""

    def __init__(self, name: str, scale: Scale, device: torch.device, dtype: torch.dtype):
        kind = algos.load(name)
        known = kind.Params.__dataclass_fields__
        wanted = {"meta_batch": scale.tasks, "hidden": scale.hidden, "backbone": "conv4"}
        values = {key: value for key, value in wanted.items() if key in known}
        self.model = synthetic.learner(kind, device, **values).train()
        train_in(self.model, dtype)
        self.optimizer = build_optimizer(self.model, device)
        set_rate(self.optimizer, 0.0)
        self.generator = torch_generator(device, "benchmarks")
        self.device, self.episodes = device, None  # drawn at the first call, when the sizes are known

    def sample(self, tasks: int, way: int, shot: int, query: int, *_: str) -> Episodes:
        if self.episodes is None:
            drawn = synthetic.episodes(tasks, way, shot, query, torch.device("cpu"))
            self.episodes = synthetic.on(self.device, drawn)
        return self.episodes

    def recorded(self) -> Captured:
        update = Captured(self.model, self, self.optimizer)
        for _ in range(WARM_UP + 1):
            update()
        return update
