"""Meta-training of one run: `python -m bench train config/quick.yaml glyphs/5way_1shot/protonet/seed0`.

Also of a pretraining that several runs share (`glyphs/supervised/seed0`); those runs then take its encoder over. Validates on frozen meta-validation episodes, keeps the best checkpoint, and resumes exactly where it was stopped.
"""

import argparse
import sys

import torch

from algos.nets.layers import train_in
from bench.protocol import checkpoint, machine
from bench.protocol.learner import build_learner
from bench.protocol.loop import MetaTraining, Stopped
from bench.protocol.sources import open_source
from bench.results.run_folder import RunResult, read_run
from bench.study.run import Run
from bench.study.study import Study, load_study, run_spec


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", help="study file, e.g. config/quick.yaml")
    parser.add_argument("run", help="run of the study, e.g. glyphs/5way_1shot/protonet/seed0")


def main(args: argparse.Namespace) -> int:
    study = load_study(args.study)
    run = study.run(args.run)
    try:
        train(study, run)
    except Stopped as stopped:
        print(f"{run.name}: {stopped}; the same command goes on from there", file=sys.stderr, flush=True)
        return 130
    return 0


def train(study: Study, run: Run) -> None:
    """Train (or go on training) a run and write model.safetensors, history.parquet and run.json to its folder."""
    started = machine.now()
    spec = run_spec(study, run)
    device = machine.set_up(spec["device"], spec["threads"], tf32=True)
    idle_memory = machine.peak_memory_mb(device)
    source = open_source(run.dataset, spec["split"], device)
    learner = build_learner(study, run, source).to(device)
    train_in(learner, getattr(torch, spec["precision"]))
    run.folder.mkdir(parents=True, exist_ok=True)
    training = MetaTraining(study, run, spec, source, learner, device)
    if learner.pretraining:
        training.take_over(finished_pretraining(study, run))
    elif learner.trainable:
        training.loop()
    training.write(started, idle_memory)
    checkpoint.remove(run.folder)


def finished_pretraining(study: Study, run: Run) -> RunResult:
    """What the run's pretraining has learned. FileNotFoundError says how to train it."""
    pretraining = study.pretraining(run)
    result = read_run(pretraining.folder)
    if result.run is None:
        raise FileNotFoundError(
            f"{pretraining.folder} has no trained model, and {run.name} starts from it: "
            f"run `python -m bench train {study.origin} {pretraining.name}`"
        )
    return result
