"""Build and read the report of a synthetic study."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from bench.protocol.pictures import draw_pictures
from bench.report.page import build_report
from bench.statistics.claims import write_claims
from bench.statistics.summarize import summarize
from bench.study.study import load_study
from tasks.preparation.card import Built, prepared_digest, write_card
from tasks.preparation.write import write_prepared
from tasks.seeds import numpy_generator
from tests.synthetic import make_study

ALGORITHMS = ("pixel_nn", "protonet", "maml", "fomaml", "lstm")
DATASETS = {
    "omniglot": {"ways": [5], "shots": [1]},
    "glyphs": {"ways": [5], "shots": [1]},
    "sinusoid": {"shots": [5]},
}
DIVERGED, MISSING, UNTESTED = (
    "glyphs/5way_1shot/lstm/seed1",
    "omniglot/5way_1shot/lstm/seed0",
    "glyphs/5way_1shot/fomaml/seed0",
)


def prepare_small_glyphs(root: Path) -> None:
    """A prepared data set of random blots, so that cards and picture sheets have something to show."""
    images = (numpy_generator("report").random((100, 20, 28, 28)) > 0.8).astype(np.uint8) * 255
    names = [f"script/character{c:02d}" for c in range(100)]
    parts = {"train": list(range(80)), "val": list(range(80, 90)), "test": list(range(90, 100))}
    meta = {
        "name": "glyphs",
        "imagery": "glyphs",
        "size": 28,
        "channels": 1,
        "class_names": names,
        "groups": ["script"] * 100,
    }
    meta |= {
        "splits": {"default": parts},
        "default_split": "default",
        "rotations": 1,
        "mean": [0.0],
        "std": [1.0],
    }
    meta |= {
        "digest": prepared_digest(images, names),
        "source": "random blots",
        "licence": "none",
        "citation": "nobody",
    }
    write_card(Built(images, meta), write_prepared("glyphs", images, meta, root=root))


def build(root: Path, pictures: bool = False, **changes) -> Path:
    """Make, summarize and report a synthetic study below root; return the page's path."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DATA", "RESULTS", "REPORTS"):
            patch.setenv(f"{name}_ROOT", str(root / name.lower()))
        study = load_study(make_study(root, **changes))
        summarize(study)
        write_claims(study)
        if pictures:
            draw_pictures(study)
        return build_report(study)


def build_example(root: Path) -> Path:
    """Build the page that most tests of the report read: three data sets, all experiments, some runs failed."""
    prepare_small_glyphs(root / "data" / "prepared")
    return build(
        root,
        pictures=True,
        algorithms=ALGORITHMS,
        datasets=DATASETS,
        shifts={"smear": (1, 3, 5), "shear": (1, 5)},
        diverged=[DIVERGED],
        missing=[MISSING, MISSING.replace("seed0", "seed1")],
        untested=[UNTESTED],
        experiments={
            "shots": [1, 5],
            "ways": [10],
            "steps": [0, 5],
            "steps_under_shift": [0, 5],
            "within_alphabet": True,
            "memorisation": True,
        },
    )


class Outline(HTMLParser):
    """Headings, ids, links, sources and nameless pictures of a page."""

    def __init__(self, path: Path):
        super().__init__()
        self.headings, self.ids, self.links, self.sources, self.nameless = [], [], [], [], []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.links += [attrs["href"]] if tag == "a" else []
        self.sources += [
            attrs[key] for key in ("src", "href", "srcset", "data") if key in attrs and tag != "a"
        ]
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if (tag == "img" and not attrs.get("alt")) or (
            attrs.get("role") == "img" and not attrs.get("aria-label")
        ):
            self.nameless.append(attrs)
