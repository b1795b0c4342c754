"""The verdicts on the claims of config/claims.yaml."""

from bench.report.numbers import number
from bench.report.summary import Summary
from bench.report.table import Cell, Column, Row, Table, text_columns, words
from bench.results.metrics import METRICS
from bench.results.setting import Setting

ID, TITLE, ORDER = "claims", "Claims", 30
NOTHING = "This study has nothing that the declared claims compare."
CAPTION = (
    "Claims of textbooks and papers, declared in config/claims.yaml before the numbers were seen. Effect: left minus "
    "right of the declared comparison, in percentage points (costs: the factor), with its 95 % interval over seeds and "
    "episodes. Supported or refuted: the whole interval lies on one side of the declared margin. Undecided: it does not. "
    "Untested: this study lacks what is compared, or trained the two sides differently. Mode: both sides "
    "are judged in one mode; “paper” means each learner in the mode of its paper. The mean of a family is over the learners "
    "of this study, and says nothing about others. Verdicts are not corrected for their number: of twenty effects that "
    "equal their margin, one is expected to be called wrongly. A verdict holds for the training budgets of this study (see "
    "“Budget” under Cost). Seeds: the fewest of a learner that is compared; how one with a single seed varies is taken from "
    "the others. An effect links to the section that shows it."
)


def tables(summary: Summary) -> list[Table]:
    """Return one row per claim and setting: the verdict, and the effect beside its prediction; the untested apart, with the reason."""
    claims = summary.claims
    untested = claims["verdict"].eq("untested")
    columns = text_columns("Claim", "Setting", "Mode", "Verdict", minor=("Mode",))
    columns += [Column("Effect"), Column("95 % interval")]
    columns += [*text_columns("Predicted"), Column("Seeds"), *text_columns("Source", minor=("Source",))]
    table = Table("claims", "Claims", columns, caption=CAPTION)
    for row in claims[~untested].itertuples():
        behind = [Cell(f"{row.n_seeds:.0f}", row.n_seeds), *words(row.source)]
        table.rows.append(Row([*_claim(row), *words(row.mode), *_verdict(row), *effect_cells(row), *behind]))
    heading = f"{untested.sum()} untested"
    columns = text_columns("Claim", "Setting", "Reason", "Source", minor=("Source",))
    caption = "" if table.rows else CAPTION
    rest = Table("claims-untested", "Untested claims", columns, caption=caption, heading=heading, fold=True)
    for row in claims[untested].itertuples():
        rest.rows.append(Row([*_claim(row), *words(row.reason, row.source)]))
    return [table, rest]


def _claim(row) -> list[Cell]:
    setting = Setting(row.dataset, int(row.way), int(row.shot))
    return [Cell(row.claim, row.claim, note=row.id), *words(setting.label)]


def _verdict(row) -> list[Cell]:
    return [
        Cell(row.verdict, row.verdict, row.verdict, note=row.reason if isinstance(row.reason, str) else "")
    ]


def effect_cells(row) -> list[Cell]:
    """Return effect, interval and prediction."""
    effect, low, high = (_amount(value, row.metric) for value in (row.effect, row.low, row.high))
    behind = f"{row.n_seeds:.0f} seeds, {row.n_episodes:.0f} episodes"
    shown = Cell(effect, row.effect, link=f"#{row.figure}", note=behind)
    return [shown, Cell(f"{low} to {high}"), Cell(_prediction(row))]


def _amount(value: float, metric: str) -> str:
    """Return a difference in the metric's unit; of a cost, whose logarithms (base 2) are compared, the factor."""
    return number(value, metric, sign=True) if metric in METRICS else f"×{2**value:.3g}"


def _prediction(row) -> str:
    """Return `above +2.0`; of costs `above ×2`."""
    margin, below = _amount(row.margin, row.metric), _amount(-row.margin, row.metric)
    predictions = {
        "greater": f"above {margin}",
        "less": f"below {below}",
        "not_less": f"above {below}",
        "equal": f"between {below} and {margin}",
    }
    return predictions[row.predicts]
