"""The stream protocol of Santoro et al. 2016: `python -m bench stream mann`, accuracy by presentation.

Trains a recurrent learner to name each of 50 images before it is told its label, resumes exactly where it was stopped,
and draws all finished learners beside the published values. The same command with more updates continues the training.
"""

import argparse
import sys

from bench.paths import results_root
from bench.protocol import machine
from bench.protocol.loop import Stopped
from bench.protocol.memory import keep_freed
from bench.protocol.provenance import now
from bench.protocol.sources import ImageSource
from bench.protocol.stream_training import LEARNERS, StreamTraining
from bench.report import stream_figure


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument(
        "learner",
        choices=(*LEARNERS, "draw"),
        help="lstm: the paper's controller without a memory; draw: only the figure, of all finished runs",
    )
    parser.add_argument("--updates", type=int, default=20_000, help="meta-updates (16 streams each)")
    parser.add_argument("--labels", choices=("independent", "balanced"), default="independent")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dataset", default="omniglot")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--test-streams", type=int, default=1_000)
    parser.add_argument("--no-figure", action="store_true", help="leave the figure to `bench stream draw`")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="NAME=VALUE", help="hyper-parameters of the memory"
    )


def main(args: argparse.Namespace) -> int:
    """Run the verb; return 130 after a signal."""
    if args.learner != "draw":
        try:
            _train(args)
        except Stopped as stopped:
            print(
                f"{args.learner}: {stopped}; the same command resumes from there", file=sys.stderr, flush=True
            )
            return 130
    if args.learner == "draw" or not args.no_figure:
        stream_figure.draw(results_root() / "stream" / args.labels, args.labels)
    return 0


def _train(args: argparse.Namespace) -> None:
    started, device = now(), machine.set_up(args.device, 1, tf32=True)
    keep_freed(device)
    training = StreamTraining(args, ImageSource(args.dataset, None, device))
    training.folder.mkdir(parents=True, exist_ok=True)
    training.resume()
    training.train(args.updates)
    machine.allow_tf32(False)  # tests are float32
    training.write(started, args.test_streams)
