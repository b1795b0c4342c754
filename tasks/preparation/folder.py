"""Your own pictures: `folder:<path>` in a study, prepared like the other data sets."""

import time
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from tasks.catalogue import OPTIONS
from tasks.images import content_digest, pack_ink, shrink_ink
from tasks.preparation.archives import DataError
from tasks.preparation.card import Built
from tasks.preparation.decode import fit_square
from tasks.preparation.download import console
from tasks.preparation.folder_layout import Picture, find_pictures, shown
from tasks.preparation.folder_resume import Unfinished
from tasks.preparation.folder_split import split_classes, to_csv
from tasks.preparation.folder_state import state_of

DECODERS = 2  # threads
SMALL, LARGE = 28, 84  # sides that pictures are given, in pixels, where they have no usable common size
SMALLEST, LARGEST = 16, 512  # below the first, the networks have no use for a picture
LINE_SECONDS = 10.0  # between two lines in a log
GREY_MODES = ("1", "L", "I", "I;16", "I;16B", "I;16L", "F")
SPLIT = "split.csv"


@dataclass(frozen=True)
class Look:
    """What all pictures have in common. drawings: black and white only; dark: white on black."""

    size: int
    channels: int
    drawings: bool
    dark: bool
    original: int | None
    """Side of the drawings, if they are squares of one size."""


def options_of(name: str) -> dict[str, int]:
    """Return the options of `build` at the end of a data set's name: `folder:/data/birds size=64` -> `{"size": 64}`."""
    words = (word.split("=") for word in OPTIONS.search(name)[0].split())
    options = {key: int(value) for key, value in words}
    if not SMALLEST <= options.get("size", SMALL) <= LARGEST:
        raise DataError(f"{name}: own pictures are given a side of {SMALLEST} to {LARGEST} pixels")
    if options.get("channels", 1) not in (1, 3):
        raise DataError(f"{name}: own pictures have 1 channel (grey) or 3 (colours)")
    return options


def build(
    path: Path, scratch: Path, size: int | None = None, channels: int | None = None, split_seed: int = 0
) -> Built:
    """Prepare the pictures at a path; big arrays go through `scratch`, one picture at a time, and are resumed from there.

    size: side in pixels; channels: 1 or 3; both are chosen by the pictures if None. split_seed: of a split that is drawn.
    DataError names the file, class and remedy.
    """
    found = find_pictures(path)
    classes = _classes(found.pictures, path)
    names = sorted(classes)
    groups = [classes[name][0].group for name in names]
    try:
        parts, origin, notes = split_classes(found, names, groups, split_seed)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    state = state_of(path)
    rest = Unfinished(scratch, pictures=state, size=size, channels=channels)
    if not rest["look"]:
        rest.save(look=asdict(_examine(found.pictures, size, channels)))
    look = Look(**rest["look"])
    images, originals = _read([classes[name] for name in names], look, rest)
    counts = [len(classes[name]) for name in names]
    unequal = {"counts": counts} if len(set(counts)) > 1 else {}
    mean, std = ([0.0], [1.0]) if look.drawings else _statistics(images, parts["train"], counts, look)
    meta = {
        "imagery": "glyphs" if look.drawings else "photos",
        "size": look.size,
        "channels": look.channels,
        "class_names": names,
        "groups": groups,
        **unequal,
        "splits": {origin: parts},
        "default_split": origin,
        "rotations": 1,
        "mean": mean,
        "std": std,
        **({"original_size": look.original} if originals is not None else {}),
        "digest": content_digest((n, images[i, : counts[i]]) for i, n in enumerate(names)),
        "pictures": state,
        "source": str(path),
        "licence": "not stated",
        "citation": "not stated",
        "notes": [*_said(look, origin, split_seed), *notes, *found.notes],
    }
    return Built(images, meta, originals, texts={SPLIT: to_csv(parts, names)})


def _classes(pictures: list[Picture], path: Path) -> dict[str, list[Picture]]:
    """Pictures by class. DataError: two classes of one name, or a class that is too small to pose a task."""
    classes: dict[str, list[Picture]] = {}
    for picture in pictures:
        classes.setdefault(picture.name, []).append(picture)
    alike: dict[str, str] = {}
    for name, members in classes.items():
        other = alike.setdefault(_plain(name), name)
        if other != name:
            raise DataError(
                f"{path}: two classes of one name, {other!r} ({classes[other][0].source}) and "
                f"{name!r} ({members[0].source}): rename one, or put their pictures together"
            )
    single = [f"{name} ({members[0].source})" for name, members in classes.items() if len(members) < 2]
    if single:
        raise DataError(
            f"{path}: {len(single)} classes have one picture, and a task needs one to learn from and one to ask for: "
            f"{shown(single)}; add pictures or remove these classes"
        )
    return classes


def _plain(name: str) -> str:
    words = unicodedata.normalize("NFKC", name).casefold().split("/")
    return "/".join(" ".join(word.split()) for word in words)


def _examine(pictures: list[Picture], size: int | None, channels: int | None) -> Look:
    """Look at every head, and at pixels as long as they may all be grey."""
    sides = np.empty((len(pictures), 2), np.int64)
    grey, drawings, white, pixels_seen = True, True, 0, 0
    for i, picture in _progress(pictures, "looking at pictures"):
        sides[i], mode = picture.source.head()
        if (drawings and mode in GREY_MODES) or (grey and mode not in GREY_MODES):
            pixels = picture.source.pixels()
            grey = grey and pixels.ndim == 2
            drawings = drawings and grey and bool(((pixels == 0) | (pixels == 255)).all())
            if drawings:
                white, pixels_seen = white + int(pixels.sum(dtype=np.int64)) // 255, pixels_seen + pixels.size
    drawings = drawings and channels != 3
    square = int(sides[0, 0]) if (sides == sides[0, 0]).all() else None
    channels = channels or (1 if grey else 3)
    if size is None:
        if square and SMALLEST <= square <= LARGE:
            size = square
        else:
            small = drawings or np.median(sides.min(axis=1)) < (SMALL + LARGE) / 2
            size = SMALL if small else LARGE
    return Look(size, channels, drawings, 2 * white < pixels_seen, square if drawings else None)


def _read(classes: list[list[Picture]], look: Look, rest: Unfinished) -> tuple[np.ndarray, np.ndarray | None]:
    """Images uint8 `[classes, largest, size, size(, 3)]` in a file, zeros behind the images of a small class.

    Drawings of one size are kept in full resolution, too. Classes that were read before a kill are not read again.
    """
    most = max(map(len, classes))
    images = rest.array(
        "pictures", (len(classes), most, look.size, look.size, *([3] if look.channels == 3 else []))
    )
    originals = None
    if look.original:
        originals = rest.array("ink", (len(classes), most, -(-(look.original**2) // 8)))
    threads = DECODERS if all(members[0].source.parallel for members in classes) else 1
    with ThreadPoolExecutor(threads) as pool:
        for c, members in _progress(classes, "reading classes", rest["classes"] or 0):
            if look.original:
                ink = np.stack([_ink(picture, look) for picture in members])
                images[c, : len(members)] = shrink_ink(ink, look.size)
                originals[c, : len(members)] = pack_ink(ink)
            else:
                for i, pixels in enumerate(pool.map(lambda picture: _fit(picture, look), members)):
                    images[c, i] = pixels
            rest.save_at_times(classes=c + 1)
    return images, originals


def _ink(picture: Picture, look: Look) -> np.ndarray:
    return (picture.source.pixels() >= 128) == look.dark


def _fit(picture: Picture, look: Look) -> np.ndarray:
    """One picture in the common form: uint8 `[size, size]` or `[size, size, 3]`; of drawings, ink = 255."""
    if look.drawings:
        return shrink_ink(_ink(picture, look)[None], look.size)[0]
    pixels = picture.source.pixels()
    if look.channels == 1 and pixels.ndim == 3:
        pixels = np.rint(pixels @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
    fitted = fit_square(pixels, look.size)
    return np.repeat(fitted[..., None], 3, axis=2) if look.channels == 3 and fitted.ndim == 2 else fitted


def _statistics(
    images: np.ndarray, classes: list[int], counts: list[int], look: Look
) -> tuple[list[float], list[float]]:
    """Mean and standard deviation per channel, in [0, 1] units, over the images of the given classes."""
    value, seen = np.arange(256) / 255, np.zeros((look.channels, 256))
    for c in classes:
        pixels = images[c, : counts[c]].reshape(-1, look.channels)
        seen += [np.bincount(pixels[:, channel], minlength=256) for channel in range(look.channels)]
    share = seen / seen.sum(axis=1, keepdims=True)
    mean = share @ value
    return mean.round(6).tolist(), np.sqrt(share @ value**2 - mean**2).clip(1e-3).round(6).tolist()


def _said(look: Look, origin: str, seed: int) -> list[str]:
    form = "drawings (black and white only; ink is 255)" if look.drawings else "photos"
    notes = [
        f"Taken for {form}; every picture is {look.size}x{look.size}, others are squashed to the square by area average.",
        f"The split is written down in {SPLIT}. Put it beside the pictures to keep it when classes are added.",
    ]
    return notes + ([f"The split was drawn with seed {seed}."] if origin == "drawn" else [])


def _progress(items: list, title: str, start: int = 0) -> Iterator[tuple[int, Any]]:
    """Positions and items from `start` on, with a bar in a terminal, or a line from time to time in a log."""
    said = time.monotonic()
    if start:
        console.print(f"{title}: resumed at {start} of {len(items)}", markup=False, soft_wrap=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        for i, item in enumerate(bar.track(items, description=title)):
            if i < start:
                continue
            yield i, item
            if not console.is_terminal and time.monotonic() - said > LINE_SECONDS:
                said = time.monotonic()
                console.print(f"{title}: {i + 1} of {len(items)}", markup=False, soft_wrap=True)
