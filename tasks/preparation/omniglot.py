"""Omniglot (Lake et al., Science 2015): 1,623 characters of 50 alphabets, 20 drawers each."""

import json
from pathlib import Path

import numpy as np

from tasks.catalogue import SHIPPED
from tasks.images import content_digest, pack_ink, shrink_ink
from tasks.preparation import download
from tasks.preparation.archives import DataError, read_zip
from tasks.preparation.card import Built
from tasks.preparation.decode import decode_ink
from tasks.preparation.download import SourceFile, fetch

SIZE = 28
ORIGINAL_SIZE = 105
DRAWERS = 20
RUNS = 20
SPLITS = SHIPPED / "splits"
NOTES = [
    "Ink is 255 on a background of 0 (the files are black on white).",
    "The PNGs are 1-bit images, for which Pillow silently replaces every filter by nearest neighbour; here they are "
    "converted to 8 bit first, then reduced from 105x105 to 28x28 by exact area average. Raw-pixel nearest neighbour "
    "on the Vinyals test characters (x 4 rotations, 1,000 tasks, 5 queries per class), L2 / cosine: 5-way 1-shot "
    "44.0 / 49.8 %, 5-way 5-shot 65.6 / 73.7 %, 20-way 1-shot 24.0 / 29.9 %; with the nearest-neighbour trap "
    "37.7 / 45.9 %, 54.2 / 68.7 %, 17.8 / 25.9 %.",
    "Split vinyals: 1028/172/423 characters; Gurmukhi is the one alphabet that train (41) and test (4) share.",
    "Split lake: test is the evaluation set (20 alphabets, 659 characters); the original has no validation set, so five "
    "background alphabets are set aside for it, the same five as in the Vinyals split: Armenian, Bengali, Early_Aramaic, "
    "Hebrew, Mkhedruli_(Georgian) (172 characters), which leaves 25 alphabets (792 characters) for training.",
]
Drawings = dict[str, np.ndarray]  # file name -> bool [105, 105], ink = True


def build(_scratch: Path) -> Built:
    """Find, verify and assemble Omniglot. DataError: no good copy of one of the two image archives."""
    sources = download.load_sources()["omniglot"]
    drawings: Drawings = {}
    for name in ("images_background.zip", "images_evaluation.zip"):
        drawings |= _fetch(name, sources["files"][name])
    ink, classes = stack_classes(drawings)
    images = shrink_ink(ink, SIZE)
    meta = {
        "imagery": "glyphs",
        "size": SIZE,
        "channels": 1,
        "class_names": classes,
        "groups": [name.split("/")[0] for name in classes],
        "splits": {
            name: read_split(SPLITS / f"omniglot_{name}.json", classes) for name in ("vinyals", "lake")
        },
        "default_split": "vinyals",
        "rotations": 4,
        "mean": [0.0],
        "std": [1.0],
        "original_size": ORIGINAL_SIZE,
        "source": sources["homepage"],
        "licence": sources["licence"],
        "citation": sources["citation"],
        "notes": NOTES,
    }
    return Built(images, meta, originals=pack_ink(ink), arrays=_build_runs(sources["files"]["all_runs.zip"]))


def _fetch(name: str, facts: dict) -> Drawings:
    expected = f"{facts['images']} drawings, content digest {facts['digest']}, original archive md5 {facts.get('md5', '?')}"
    source = SourceFile("omniglot", name, facts["urls"], expected)
    return fetch(source, lambda path: read_drawings(path, facts))


def read_drawings(path: Path, facts: dict) -> Drawings:
    """Drawings of one archive, checked against `facts` (classes, images, digest). DataError says what differs."""
    files = {name: data for name, data in read_zip(path) if not name.startswith("__MACOSX/")}
    drawings = {
        name: decode_ink(data, f"{path}: {name}") for name, data in files.items() if name.endswith(".png")
    }
    found = {
        "images": len(drawings),
        "classes": len({name.rsplit("/", 1)[0] for name in drawings}),
        "size": sorted({image.shape for image in drawings.values()}),
        "digest": content_digest(drawings.items()),
    }
    for key, expected in {**facts, "size": [(ORIGINAL_SIZE, ORIGINAL_SIZE)]}.items():
        if key in found and found[key] != expected:
            raise DataError(f"{path}: {key}: expected {expected}, found {found[key]}")
    return drawings


def stack_classes(drawings: Drawings) -> tuple[np.ndarray, list[str]]:
    """-> bool `[classes, 20, 105, 105]` in the order of class names, then of file names."""
    by_class: dict[str, list[str]] = {}
    for name in sorted(drawings):
        by_class.setdefault("/".join(name.split("/")[-3:-1]), []).append(name)
    wrong = {name: len(files) for name, files in by_class.items() if len(files) != DRAWERS}
    if wrong:
        raise DataError(f"omniglot: expected {DRAWERS} drawings of each character, found {wrong}")
    classes = sorted(by_class)
    return np.stack([np.stack([drawings[file] for file in by_class[name]]) for name in classes]), classes


def read_split(path: Path, classes: list[str]) -> dict[str, list[int]]:
    """A file of part -> alphabets or single characters, as class indices."""
    names = {part: set(entries) for part, entries in json.loads(path.read_text()).items()}
    return {
        part: [i for i, name in enumerate(classes) if name in entries or name.split("/")[0] in entries]
        for part, entries in names.items()
    }


def _build_runs(facts: dict) -> dict[str, dict[str, np.ndarray]]:
    """The extra file lake_runs.npz; without all_runs.zip a warning and no file, since nothing else needs it."""
    source = SourceFile(
        "omniglot", "all_runs.zip", facts["urls"], f"{RUNS} runs, content digest {facts['digest']}"
    )
    try:
        return {"lake_runs.npz": fetch(source, lambda path: read_runs(path, facts))}
    except DataError as error:
        download.console.print(
            f"[yellow]omniglot is prepared without Lake's one-shot runs:[/] {error}", soft_wrap=True
        )
        return {}


def read_runs(path: Path, facts: dict) -> dict[str, np.ndarray]:
    """The arrays of `LakeRuns` from all_runs.zip. DataError says what is wrong."""
    files = {name: data for name, data in read_zip(path) if not name.startswith("__MACOSX/")}
    drawings = {
        name: decode_ink(data, f"{path}: {name}") for name, data in files.items() if name.endswith(".png")
    }
    digest = content_digest(drawings.items())
    if len(drawings) != facts["images"] or digest != facts["digest"]:
        raise DataError(
            f"{path}: expected {facts['images']} drawings with digest {facts['digest']}, "
            f"found {len(drawings)} with digest {digest}"
        )
    runs = [f"run{k:02d}" for k in range(1, RUNS + 1)]
    train = np.stack([[drawings[f"{run}/training/class{k:02d}.png"] for k in range(1, 21)] for run in runs])
    test = np.stack([[drawings[f"{run}/test/item{k:02d}.png"] for k in range(1, 21)] for run in runs])
    labels = []
    for run in runs:
        pairs = dict(line.split() for line in files[f"{run}/class_labels.txt"].decode().splitlines())
        labels.append([int(pairs[f"{run}/test/item{k:02d}.png"][-6:-4]) - 1 for k in range(1, 21)])
    return {
        "train": shrink_ink(train, SIZE),
        "test": shrink_ink(test, SIZE),
        "labels": np.array(labels, dtype=np.int64),
        "train_originals": pack_ink(train),
        "test_originals": pack_ink(test),
    }
