"""Out of distribution: the measure of a study against the severity of each shift."""

from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator

from bench.report.axes import curves, interval_note, limits, measure_axis, measure_margin
from bench.report.figure import Figure, Panel
from bench.report.numbers import listed, number
from bench.report.style import Style, coloured_groups, only_in, panel_columns
from bench.report.summary import SCOPES, Summary
from bench.results.setting import Setting, at, settings
from tasks.shift_table import SHIFTS

ID, TITLE, ORDER = "shifts", "Out of distribution", 40
NOTHING = "This study tests no shifts at several severities."
CAPTION = (
    "Mean over {{seeds}}, {{shift_episodes}} per condition and seed, the same episodes for every algorithm and every severity. "
    "{intervals} Severity 0 is the clean task{chance}.{rising} Choose names in the legend to see {choice}."
)
CHANCE = "; the dotted line is chance"
FEW, MANY = (
    "these curves only",
    "them together in one panel per shift; until then, each family has panels of its own, with all others as thin lines",
)


def figures(summary: Summary) -> list[Figure]:
    """Return one figure per setting and scope, with a panel per shift."""
    found = []
    for setting in settings(summary.curves):
        rows = at(summary.curves, setting)
        found += severity_figures(rows, setting, summary.styles, summary.in_page(setting))
    return found


def severity_figures(
    rows: pd.DataFrame, setting: Setting, styles: dict[str, Style], in_page: bool = True
) -> list[Figure]:
    """Return the figures of one setting, one per scope; rows: `Summary.curves` of the setting."""
    used = only_in(rows, styles)
    groups = coloured_groups(used)
    common, found = limits(rows), []
    facts = {
        "intervals": interval_note(rows, max(len(colours) for _, colours in groups)),
        "chance": CHANCE if rows["chance"].notna().any() else "",
        "choice": MANY if len(groups) > 1 else FEW,
    }
    for scope in [scope for scope in SCOPES if scope in set(rows["scope"])]:
        panels = []
        mine = rows[rows["scope"].eq(scope)].sort_values("severity")
        for shift in sorted(mine["shift"].unique(), key=_order):
            panels += _panels(setting, scope, shift, mine[mine["shift"].eq(shift)], groups, common)
        caption = CAPTION.format(**facts, rising=_rising(mine))
        title = f"{setting.label}, {SCOPES[scope]}"
        columns = panel_columns(groups, 3)
        name = f"shifts-{setting.slug}-{scope}"
        found.append(Figure(name, title, panels, used, columns, caption=caption, fold=True, in_page=in_page))
    return found


def _rising(rows: pd.DataFrame) -> str:
    """Say who scores more under a shift than without it, beyond its interval: a reader would doubt the shift."""
    if "change_low" not in rows:
        return ""
    top = rows[rows["severity"].eq(rows.groupby("shift")["severity"].transform("max"))]
    found = top[top["change_low"].gt(0) & top["metric"].eq("accuracy")]
    said = [
        f"{row.title} ({SHIFTS[row.shift].title.lower()}, {number(row.change, sign=True)})"
        for row in found.itertuples()
    ]
    return f" More accurate at the highest severity than on clean tasks: {listed(said)}." if said else ""


def _order(shift: str) -> tuple[int, str]:
    """Return the sort key of a shift: the order of the table of shifts, then by name."""
    return (list(SHIFTS).index(shift) if shift in SHIFTS else len(SHIFTS), shift)


def _panels(
    setting: Setting, scope: str, shift: str, rows: pd.DataFrame, groups: list, limits: tuple[float, float]
) -> list[Panel]:
    """Return the panels of one shift, one per group of colours."""
    title, panels = SHIFTS[shift].title if shift in SHIFTS else shift.capitalize(), []
    for ending, styles in groups:
        drawn = rows[rows["algorithm"].isin(styles)]
        if drawn.empty:  # a shift that these learners were not tested under
            continue
        present = set(drawn["algorithm"])
        tested = {name: style for name, style in styles.items() if name in present}
        draw = partial(_draw, rows=rows, styles=tested, limits=limits)
        said = _said(drawn)
        alt = f"{setting.label}, {title}, {SCOPES[scope]}, severity 0 to {rows['severity'].max()}: {said}."
        panels.append(Panel(title + ending, alt, draw, 3.1, 2.5, measure_margin(rows), gather=title))
    return panels


def _said(rows: pd.DataFrame) -> str:
    """Return `MAML from 97.8 to 60.1; ...`: the clean task and the highest severity."""
    ends, metric = rows[rows["severity"].isin([0, rows["severity"].max()])], rows["metric"].iloc[0]
    return "; ".join(
        f"{title} from {number(part['mean'].iloc[0], metric)} to {number(part['mean'].iloc[-1], metric)}"
        for title, part in ends.groupby("title", sort=False)
        if len(part) == 2
    )


def _draw(ax: Axes, rows: pd.DataFrame, styles: dict[str, Style], limits: tuple[float, float]) -> None:
    curves(ax, rows, "severity", styles)
    ax.set_xlabel("severity")
    ax.xaxis.set_major_locator(FixedLocator(sorted(rows["severity"].unique())))
    measure_axis(ax, rows, "y")
    ax.set_ylim(limits)
