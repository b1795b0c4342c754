"""Write the READMEs' findings, tables and figures from the reference results alone: `python -m bench readme`.

README.md says what was found, with ten rows; results/reference/README.md has every row, and benchmarks/README.md the time to an
accuracy. `--check` writes nothing and exits 1
when they do not match the tables of `python -m bench reference --report`.
"""

import argparse
import hashlib
import sys
from pathlib import Path

from bench.report.budgets import budget_table, budgets, near
from bench.report.findings import findings, undecided
from bench.report.readme_figure import draw, draw_figure
from bench.report.records import record_table
from bench.report.reference_table import SHIFT, full_tables, headline, short_table
from bench.report.sections import contrast
from bench.report.sections.published import SPLIT
from bench.report.summary import Summary, read_summary
from bench.report.verdicts import verdict_sentence, verdict_table, verdicts
from bench.results.files import write_text
from bench.results.reference_list import FILE, listed_studies
from bench.results.reference_store import reference_results, reference_root
from tasks.shift_table import SHIFTS

README, RECORDS = Path("README.md"), Path("benchmarks", "README.md")
PARTS = ("findings", "reference")
"""Names of the two parts of README.md that are generated, each between two markers."""
REMEDY = "run `make readme`"
NONE = "There are no reference results yet: `make reference` makes them.\n"
NOTE = (
    "Accuracy in % (mean squared error for regression) on frozen meta-test episodes, with the 95 % interval over "
    "seeds and episodes; * one seed. *Transductive*: the queries of a task share batch "
    f"statistics. *Published* values of another network or harness name it in brackets. {SPLIT} *Training*: CPU time, on a GPU wall time. *Budget*: share of the number of "
    "training tasks that the paper or its code states. *Trained at*: commits of the trainings; tests may be younger."
)
SHORT_NOTE = (
    "Accuracy in % with 95 % intervals, each learner in the mode of its paper; * one seed. *Smeared*: {shift} at its highest "
    "severity, of whole tasks, on the first of the same episodes; *loss*: the change, paired by seed and episode. *Budget*: "
    f"share of the published training tasks, so most rows cannot reach the published value. {SPLIT} All rows: "
    "[results/reference](results/reference/README.md); all shifts, claims and comparisons: `{page}`, which opens offline."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `python -m bench readme`."""
    parser.add_argument(
        "list", nargs="?", default=FILE, help="YAML list of runs; its first study has the findings"
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 when something is out of date"
    )


def main(args: argparse.Namespace) -> int:
    """Write or check the READMEs and their figures."""
    summaries = read_summaries(Path(args.list))
    parts, further, full = blocks(summaries), {"records": records(summaries)}, full_readme(summaries)
    texts = {README: replaced(README, parts), RECORDS: replaced(RECORDS, further)}
    texts[reference_root() / "README.md"] = full
    generated = [*parts.values(), *further.values(), full]  # text around them is written by hand
    mark = hashlib.sha256("".join(generated).encode()).hexdigest()
    figures = {name: reference_root() / "figures" / f"{name}.svg" for name in ("headline", "shifted")}
    figures = figures if summaries else {}
    if args.check:
        stale = [
            path
            for path, text in texts.items()
            if not path.exists() or path.read_text(encoding="utf-8") != text
        ]
        stale += [
            path
            for path in figures.values()
            if not path.exists() or mark not in path.read_text(encoding="utf-8")
        ]
        if stale:
            print(f"{' and '.join(map(str, stale))} out of date: {REMEDY}", file=sys.stderr)
        return int(bool(stale))
    for path, text in texts.items():
        write_text(path, text)
    if figures:
        draw(headline(summaries), figures["headline"], mark)
        draw_figure(contrast.figures(summaries[0])[0], figures["shifted"], mark)
    print(f"wrote the reference results into {' and '.join(map(str, texts))}")
    return 0


def read_summaries(path: Path) -> list[Summary]:
    """Return the tables of the listed studies that have reference results."""
    studies = [study for study in listed_studies(path) if study.runs()] if path.exists() else []
    with reference_results():
        return [read_summary(study) for study in studies]


def replaced(path: Path, texts: dict[str, str]) -> str:
    """Return the file's text with each text between its two markers.

    Raises ValueError unless each marker occurs once, in order.
    """
    whole = path.read_text(encoding="utf-8")
    for name, text in texts.items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        if whole.count(begin) != 1 or whole.count(end) != 1 or whole.index(begin) > whole.index(end):
            raise ValueError(f"{path} needs the lines {begin} and {end}, once each and in this order")
        head, rest = whole.split(begin)
        whole = f"{head}{begin}\n{text}{end}{rest.split(end)[1]}"
    return whole


def blocks(summaries: list[Summary]) -> dict[str, str]:
    """Return the generated parts of README.md by name."""
    if not summaries:
        return dict.fromkeys(PARTS, NONE)
    first = summaries[0]
    table = short_table(headline(summaries), summaries)
    said = "".join(f"- {text}\n" for text in findings(summaries))
    figure = contrast.figures(first)[0]
    picture = f"![Accuracy under shift: {figure.title}](results/reference/figures/shifted.svg)"
    note = SHORT_NOTE.format(
        shift=SHIFTS[SHIFT].title.lower(), page=f"reports/reference/{first.study.name}/report.html"
    )
    return {
        "findings": f"{table.title}, learners compared within one study (`{first.study.name}`):\n\n{said}\n{picture}\n\n{undecided(first)}\n",
        "reference": f"**{table.title}**\n\n{table.to_markdown()}\n{note}{table.caption}\n{_claims(summaries)}",
    }


def _claims(summaries: list[Summary]) -> str:
    """Return the README's paragraph on the claims of the literature, if any was judged."""
    said = verdict_sentence(verdicts(summaries))
    return f"\n{said} [All verdicts](results/reference/README.md#claims-of-the-literature).\n" if said else ""


def records(summaries: list[Summary]) -> str:
    """Return the generated part of benchmarks/README.md."""
    table = record_table(summaries[0]) if summaries else None
    if table is None or not table.rows:
        return NONE
    return f"**{table.title}**\n\n{table.to_markdown()}\n{table.caption}\n"


def full_readme(summaries: list[Summary]) -> str:
    """Return results/reference/README.md."""
    text = "# Reference results\n\nWritten by `make readme`; see [how to make and check them](../../docs/reproduce.md).\n\n"
    if not summaries:
        return text + NONE
    rows = headline(summaries)
    tables = [f"## {table.title}\n\n{table.to_markdown()}" for table in full_tables(rows)]
    for table in (budget_table(budgets(summaries)), verdict_table(verdicts(summaries))):
        if table.rows:
            tables.append(f"## {table.title}\n\n{table.to_markdown()}\n{table.caption}\n")
    tables.insert(0, f"{near(rows)}\n")
    figure = "![Measured accuracy with intervals beside published values](figures/headline.svg)"
    sources = "; ".join(sorted({source for source in rows["source"] if source}))
    published = f" Published: {sources}." if sources else ""
    return text + "\n".join([*tables, figure, "", NOTE + published, ""])
