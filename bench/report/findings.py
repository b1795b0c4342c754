"""What the reference results say, in three sentences for the README. They are those of the report."""

import html
import re
from collections.abc import Sequence

from bench.report.numbers import counted, listed, number, reach
from bench.report.sections import result, separation
from bench.report.summary import Summary, own_task
from bench.results.condition import clean
from bench.results.setting import Setting, at, settings

REMEDIES = {
    "statistics": "batch statistics of the shifted queries",
    "adaptation": "{:.0f} gradient steps instead of the learner's own number",
    "support": "a support that is shifted like the queries",
}
"""Remedies by their name in separation.csv."""


def findings(summaries: Sequence[Summary]) -> list[str]:
    """Return who is best, who withstands the shifts, and what mends a loss; in the first setting of the first study."""
    found = settings(summaries[0].own)
    if not found:
        return []
    told = [text for place, text in result.facts(summaries[0])["findings"] if place == found[0].label]
    return [*map(plain, told[:2]), *remedies(summaries, found[0])]


def remedies(summaries: Sequence[Summary], setting: Setting) -> list[str]:
    """Say how much of the loss under shift each remedy mends, by the study that tested most of them, then by most seeds."""
    tested = [(summary, separation.tested(summary, setting)) for summary in summaries]
    summary, rows = max(
        tested, key=lambda one: (len(one[1]), min((row["n_seeds"] for row in one[1].values()), default=0))
    )
    if not rows:
        return []
    said = [
        f"{REMEDIES[part].format(row['steps'])} ({number(row['mended'])} of {number(-row['change'])} points, "
        f"95 % interval {reach(row['mended_low'], row['mended_high'])}, {counted([row['n_algorithms']], 'learner')})"
        for part, row in sorted(rows.items(), key=lambda one: -one[1]["mended"])
    ]
    seeds = counted((row["n_seeds"] for row in rows.values()), "seed")
    return [f"What mends a loss under shift: {listed(said)}. Study `{summary.study.name}`, {seeds}."]


def plain(text: str) -> str:
    """Return HTML as plain text."""
    return html.unescape(re.sub("<[^>]+>", "", text))


NAMED = 3
"""Learners with one seed that a sentence names; more are counted."""


def undecided(summary: Summary) -> str:
    """Say how many learners have one seed, and what that leaves open."""
    setting = settings(summary.own)[0]
    rows = at(own_task(summary.cells), setting)
    rows = rows[clean(rows)]
    single = rows.loc[rows["n_seeds"].eq(1), "title"]
    if single.empty:
        return f"Every learner has {counted(rows['n_seeds'], 'seed')}."
    who = listed(single) if len(single) <= NAMED else f"{len(single)} of {len(rows)} learners"
    return (
        f"{who} {'has' if len(single) == 1 else 'have'} been trained once: how much another training would differ is taken from "
        "the learners with more seeds, so that small differences are undecided."
    )
