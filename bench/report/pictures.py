"""Pictures of what the learners see, drawn from the prepared data sets that are on this machine."""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch
from matplotlib.figure import Figure as Canvas

from bench.protocol.sources import ImageSource
from bench.report import sheets
from bench.report.style import Setting, dataset_label
from bench.results.files import atomic_write
from bench.study.study import Study
from tasks.catalogue import REGRESSION, prepared_root
from tasks.shift_table import SHIFTS


@dataclass(frozen=True)
class Picture:
    """A drawing, or a note that says why there is none."""

    name: str
    title: str
    alt: str = ""
    canvas: Canvas | None = None
    note: str = ""

    @property
    def source(self) -> str:
        return data_uri(sheets.render(self.canvas))

    def save(self, folder: Path) -> None:
        """Write `<name>.svg` and `<name>.pdf`, where there is a drawing."""
        for suffix in ("svg", "pdf") if self.canvas else ():
            with mpl.rc_context({"svg.hashsalt": "bench"}):
                content = sheets.render(self.canvas, suffix)
            atomic_write(
                folder / f"{self.name}.{suffix}", lambda part, content=content: part.write_bytes(content)
            )


def data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def pictures(study: Study) -> list[Picture]:
    """The first test episode and every shift of each data set of the study."""
    drawn = []
    for name, entry in study.config["datasets"].items():
        if name in REGRESSION:
            note = "Tasks are generated functions: there are no images, only the curves that tested runs have fitted."
            drawn.append(Picture(name, dataset_label(name), note=note))
        elif not (prepared_root() / name / "meta.json").exists():
            note = (
                f"The prepared data are not on this machine. To see them here: python -m bench prepare {name}"
            )
            drawn.append(Picture(name, dataset_label(name), note=note))
        else:
            drawn += _sheets(study, name, entry)
    return drawn


def _sheets(study: Study, name: str, entry: dict[str, Any]) -> list[Picture]:
    source = ImageSource(name, entry["split"], torch.device("cpu"))
    split, kind = source.part("test"), source.data.meta["imagery"]
    setting = Setting(name, entry["ways"][0], entry["shots"][0])
    query, seed = study.config["test"]["query"], study.config["seed"]
    episode = sheets.episode_sheet(split, source.frozen("test", 1, setting.way, setting.shot, query, seed))
    alt = f"{setting.way} classes in columns: support images above some of their query images"
    found = [Picture(f"episode-{setting.slug}", f"The first test episode of {setting.label}", alt, episode)]
    wanted = study.config["shifts"]
    named = dict.fromkeys([*wanted["severities"], *wanted["strengths"]])
    shown = [s for s in named if s in SHIFTS and kind in SHIFTS[s].levels]
    if shown:
        alt = f"Rows: {', '.join(shown)}. Columns: the original, then severities 1 to 5, with the strength below."
        title = f"{dataset_label(name)} under every shift"
        found.append(Picture(f"sheet-{name}", title, alt, sheets.shift_sheet(split, shown, seed)))
    return found
