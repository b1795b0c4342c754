"""What makes a learner robust: how much of its loss under shift is mended by statistics, adaptation or a shifted support."""

from functools import partial
from html import escape

import pandas as pd
from matplotlib.axes import Axes

from bench.report.axes import dot, label_margin, named_rows
from bench.report.figure import Figure, Panel
from bench.report.numbers import counted, number, reach
from bench.report.style import COLOURS, INK, Style, by_family
from bench.report.summary import Summary
from bench.report.table import Cell, Column, Row, Table, text_columns, words
from bench.results.condition import ALL_SHIFTS
from bench.results.setting import Setting, at, settings

ID, TITLE, ORDER = "separation", "What makes a learner robust", 45
NOTHING = "This study tests no shifts at several severities."
CAPTION = (
    "How many points of the loss under shift each remedy mends: what it gains on shifted tasks minus what it gains on clean "
    "ones, with the same weights on the same episodes; mean over the shifts that all learners share, at their highest "
    "severity, with 95 % intervals. To the right of zero, learners lose less with the remedy. Open diamonds: means over the "
    "learners of a family, and of all; their intervals hold for these learners."
)
TABLE = (
    "Loss: change against the clean task without the remedy. Gain: with the remedy minus without it, on clean and on shifted "
    "tasks. Mended: the difference of the two gains, with its 95 % interval, paired by seed and episode."
)
UNTESTED = {
    "statistics": "untested: no learner was shifted in both modes. "
    "The study needs <code>shifts: {modes: [inductive, transductive]}</code>",
    "adaptation": "untested: no learner took other numbers of gradient steps under shift. "
    "The study needs <code>experiments: {steps_under_shift: [0, 1, 50]}</code>",
    "support": "untested: no learner was shifted in both scopes. "
    "The study needs <code>shifts: {scopes: [task, query]}</code>",
}
NAMES = {"statistics": "Statistics", "adaptation": "Adaptation", "support": "Support"}
PANELS = {
    "statistics": "Statistics: those of the shifted queries",
    "adaptation": "Adaptation: {:.0f} gradient steps",
    "support": "Support: shifted like the queries",
}
EVERY = "all"


def _mean_over_shifts(summary: Summary, setting: Setting) -> pd.DataFrame:
    """Return the rows of a setting that stand for all shifts, statistics in the scope of the report."""
    rows = at(summary.separation, setting)
    rows = rows[rows["shift"].eq(ALL_SHIFTS)]
    return rows[rows["part"].ne("statistics") | rows["scope"].eq(summary.scope)]


def facts(summary: Summary) -> dict[str, list[tuple[str, list[tuple[str, str]]]]]:
    """Return by setting the three sentences, each a name and a text (HTML)."""
    found = []
    for setting in settings(summary.separation):
        rows = _mean_over_shifts(summary, setting)
        said = {"statistics": _statistics, "adaptation": _adaptation, "support": _support}
        parts = {part: rows[rows["part"].eq(part)] for part in said}
        sentences = [
            (NAMES[part], words_of(parts[part]) if len(parts[part]) else f"{UNTESTED[part]}.")
            for part, words_of in said.items()
        ]
        found.append((setting.label, sentences))
    return {"separation": found}


def _statistics(rows: pd.DataFrame) -> str:
    mean = _mean(rows)
    some, they = _who(
        mean, "the one learner that has both modes loses", "the {} learners that have both modes lose"
    )
    return (
        f"in inductive mode, {some} {_lost(mean.change)} points; with batch statistics of the shifted queries {they} "
        f"{_mended(mean)} (mean, {_behind(mean)}). {_largest(rows)}"
    )


def _adaptation(rows: pd.DataFrame) -> str:
    said, most = [], rows["steps"].max()
    if (rows["steps"] == 0).any():
        mean = _mean(rows[rows["steps"].eq(0)])
        said.append(
            f"a learner's own number of gradient steps gains {number(mean.shifted)} points under shift and "
            f"{number(mean.clean)} on clean tasks"
        )
    if most > 1:
        mean = _mean(rows[rows["steps"].eq(most)])
        some, _ = _who(
            mean, "the one learner with an inner loop loses", "the {} learners with an inner loop lose"
        )
        said.append(f"after {most} steps instead of a learner's own number, {some} {_mended(mean)}")
    return f"{'; '.join(said)} (mean, {_behind(mean)})."


def _support(rows: pd.DataFrame) -> str:
    mean = _mean(rows)
    some, they = _who(mean, "one learner loses", "{} learners lose")
    return (
        f"where only the queries are shifted, {some} {_lost(mean.change)} points; where the support is shifted, too, {they} "
        f"{_mended(mean)} (mean, {_behind(mean)}). {_largest(rows)}"
    )


def _who(row, one: str, several: str) -> tuple[str, str]:
    """Return subject and verb of a mean over learners, and those of the next clause."""
    return (one, "it loses") if row.n_algorithms == 1 else (several.format(row.n_algorithms), "they lose")


def _mean(rows: pd.DataFrame):
    """Return the row that stands for all learners, or the only learner's where none belongs to a family."""
    every = rows[rows["algorithm"].eq(EVERY)]
    return next((every if len(every) else rows).itertuples())


def tested(summary: Summary, setting: Setting) -> dict[str, pd.Series]:
    """Return the row of the mean over learners by remedy, of those that were tested; steps: the highest number."""
    means = {part: rows[rows["algorithm"].eq(EVERY)] for part, rows in _by_remedy(summary, setting).items()}
    return {part: rows.iloc[0] for part, rows in means.items() if len(rows)}


def _by_remedy(summary: Summary, setting: Setting) -> dict[str, pd.DataFrame]:
    """Return the rows of each remedy that was tested; of several numbers of steps, the highest."""
    rows = _mean_over_shifts(summary, setting)
    parts = {part: rows[rows["part"].eq(part)] for part in NAMES}
    steps = parts["adaptation"]["steps"]
    parts["adaptation"] = parts["adaptation"][steps.eq(steps.max()) & steps.gt(1)]
    return {part: rows for part, rows in parts.items() if len(rows)}


def _lost(change: float) -> str:
    return number(-change)


def _mended(row) -> str:
    """Return `3.9 points less (95 % interval 2.0 to 5.8)`, of the other sign `more`; an interval with zero decides nothing."""
    sign, word = (1, "less") if row.mended >= 0 else (-1, "more")
    ends = sorted((sign * row.mended_low, sign * row.mended_high))
    open_ = ", which is undecided" if ends[0] <= 0 <= ends[1] else ""
    return f"{number(sign * row.mended)} points {word} (95 % interval {reach(*ends)}){open_}"


def _behind(row) -> str:
    return f"{counted([row.n_seeds], 'seed')} and {counted([row.n_episodes], 'episode')} each"


def _largest(rows: pd.DataFrame) -> str:
    """Say which single learner the remedy mends most for."""
    single = rows[~rows["algorithm"].isin([EVERY, *COLOURS])]
    row = next(single.sort_values("mended", ascending=False).itertuples())
    interval = reach(row.mended_low, row.mended_high, sign=True)
    return f"It mends most for {escape(row.title)}: {number(row.mended, sign=True)} ({interval})."


def figures(summary: Summary) -> list[Figure]:
    """Return one figure per setting: a panel per remedy, a line per learner."""
    found = []
    for setting in settings(summary.separation):
        panels = []
        for remedy, part in _by_remedy(summary, setting).items():
            title = PANELS[remedy].format(part["steps"].iloc[0])
            part = _ordered(part[part["n_algorithms"].ne(1) | ~part["algorithm"].isin([EVERY, *COLOURS])])
            said = [
                f"{row.title} {number(row.mended, sign=True)} ({reach(row.mended_low, row.mended_high, sign=True)})"
                for row in part.itertuples()
            ]
            alt = f"{setting.label}, points of the loss that are mended, {title}: {'; '.join(said)}."
            draw = partial(_draw, rows=part[::-1], styles=summary.styles)
            panels.append(Panel(title, alt, draw, 4.4, 0.75 + 0.25 * len(part), label_margin(part["title"])))
        name, in_page = f"separation-{setting.slug}", summary.in_page(setting)
        if panels:
            figure = Figure(
                name, setting.label, panels, columns=3, caption=CAPTION, fold=True, in_page=in_page
            )
            found.append(figure)
    return found


def _ordered(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over all first, then by family, its mean first, then what is mended most."""
    rows = rows.assign(single=~rows["algorithm"].isin([EVERY, *COLOURS]), rest=rows["algorithm"].ne(EVERY))
    rows = by_family(rows.sort_values(["single", "mended"], ascending=[True, False]))
    return rows.sort_values("rest", kind="stable")


def _draw(ax: Axes, rows: pd.DataFrame, styles: dict[str, Style]) -> None:
    ax.axvline(0, color=INK, lw=0.9, alpha=0.6)
    for y, row in enumerate(rows.itertuples()):
        ends = [100 * row.mended_low, 100 * row.mended_high]
        if row.single:
            dot(ax, y, ends, 100 * row.mended, styles[row.algorithm], row.algorithm)
        else:
            colour = COLOURS.get(row.family, [INK])[0]
            ax.axhspan(y - 0.5, y + 0.5, color=colour, alpha=0.1, lw=0)
            ax.plot(ends, [y, y], color=colour, lw=1.6)
            ax.plot(100 * row.mended, y, "D", mec=colour, mfc="none", mew=1.6, ms=7.5)
    named_rows(ax, rows["title"])
    means = 100 * rows["mended"]
    reach_ = max(1.5 * means.abs().max(), 5.0)  # intervals of two seeds would hide every difference
    low, high = ax.get_xlim()
    ax.set_xlim(max(low, -2 * reach_), min(high, 2 * reach_))
    ax.set_xlabel("mended, points of accuracy")


def tables(summary: Summary) -> list[Table]:
    """Return a table per setting: a row per learner and remedy."""
    found = []
    for setting in settings(summary.separation):
        columns = text_columns("Algorithm", "Remedy", "Shifted", "Mode", minor=("Mode",))
        columns += [
            *map(Column, ("Loss without", "Gain, clean", "Gain, shifted", "Mended", "95 % interval", "n"))
        ]
        name = f"separation-{setting.slug}"
        caption, heading = "" if found else TABLE, f"Every remedy, {setting.label}"
        table = Table(name, setting.label, columns, caption=caption, heading=heading, fold=True)
        rows = at(summary.separation, setting)
        for row in rows[rows["shift"].eq(ALL_SHIFTS)].itertuples():
            table.rows.append(_row(row))
        found.append(table)
    return found


def _row(row) -> Row:
    steps = f", {row.steps} steps" if row.part == "adaptation" else ""
    shifted = {"task": "whole task", "query": "queries only"}[row.scope]
    mode = row.mode if isinstance(row.mode, str) else "both"
    names = words(row.title, f"{NAMES[row.part]}{steps}", shifted, mode)
    values = [Cell(number(v, sign=True), v) for v in (row.change, row.clean, row.shifted, row.mended)]
    interval = Cell(reach(row.mended_low, row.mended_high, sign=True))
    n = Cell(f"{row.n_seeds} × {row.n_episodes}", note="seeds × episodes")
    return Row([*names, *values, interval, n], row.family if isinstance(row.family, str) else "")
