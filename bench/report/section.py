"""What a file of bench/report/sections declares, and how the files are found. A new section is one new file.

Literals: `ID` (anchor in the page), `TITLE`, `ORDER` (a number: sections are sorted by it); optionally `WITHIN` (the ID of
the section that it is a part of) and `NOTHING` (HTML: said where a study has neither its figures nor its tables).
Functions of a `bench.report.summary.Summary`, all optional: `figures` and `tables` (lists of what is shown, each with its
caption, and saved as files) and `facts` (a dict for a template of its own, workflow/report/sections/<file name>.html.j2).
"""

import importlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.paths import ROOT, modules_in
from bench.report.figure import Figure
from bench.report.summary import Summary
from bench.report.table import Table

TEMPLATES = ROOT / "workflow" / "report"


@dataclass(frozen=True)
class Section:
    """One section of the page with all that it shows of a study. parts: the sections within it."""

    id: str
    title: str
    nothing: str
    template: str
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    parts: list["Section"] = field(default_factory=list)

    @property
    def folded(self) -> bool:
        """Whether all that the section shows is folded: a part of another section then needs no heading of its own."""
        return all(item.fold for item in (*self.figures, *self.tables))

    @property
    def empty(self) -> bool:
        """Whether the section shows nothing of this study."""
        return not (self.figures or self.tables or self.parts)


def sections(summary: Summary) -> list[Section]:
    """Return the sections of the page, made from the tables of a study, in their order.

    Raises ValueError where `WITHIN` names no section.
    """
    modules = [importlib.import_module(name) for name in modules_in("bench.report.sections")]
    modules.sort(key=lambda module: module.ORDER)
    parts: dict[str, list[Section]] = {module.ID: [] for module in modules}
    for module in modules:
        within = getattr(module, "WITHIN", None)
        if within is not None and within not in parts:
            raise ValueError(f"{module.__file__}: WITHIN = {within!r}; there are {', '.join(parts)}")
        if within is not None:
            part = _filled(module, summary)
            parts[within] += [] if part.empty else [part]
    top = [module for module in modules if not hasattr(module, "WITHIN")]
    return [replace(_filled(module, summary), parts=parts[module.ID]) for module in top]


def _filled(module: ModuleType, summary: Summary) -> Section:
    found = {
        name: getattr(module, name)(summary)
        for name in ("figures", "tables", "facts")
        if hasattr(module, name)
    }
    found["tables"] = [table for table in found.get("tables", []) if table.rows]
    own = f"sections/{Path(module.__file__).stem}.html.j2"
    template = own if (TEMPLATES / own).exists() else "sections/section.html.j2"
    return Section(module.ID, module.TITLE, getattr(module, "NOTHING", ""), template, **found)
