"""Omniglot (Lake et al., Science 2015): 1,623 characters of 50 alphabets, 20 drawers each."""

import json
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from tasks.facts import SHIPPED
from tasks.images import content_digest, pack_ink, shrink_ink
from tasks.preparation import download
from tasks.preparation.archives import DataError, read_zip
from tasks.preparation.card import Built
from tasks.preparation.containers import Container, containers, place
from tasks.preparation.decode import decode_ink
from tasks.preparation.download import SourceFile, fetch
from tasks.preparation.places import is_litter

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
    """Find and read the drawings of one of the two original archives, packed in any way."""
    alphabets = _alphabets(name)
    expected = (
        f"{facts['images']} drawings in folders <alphabet>/<character>/ of {len(alphabets)} alphabets "
        f"({alphabets[0]}, ..., {alphabets[-1]}), in a folder or archive; content digest {facts['digest']}, "
        f"md5 of the original archive {facts.get('md5', '?')}"
    )
    source = SourceFile(
        "omniglot",
        name,
        facts["urls"],
        expected,
        others=lambda: find_roots(containers("omniglot"), alphabets),
    )
    return fetch(source, partial(_read_part, name=name, facts=facts))


def _alphabets(name: str) -> list[str]:
    """Alphabets of an original archive: those of the evaluation set, or the others."""
    parts = json.loads((SPLITS / "omniglot_lake.json").read_text(encoding="utf-8"))
    return sorted(parts["test"] if "evaluation" in name else parts["train"] + parts["val"])


@dataclass(frozen=True, eq=False)
class Root:
    """A folder of alphabets in a container. members: alphabet/character/file stem -> name in the container."""

    container: Container
    folder: str
    members: dict[str, str]

    def __str__(self) -> str:
        return place(self.container, self.folder)


def find_roots(shelves: list[Container], alphabets: list[str]) -> list[Root]:
    """Folders that hold all of the alphabets; other alphabets in them are left out."""
    roots = []
    for shelf in shelves:
        by_folder: dict[str, dict[str, str]] = {}
        for name in shelf.images:
            *above, alphabet, character, file = ["", "", "", *name.split("/")]
            if alphabet in alphabets:
                key = f"{alphabet}/{character}/{PurePosixPath(file).stem}"
                by_folder.setdefault("/".join(filter(None, above)), {})[key] = name
        roots += [
            Root(shelf, folder, members)
            for folder, members in by_folder.items()
            if len({key.split("/")[0] for key in members}) == len(alphabets)
        ]
    return roots


def _read_part(found: Path | Root, name: str, facts: dict) -> Drawings:
    """Read the drawings of an original archive under their original names, checked against `facts`."""
    if isinstance(found, Path):
        roots = find_roots([Container(found)], _alphabets(name))
        if not roots:
            return read_drawings(found, facts)
        found = roots[0]
    stem, names = PurePosixPath(name).stem, dict(sorted(found.members.items()))
    files = found.container.read(names.values())
    drawings = {
        f"{stem}/{key}.png": decode_ink(data, place(found.container, member))
        for key, (member, data) in zip(names, files, strict=True)
    }
    _check(drawings, str(found), facts)
    return drawings


def read_drawings(path: Path, facts: dict) -> Drawings:
    """Read the drawings of one zip under their names in it, checked against `facts` (classes, images, digest).

    DataError says what differs.
    """
    drawings = {
        name: decode_ink(data, f"{path}: {name}")
        for name, data in read_zip(path)
        if name.endswith(".png") and not is_litter(name)
    }
    _check(drawings, str(path), facts)
    return drawings


def _check(drawings: Drawings, where: str, facts: dict) -> None:
    found = {
        "images": len(drawings),
        "classes": len({name.rsplit("/", 1)[0] for name in drawings}),
        "size": sorted({image.shape for image in drawings.values()}),
        "digest": content_digest(drawings.items()),
    }
    for key, expected in {**facts, "size": [(ORIGINAL_SIZE, ORIGINAL_SIZE)]}.items():
        if key in found and found[key] != expected:
            raise DataError(f"{where}: {key}: expected {expected}, found {found[key]}")


def stack_classes(drawings: Drawings) -> tuple[np.ndarray, list[str]]:
    """Stack drawings as bool `[classes, 20, 105, 105]`, sorted by class, then by file; and the names of the classes."""
    by_class: dict[str, list[str]] = {}
    for name in sorted(drawings):
        by_class.setdefault("/".join(name.split("/")[-3:-1]), []).append(name)
    wrong = {name: len(files) for name, files in by_class.items() if len(files) != DRAWERS}
    if wrong:
        raise DataError(f"omniglot: expected {DRAWERS} drawings of each character, found {wrong}")
    classes = sorted(by_class)
    return np.stack([np.stack([drawings[file] for file in by_class[name]]) for name in classes]), classes


def read_split(path: Path, classes: list[str]) -> dict[str, list[int]]:
    """Read a file of part -> alphabets or single characters as part -> class indices."""
    names = {part: set(entries) for part, entries in json.loads(path.read_text(encoding="utf-8")).items()}
    return {
        part: [i for i, name in enumerate(classes) if name in entries or name.split("/")[0] in entries]
        for part, entries in names.items()
    }


def _build_runs(facts: dict) -> dict[str, dict[str, np.ndarray]]:
    """Return the extra file lake_runs.npz. Without all_runs.zip: a warning and no file, since nothing else needs it."""
    expected = f"run01/ to run{RUNS}/, each with training/, test/ and class_labels.txt; content digest {facts['digest']}"
    source = SourceFile(
        "omniglot",
        "all_runs.zip",
        facts["urls"],
        expected,
        others=lambda: [
            shelf for shelf in containers("omniglot") if len(_run_files(shelf)) > facts["images"]
        ],
    )
    try:
        return {"lake_runs.npz": fetch(source, lambda found: read_runs(found, facts))}
    except DataError as error:
        download.console.print(
            f"[yellow]omniglot is prepared without Lake's one-shot runs:[/] {error}", soft_wrap=True
        )
        return {}


def _run_files(shelf: Container) -> dict[str, str]:
    """Original name -> name in the container, for the files of Lake's runs."""
    pattern = re.compile(r"(?:.*/)?(run\d\d/(?:(training|test)/[^/]+|class_labels\.txt))$")
    found = {name: pattern.match(name) for name in shelf.names}
    return {str(PurePosixPath(match[1])): name for name, match in sorted(found.items()) if match}


def read_runs(found: Path | Container, facts: dict) -> dict[str, np.ndarray]:
    """Read the arrays of `LakeRuns` from all_runs.zip or its content elsewhere. DataError says what is wrong."""
    shelf = Container(found) if isinstance(found, Path) else found
    names = dict(sorted(_run_files(shelf).items()))
    files = dict(zip(names, (data for _, data in shelf.read(names.values())), strict=True))
    drawings = {
        str(PurePosixPath(name).with_suffix(".png")): decode_ink(data, place(shelf, names[name]))
        for name, data in files.items()
        if not name.endswith(".txt")
    }
    digest = content_digest(drawings.items())
    if len(drawings) != facts["images"] or digest != facts["digest"]:
        raise DataError(
            f"{shelf}: expected {facts['images']} drawings with digest {facts['digest']}, "
            f"found {len(drawings)} with digest {digest}"
        )
    runs = [f"run{k:02d}" for k in range(1, RUNS + 1)]
    train = np.stack([[drawings[f"{run}/training/class{k:02d}.png"] for k in range(1, 21)] for run in runs])
    test = np.stack([[drawings[f"{run}/test/item{k:02d}.png"] for k in range(1, 21)] for run in runs])
    return {
        "train": shrink_ink(train, SIZE),
        "test": shrink_ink(test, SIZE),
        "labels": np.array([_run_labels(files, run) for run in runs], dtype=np.int64),
        "train_originals": pack_ink(train),
        "test_originals": pack_ink(test),
    }


def _run_labels(files: dict[str, bytes], run: str) -> list[int]:
    """Index of the training class of each test item of a run."""
    pairs = dict(line.split() for line in files[f"{run}/class_labels.txt"].decode().splitlines())
    return [int(pairs[f"{run}/test/item{k:02d}.png"][-6:-4]) - 1 for k in range(1, 21)]
