"""The page of a study: one offline HTML file, with its figures (SVG, PDF) and tables (CSV, Markdown, LaTeX) beside it."""

import itertools
import re
from pathlib import Path

import jinja2

from bench.report.picture import data_uri
from bench.report.section import TEMPLATES, Section, sections
from bench.report.summary import Summary, read_summary
from bench.report.svg import SharedParts, legend_key
from bench.report.table_files import save
from bench.results.files import write_text
from bench.results.setting import dataset_label
from bench.study.run import reports_root
from bench.study.study import Study


def build_report(study: Study) -> Path:
    """Write reports/{study}: report.html, figures/ and tables/. Return the path of the page."""
    summary, target = read_summary(study), reports_root() / study.name
    found = sections(summary)
    every = [*found, *itertools.chain(*(section.parts for section in found))]
    for section in every:
        for figure in section.figures:
            figure.save(target / "figures")
        for table in section.tables:
            save(table, target / "tables")
        for picture in section.facts.get("pictures", []):
            picture.save(target / "figures")
    return write_text(target / "report.html", render(summary, found))


def render(summary: Summary, found: list[Section]) -> str:
    """Fill the templates; style sheet and script go into the page, so that it needs nothing else."""
    shared = SharedParts()
    environment = templates(shared, summary.counts)
    body = environment.get_template("sections.html.j2").render(sections=found)
    css, script = ((TEMPLATES / name).read_text(encoding="utf-8") for name in ("style.css", "page.js"))
    return environment.get_template("page.html.j2").render(
        study=summary.study,
        statuses=summary.runs["status"].value_counts().to_dict(),
        sections=found,
        body=body,
        css=f"{css}{shared.rules()}",
        definitions=shared.definitions(),
        script=script,
    )


def templates(shared: SharedParts, counts: dict[str, object]) -> jinja2.Environment:
    """Return the templates with what they call. shared: by all drawings; counts: what captions name in braces."""
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals.update(
        legend_key=lambda style: legend_key(style, shared),
        dataset_label=dataset_label,
        data_uri=data_uri,
        filled=lambda caption: re.sub(r"\{(\w+)\}", lambda name: str(counts.get(name[1], name[0])), caption),
        drawn=lambda figure, panel: figure.markup(panel, shared),
    )
    return environment
