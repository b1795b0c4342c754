"""What the learners see: a test episode and every shift of each data set, as `bench pictures` drew them."""

import json

from bench.report.picture import Picture
from bench.report.summary import Summary

ID, TITLE, ORDER = "pictures", "Pictures", 110
NOT_DRAWN = (
    "The pictures have not been drawn. To see them here: python -m bench pictures {study}, then report again."
)


def facts(summary: Summary) -> dict[str, list[Picture]]:
    """Return the pictures in the study's results, those that are listed in pictures/pictures.json."""
    path = summary.folder / "pictures" / "pictures.json"
    if not path.exists():
        return {"pictures": [Picture("", NOT_DRAWN.format(study=summary.study.origin))]}
    listed = json.loads(path.read_text(encoding="utf-8"))
    return {"pictures": [Picture(**entry, folder=path.parent) for entry in listed]}
