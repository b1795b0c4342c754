"""The result in words, and the headline figure: accuracy in distribution and under the hardest shifts."""

from functools import partial

import pandas as pd
from matplotlib.axes import Axes

from bench.report.axes import dot, gid, is_error, label_margin, measure_axis, named_rows, scale_of
from bench.report.figure import Figure, Panel
from bench.report.numbers import SIGNIFICANT, counted, diverged_of, listed, number, reach
from bench.report.style import Style, by_family
from bench.report.summary import Summary, hardest
from bench.results.condition import clean
from bench.results.metrics import METRICS
from bench.results.setting import Setting, at, settings

ID, TITLE, ORDER = "result", "Result", 10
NOTHING = 'No run has a result yet; see <a href="#missing">missing and failed</a>.'
CAPTION = (
    "Filled marks: {measure} on new tasks of the kind the learner was trained for, with its 95 % interval. {shifted}{chance}"
    "Every algorithm is evaluated in the mode of its paper. Intervals are 95 % over both levels, trainings and tasks "
    "({{seeds}} and {{episodes}} in distribution): Student's t for what differs between seeds, a bootstrap for what all seeds share on the same episodes."
)
SHIFTED = (
    "Open marks: mean over the shifts that all learners share, at their highest severity; the line beside it reaches to the clean "
    "task on the same episodes, so that its length is the loss. A short line is a learner that keeps what it has learned. "
)
CHANCE = "The dotted line is chance. "
SETTINGS_TOLD = 6
VERDICTS = ("supported", "refuted", "undecided", "untested")
FEW = 5
"""Seeds from which a sentence need not name them as the reason why learners cannot be told apart."""
TIED_NAMED = 5  # with few seeds and many learners, the list would name almost all of them


def figures(summary: Summary) -> list[Figure]:
    """Return one figure: in distribution (filled, interval) and under the hardest shifts (open), a panel per setting."""
    panels, open_marks = [], False
    for setting in settings(summary.own):
        rows = at(summary.own, setting)
        worst, start = _shifted(summary, setting, rows)
        open_marks |= len(worst) > 0
        rows = rows[clean(rows)]
        rows = by_family(rows.sort_values("mean", ascending=is_error(rows)))[::-1]
        said = [_said(row, worst.get(row.algorithm)) for row in rows[::-1].itertuples()]
        draw = partial(_draw, rows=rows, worst=worst, start=start, styles=summary.styles)
        size = (4.8, 0.75 + 0.25 * len(rows), label_margin(rows["title"]))
        panels.append(Panel(setting.label, f"{setting.label}: {'; '.join(said)}.", draw, *size))
    caption = CAPTION.format(
        measure=" or ".join(METRICS[metric].label for metric in summary.own["metric"].unique()),
        shifted=SHIFTED if open_marks else "",
        chance=CHANCE if summary.own["chance"].notna().any() else "",
    )
    title = "In and out of distribution" if open_marks else "In distribution"
    return [Figure("headline", title, panels, columns=2, caption=caption, wide=True)] if panels else []


def _shifted(summary: Summary, setting: Setting, rows: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Return each algorithm's mean under the hardest shifts and on their clean tasks: those of the sentences, where it is an accuracy."""
    losses = _reported(_losses(summary, setting)).set_index("algorithm")
    if len(losses):
        return losses["mean"], losses["clean"]
    worst = hardest(rows, summary.scope) if summary.scope else pd.Series(dtype=float)
    return worst, summary.unshifted(setting).set_index("algorithm")["mean"]


def _losses(summary: Summary, setting: Setting) -> pd.DataFrame:
    losses = at(summary.losses, setting)
    return losses[losses["scope"].eq(summary.scope)]


def _reported(losses: pd.DataFrame) -> pd.DataFrame:
    return losses[losses["kind"].eq("learner") & losses["mode"].eq("reported")]


def _said(row, worst: float | None) -> str:
    shifted = "" if worst is None else f", under the hardest shifts {number(worst, row.metric)}"
    return f"{row.title} {number(row.mean, row.metric)} ({reach(row.low, row.high, row.metric)}){shifted}"


def _draw(ax: Axes, rows: pd.DataFrame, worst: pd.Series, start: pd.Series, styles: dict[str, Style]) -> None:
    scale = scale_of(rows)
    for y, row in enumerate(rows.itertuples()):
        style, name = styles[row.algorithm], gid(row.algorithm)
        hard = worst.get(row.algorithm)
        if hard is not None:
            ends = [scale * hard, scale * start[row.algorithm]]
            ax.plot(ends, [y, y], color=style.colour, lw=1.2, alpha=0.45, gid=name)
            ax.plot(scale * hard, y, style.marker, mec=style.colour, mfc="none", mew=1.4, ms=6.5, gid=name)
        dot(ax, y, [scale * row.low, scale * row.high], scale * row.mean, style, row.algorithm)
    named_rows(ax, rows["title"])
    measure_axis(ax, rows, "x")


def facts(summary: Summary) -> dict[str, object]:
    """Return the result in words, (setting, text), and the claims' tally.

    Texts: the best and those it cannot be told from, the same under shift, and what each family loses.
    """
    told, own = [], summary.own
    for setting in settings(own)[:SETTINGS_TOLD]:
        rows = at(own, setting)
        unshifted = rows[clean(rows)]
        competing = ~unshifted["yardstick"]
        unshifted = unshifted[competing] if competing.any() else unshifted
        unshifted = unshifted.sort_values("mean", ascending=is_error(rows))
        told.append((setting.label, _best(unshifted, at(summary.comparisons, setting))))
        losses = _losses(summary, setting)
        shifted = unshifted["algorithm"]
        texts = [_under_shift(losses[losses["algorithm"].isin(shifted)]), _families(losses)]
        if is_error(rows) and summary.scope:
            texts.append(_errors(unshifted, hardest(rows, summary.scope)))
        told += [(setting.label, text) for text in texts if text]
    return {"findings": told, "claims": _tally(summary.claims)}


def _best(rows: pd.DataFrame, comparisons: pd.DataFrame) -> str:
    first, metric = rows.iloc[0], rows["metric"].iloc[0]
    unit = f" {METRICS[metric].unit}".rstrip()
    pairs = comparisons[clean(comparisons) & ~comparisons["p_best"].lt(SIGNIFICANT)]
    pairs = zip(pairs["algorithm_a"], pairs["algorithm_b"], strict=True)
    close = {b if a == first["algorithm"] else a for a, b in pairs if first["algorithm"] in (a, b)}
    tied = _tied(_named(rows[rows["algorithm"].isin(close)], metric), len(rows) - 1, rows["n_seeds"])
    interval = f"{first['mode']} mode, 95 % interval {reach(first['low'], first['high'], metric)}"
    if first["n_diverged"]:
        interval += f"; without {diverged_of(first)}, on which it diverged"
    return f"Best: {first['title']}, {number(first['mean'], metric)}{unit} ({interval}){tied}."


def _named(rows: pd.DataFrame, metric: str = "accuracy") -> list[str]:
    """Return `A (64.7)` for each row: a learner whose seeds differ much can be far below the best and not be told from it."""
    return [f"{row.title} ({number(row.mean, metric)})" for row in rows.itertuples()]


def _tied(tied: list[str], others: int, seeds: pd.Series, best: str = "it") -> str:
    """Return `; A and B cannot be told from it with only 2 seeds each`, or how many of the others cannot. seeds: of each learner."""
    if not tied:
        return ""
    few = f" with only {counted(seeds, 'seed')} each" if seeds.min() < FEW else ""
    if len(tied) == others > TIED_NAMED:
        return f"; {best} cannot be told from any of the {others} others{few}"
    who = listed(tied) if len(tied) <= TIED_NAMED else f"{len(tied)} of {others} others"
    return f"; {who} cannot be told from {best}{few}"


def _under_shift(losses: pd.DataFrame) -> str:
    """Say who is best and who is last where the shifts are hardest, on the same episodes as the clean task."""
    rows = _reported(losses)
    if len(rows) < 2:
        return ""
    rows = rows.sort_values("mean", ascending=False, kind="stable")
    first, last = rows.iloc[0], rows.iloc[-1]
    close = rows.iloc[1:]
    tied = _tied(_named(close[~close["p_best"].lt(SIGNIFICANT)]), len(close), rows["n_seeds"])
    ends = [
        f"{number(row['mean'])} % ({reach(row['low'], row['high'])}), from {number(row['clean'])} on clean tasks"
        for row in (first, last)
    ]
    return (
        "Under the hardest shifts (mean over the shifts at their highest severity, each learner in the mode of its paper), "
        f"the best is {first['title']}, "
        f"{ends[0]}{tied}; the last is {last['title']}, {ends[1]}."
    )


def _families(losses: pd.DataFrame) -> str:
    """Say what the learners of each family lose, the smallest loss first, within one mode where all were tested in it."""
    rows = losses[losses["kind"].eq("family")].sort_values("change", ascending=False, kind="stable")
    reported, inductive = (rows[rows["mode"].eq(mode)] for mode in ("reported", "inductive"))
    members = [
        dict(zip(part["algorithm"], part["n_algorithms"], strict=True)) for part in (reported, inductive)
    ]
    same = members[0] == members[1]
    rows = inductive if same else reported
    if len(rows) < 2:
        return ""
    mode = (
        "all in inductive mode"
        if same
        else "each learner in the mode of its paper, which lets some see the batch statistics of the shifted queries"
    )
    learners = losses[losses["kind"].eq("learner") & losses["mode"].isin(rows["mode"])]
    said = [
        f"{_members(row.algorithm, learners)} {number(-row.change)} ({reach(-row.change_high, -row.change_low)})"
        for row in rows.itertuples()
    ]
    close = rows.iloc[1:]
    tied = close.loc[~close["p_least"].lt(SIGNIFICANT), "algorithm"]
    tied = _tied(list(tied), len(close), rows["n_seeds"], "the first")
    lost = "Accuracy lost under these shifts, in points, mean by family with 95 % intervals"
    return f"{lost}, {mode}: {listed(said)}{tied}."


def _members(family: str, learners: pd.DataFrame) -> str:
    """Return `metric-based learners`, or the name of a family's only learner, which does not stand for the others."""
    titles = learners.loc[learners["family"].eq(family), "title"]
    return f"{family} learners" if len(titles) > 1 else f"the one {family} learner, {titles.iloc[0]},"


def _errors(rows: pd.DataFrame, worst: pd.Series) -> str:
    """Say whose error is smallest and largest on shifted tasks of a regression."""
    worst = worst[worst.index.isin(rows["algorithm"])].sort_values()
    if len(worst) < 2:
        return ""
    title, metric = rows.set_index("algorithm")["title"], rows["metric"].iloc[0]
    ends = [f"{title[a]}, {number(worst[a], metric)}" for a in (worst.index[0], worst.index[-1])]
    return f"Mean over the shifts at their highest severity: best {ends[0]}; last {ends[1]}."


def _tally(claims: pd.DataFrame) -> str:
    """Return `5 supported, 0 refuted, 7 undecided and 2 untested`; "" where no claim applies."""
    counts = claims["verdict"].value_counts()
    return listed(f"{counts.get(verdict, 0)} {verdict}" for verdict in VERDICTS) if len(claims) else ""
