"""`python -m bench VERB`: the steps of the benchmark and its tools, each of which can be run by hand."""

import argparse
import contextlib
import errno
import importlib
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from bench import compiler

VERBS = {
    "list": ("bench.verbs.list", "the algorithms, their hyper-parameters and presets"),
    "schema": ("bench.verbs.schema", "write the JSON schema of study files"),
    "prepare": ("bench.verbs.prepare", "fetch, check and pack a data set"),
    "train": ("bench.verbs.train", "meta-train one run of a study"),
    "test": ("bench.verbs.test", "meta-test one run over all conditions of its study"),
    "summarize": ("bench.verbs.summarize", "tables of a study: cells, comparisons, ranks, runs"),
    "claims": ("bench.statistics.claims", "verdicts of a study on the claims of config/claims.yaml"),
    "pictures": ("bench.protocol.pictures", "pictures of a study's episodes and shifts, for its report"),
    "report": ("bench.report.report", "HTML report, figures and tables of a study"),
    "stream": ("bench.verbs.stream", "train and test on streams of images: accuracy by presentation"),
    "status": ("bench.verbs.status", "the state of every run of a study"),
    "estimate": ("bench.verbs.estimate", "what a study will take: hours, memory, disk"),
    "classify": ("bench.verbs.classify", "your own pictures, by a trained learner"),
    "export": ("bench.verbs.export", "everything that a study measured, as one table (parquet)"),
    "new": ("bench.verbs.new", "write a learner to start from, its test and a study of it"),
    "reference": ("bench.verbs.reference", "resume the reference results"),
    "reproduce": (
        "bench.verbs.reproduce",
        "check a reference result: train it again, or test its weights again",
    ),
    "readme": ("bench.verbs.readme", "write the findings of the reference results into the READMEs"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run a verb and return its exit status: 2 after a wrong input, which is named without a traceback."""
    arguments = sys.argv[1:] if arguments is None else arguments
    compiler.postpone()
    for stream in (sys.stdout, sys.stderr):
        # A terminal without UTF-8 shows `?` for a sign that it does not have.
        getattr(stream, "reconfigure", lambda **_: None)(errors="replace")
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, (module, summary) in VERBS.items():
        chosen = verbs.add_parser(verb, help=summary, description=summary)
        if arguments[:1] == [verb]:  # other verbs stay unloaded: torch alone takes seconds
            chosen_module = importlib.import_module(module)
            chosen_module.add_arguments(chosen)
    args = parser.parse_args(arguments)
    try:
        with no_early_exit():
            status = chosen_module.main(args)
        sys.stdout.flush()
        return status
    except (ValueError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `| head` has read enough; what is still in the buffer goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"error: {explained(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except MemoryError as error:
        print(
            f"error: out of memory ({error or 'no details'}); use smaller sizes or a larger machine",
            file=sys.stderr,
        )
        return 2
    except Exception as error:
        print(f"error: {fault(error, arguments[0])}", file=sys.stderr)
        return 1


@contextlib.contextmanager
def no_early_exit() -> Iterator[None]:
    """Make the end of the program by a learner's code an error: it would look like success, without results."""
    real, process = os._exit, os.getpid()

    def leave(status: int) -> None:
        if os.getpid() != process:  # a child process ends this way
            real(status)
        raise SystemExit(status)

    os._exit = leave
    try:
        yield
    except SystemExit as error:
        place = traceback.extract_tb(error.__traceback__)
        ours = {__file__, *(frame.filename for frame in place if frame.name == "leave")}
        last = [frame for frame in place if frame.filename not in ours][-1]
        raise ValueError(
            f"{last.filename}, line {last.lineno}: the code ended the program (exit {error.code}) before the work was done"
        ) from error
    finally:
        os._exit = real


def fault(error: Exception, verb: str) -> str:
    """Write the traceback of a fault that is not the user's input to a log; return one line with its place."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    line = f"{type(error).__name__}: {error} ({last.filename}, line {last.lineno})"
    log = Path("logs", "faults", f"{verb}-{os.getpid()}.log")
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("".join(traceback.format_exception(error)), encoding="utf-8", errors="replace")
    except OSError:
        traceback.print_exception(error)
        return line
    return f"{line}; this is a fault of the program or of your own algorithm: the traceback is in {log}"


REMEDIES = {
    errno.ENOSPC: "free some room on the disk, then give the same command again",
    errno.EDQUOT: "your quota is used up: free some room, then give the same command again",
    **dict.fromkeys(
        (errno.EROFS, errno.EACCES, errno.EPERM),
        "set RESULTS_ROOT, REPORTS_ROOT or DATA_ROOT to a folder that can be written",
    ),
}


def explained(error: OSError) -> str:
    """The message of an error of the system, with its file and, where there is one, the remedy."""
    if error.errno is None or not error.strerror:
        return str(error)
    file = f"{error.filename}: " if error.filename else ""
    remedy = f"; {REMEDIES[error.errno]}" if error.errno in REMEDIES else ""
    return f"{file}{error.strerror}{remedy}"


if __name__ == "__main__":
    sys.exit(main())
