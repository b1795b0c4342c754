"""`python -m bench VERB`: the steps of the benchmark and its tools, each of which can be run by hand."""

import argparse
import importlib
import sys

VERBS = {
    "list": ("bench.verbs.list", "the algorithms, their hyper-parameters and presets"),
    "schema": ("bench.verbs.schema", "write the JSON schema of study files"),
    "prepare": ("bench.verbs.prepare", "fetch, check and pack a data set"),
    "train": ("bench.verbs.train", "meta-train one run of a study"),
    "test": ("bench.verbs.test", "meta-test one run over all conditions of its study"),
    "summarize": ("bench.statistics.summarize", "tables of a study: cells, comparisons, ranks, runs"),
    "claims": ("bench.statistics.claims", "verdicts of a study on the claims of config/claims.yaml"),
    "pictures": ("bench.protocol.pictures", "pictures of a study's episodes and shifts, for its report"),
    "report": ("bench.report.report", "HTML report, figures and tables of a study"),
    "stream": ("bench.verbs.stream", "train and test on streams of images: accuracy by presentation"),
    "status": ("bench.verbs.status", "the state of every run of a study"),
    "estimate": ("bench.verbs.estimate", "what a study will take: hours, memory, disk"),
    "reference": ("bench.verbs.reference", "resume the reference results"),
    "readme": ("bench.verbs.readme", "write the reference results into README.md"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run a verb and return its exit status: 2 after a wrong input, which is named without a traceback."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, (module, summary) in VERBS.items():
        chosen = verbs.add_parser(verb, help=summary, description=summary)
        if arguments[:1] == [verb]:  # other verbs stay unloaded: torch alone takes seconds
            chosen_module = importlib.import_module(module)
            chosen_module.add_arguments(chosen)
    args = parser.parse_args(arguments)
    try:
        return chosen_module.main(args)
    except (ValueError, FileNotFoundError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
