"""Every published value on file for the settings and algorithms of a study, with its source."""

from bench.report.numbers import number
from bench.report.summary import Summary
from bench.report.table import Cell, Column, Row, Table, text_columns, words
from bench.results.condition import clean
from bench.results.published import load_published
from bench.results.setting import SETTING_COLUMNS, Setting

ID, TITLE, ORDER, WITHIN = "published", "Published values and where they come from", 23, "table"
CAPTION = (
    "Values as printed in the literature, with the setting they were measured in. Only one row per setting, mode "
    "and network stands beside ours."
)
SPLIT = (
    "On Omniglot, training and test characters here are Vinyals' lists, with whole alphabets apart; most published values are "
    "of random characters, which share alphabets, with 17 % more training classes, and are somewhat easier."
)
"""In what the published values of a data set differ from all of ours."""


def tables(summary: Summary) -> list[Table]:
    """Return the table of published values; none where the study has no setting of the literature."""
    here, rows = summary.own[clean(summary.own)], load_published()
    titles = dict(zip(here["algorithm"], here["title"], strict=True))
    key = ["algorithm", *SETTING_COLUMNS]
    wanted = set(here[key].itertuples(index=False, name=None))
    rows = rows[[one in wanted for one in rows[key].itertuples(index=False, name=None)]]
    columns = [*text_columns("Setting", "Algorithm"), Column("Value"), Column("± 95 %")]
    columns += text_columns("Mode", "Variant", "Backbone", "Note", "Source", "In the table")
    caption = f"{CAPTION} {SPLIT}" if rows["dataset"].eq("omniglot").any() else CAPTION
    table = Table("published", "Published values", columns, caption=caption, heading=TITLE, fold=True)
    for row in rows.itertuples():
        label = Setting(row.dataset, row.way, row.shot).label
        values = [Cell(number(value, row.metric), value) for value in (row.accuracy, row.ci95)]
        source = f"{row.source_paper}, {row.source_table}"
        facts = words(row.mode, row.variant, row.backbone, row.note, source, "yes" if row.headline else "no")
        names = [*words(label), Cell(titles[row.algorithm], row.algorithm)]
        table.rows.append(Row([*names, *values, *facts]))
    return [table]
