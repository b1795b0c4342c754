"""`bench pictures STUDY.yaml`: draw what the learners see, for the report to show.

Writes results/{study}/pictures: each picture as PNG, SVG and PDF, and pictures.json, the list of them with their words.
"""

import argparse
import json
import shlex
from pathlib import Path

import torch
from matplotlib.figure import Figure

from bench.paths import results_root
from bench.protocol import sheets
from bench.protocol.sources import ImageSource
from bench.results.files import atomic_write, write_text
from bench.results.setting import Setting, dataset_label
from bench.study.settings import DataSet
from bench.study.study import Study, load_study
from tasks.catalogue import REGRESSION, path_name
from tasks.prepared import is_prepared
from tasks.shift_table import SHIFTS

GENERATED = "Tasks are generated functions: there are no images; under Regression are curves that tested runs have fitted."
NOT_PREPARED = "The prepared data are not on this machine. To see them here: python -m bench prepare {name}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", help="study file, e.g. config/quick.yaml")


def main(args: argparse.Namespace) -> int:
    print(draw_pictures(load_study(args.study)))
    return 0


def draw_pictures(study: Study) -> Path:
    """Draw the first test episode and every shift of each data set of the study. Return the path of pictures.json."""
    folder, listed = results_root() / study.name / "pictures", []
    for name, entry in study.settings.datasets.items():
        if name in REGRESSION:
            listed.append({"title": dataset_label(name), "note": GENERATED})
        elif not is_prepared(name):
            note = NOT_PREPARED.format(name=shlex.quote(name))
            listed.append({"title": dataset_label(name), "note": note})
        else:
            listed += [_saved(folder, *picture) for picture in _pictures(study, name, entry)]
    text = json.dumps(listed, indent=1, ensure_ascii=False)
    return write_text(folder / "pictures.json", f"{text}\n")


def _pictures(study: Study, name: str, entry: DataSet) -> list[tuple[str, str, str, Figure]]:
    """Return name, title, description and drawing of each picture of a data set."""
    source = ImageSource(name, entry.split, torch.device("cpu"))
    split, kind = source.part("test"), source.data.meta["imagery"]
    setting = Setting(name, entry.ways[0], entry.shots[0])
    query, seed = study.settings.test.query, study.settings.seed
    episode = sheets.episode_sheet(split, source.frozen("test", 1, setting.way, setting.shot, query, seed))
    title = f"The first test episode of {setting.label}"
    alt = f"{setting.way} classes in columns: support images above some of their query images"
    found = [(f"episode-{setting.slug}", title, alt, episode)]
    wanted = study.settings.shifts
    named = dict.fromkeys([*wanted.severities, *wanted.strengths])
    shown = [shift for shift in named if shift in SHIFTS and kind in SHIFTS[shift].levels]
    if shown:
        title = f"{dataset_label(name)} under every shift"
        alt = f"Rows: {', '.join(shown)}. Columns: the original, then severities 1 to 5, with the strength below."
        found.append((f"sheet-{path_name(name)}", title, alt, sheets.shift_sheet(split, shown, seed)))
    return found


def _saved(folder: Path, name: str, title: str, alt: str, drawing: Figure) -> dict[str, str]:
    """Write one picture as PNG, SVG and PDF; return its entry in pictures.json."""
    for suffix in ("png", "svg", "pdf"):
        content = sheets.render(drawing, suffix)
        atomic_write(folder / f"{name}.{suffix}", lambda part, content=content: part.write_bytes(content))
    return {"name": name, "title": title, "alt": alt}
