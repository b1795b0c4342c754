"""Any title of a study, a variant or a learner: the report is written, drawings shorten it, tables have it in full."""

import html

import yaml

from bench.report.report import build_report
from bench.report.style import LONGEST, drawn
from bench.statistics.claims import write_claims
from bench.statistics.summarize import summarize
from bench.study.study import load_study
from tests.synthetic import edit_json, run_folder, small_study

LONG = "MAML (" + ", ".join(f"inner_rate_{i} 0.0{i}" for i in range(20)) + ")"
MATHEMATICS = r"cost $5 and $\frac{1 for 100 % of #1_2 {x} ^ 學習 مرحبا Füße 🦊"
MARKUP = "<script>alert(1)</script> & {{ 7*7 }} {% raw %} \\"


def test_any_title_gives_a_report(home, monkeypatch):
    monkeypatch.setenv("REPORTS_ROOT", str(home / "reports"))
    file = small_study(home)
    content = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump(content | {"title": MARKUP}, allow_unicode=True))
    for algorithm, title in (("protonet", LONG), ("pixel_nn", MATHEMATICS)):
        for seed in content["seeds"]:
            edit_json(
                run_folder(file, algorithm, seed) / "run.json",
                lambda record, title=title: record.update(title=title),
            )
    study = load_study(file)
    summarize(study)
    write_claims(study)
    page = build_report(study).read_text()
    for title in (LONG, MATHEMATICS, MARKUP):
        assert title in html.unescape(page)
    assert "<script>alert" not in page


def test_drawings_leave_out_the_middle_of_a_long_title():
    assert drawn("ProtoNet") == "ProtoNet"
    short = drawn("MAML (inner_steps 5, inner_rate 0.01, hidden 32, backbone conv4)")
    assert (
        len(short) == LONGEST
        and short.startswith("MAML (inner_steps 5")
        and short.endswith("backbone conv4)")
    )
    assert drawn("5 $") == r"5 \$"
