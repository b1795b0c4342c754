"""Which of several studies of one learner the tables of the READMEs show."""

import pandas as pd

from bench.report import reference_table
from bench.report.reference_table import headline

SHARED = {"dataset": "omniglot", "way": 5, "shot": 1, "mode": "inductive", "order": 0}


def test_the_study_nearest_to_the_published_budget_and_else_the_largest_is_shown(monkeypatch):
    rows = [
        ("stated", "short", 0.1, 9e3),
        ("stated", "long", 0.5, 5e3),
        ("not stated", "short", None, 1e3),
        ("not stated", "long", None, 5e3),
        ("old record", "first", None, None),
        ("old record", "second", None, 1e3),
    ]
    frame = pd.DataFrame(rows, columns=["algorithm", "study", "budget_share", "gflops"]).assign(**SHARED)
    monkeypatch.setattr(reference_table, "every_study", lambda _: frame)
    chosen = headline([])
    assert dict(zip(chosen["algorithm"], chosen["study"], strict=True)) == {
        "stated": "long",
        "not stated": "long",
        "old record": "first",
    }
