"""The data cards: counts, splits, source, licence and a picture sheet of each data set."""

import json
from pathlib import Path

from bench.report.summary import Summary
from tasks.catalogue import path_name, prepared_root

ID, TITLE, ORDER = "data", "Data", 120


def facts(summary: Summary) -> dict[str, list[dict]]:
    """Return card.json of each data set with its picture sheet; no card where it is not prepared on this machine."""
    return {"cards": [_card(name, prepared_root()) for name in summary.study.settings.datasets]}


def _card(name: str, prepared: Path) -> dict:
    path = prepared / path_name(name).replace(":", "_") / "card.json"
    card = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    sheet = path.with_name("sheet.png")
    return {"name": name, "card": card, "sheet": sheet.read_bytes() if card and sheet.exists() else None}
