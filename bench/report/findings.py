"""What the reference results say, in three sentences for the README. They are those of the report."""

import html
import re

from bench.report.numbers import counted
from bench.report.sections import result, separation
from bench.report.summary import Summary, own_task
from bench.results.condition import clean
from bench.results.setting import at, settings


def findings(summary: Summary) -> list[str]:
    """Return who is best, who withstands the shifts, and what mends a loss; in the first setting of the study."""
    found = settings(summary.own)
    if not found:
        return []
    label = found[0].label
    told = [text for place, text in result.facts(summary)["findings"] if place == label]
    remedies = dict(separation.facts(summary)["separation"]).get(label, [])
    untested = tuple(separation.UNTESTED.values())
    tried = [f"{name}: {text}" for name, text in remedies if not text.startswith(untested)]
    return [plain(text) for text in (*told[:2], *tried[-1:])]


def plain(text: str) -> str:
    """Return HTML as plain text."""
    return html.unescape(re.sub("<[^>]+>", "", text))


def undecided(summary: Summary) -> str:
    """Say how many learners have one seed, and what that leaves open."""
    setting = settings(summary.own)[0]
    rows = at(own_task(summary.cells), setting)
    rows = rows[clean(rows)]
    single, every = int(rows["n_seeds"].eq(1).sum()), len(rows)
    if not single:
        return f"Every learner has {counted(rows['n_seeds'], 'seed')}."
    return (
        f"{single} of {every} learners have been trained once, marked * in the table: how much another training of them would "
        "differ is taken from the learners with more seeds, so that small differences between them are undecided."
    )
