"""Folders of pictures as people have them: every kind of file, unequal classes, litter."""

import csv
import io
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = 30


def values(c: int, i: int, height: int = 40, width: int = 50) -> np.ndarray:
    """A coloured picture of its own, uint8 `[height, width, 3]`: stripes of the class, noise of the picture."""
    noise = np.random.default_rng([c, i]).integers(0, 60, (height, width, 3))
    stripes = np.arange(width)[None, :, None] * np.array([c % 3 + 1, c % 5 + 1, c % 7 + 1]) * 3 % 190
    return (stripes + noise).astype(np.uint8)


def rgba(pixels: np.ndarray) -> Image.Image:
    alpha = np.full(pixels.shape[:2], 255, np.uint8)
    alpha[:10] = 0
    return Image.fromarray(np.dstack([pixels, alpha]))


def cmyk(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels).convert("CMYK")


def turned(pixels: np.ndarray) -> dict:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees, clockwise
    return {"exif": exif}


KINDS = {
    "rgb.png": Image.fromarray,
    "rgb.jpg": Image.fromarray,
    "turned.jpg": Image.fromarray,
    "rgba.png": rgba,
    "cmyk.tif": cmyk,
    "palette.gif": lambda pixels: Image.fromarray(pixels).quantize(64),
    "palette.png": lambda pixels: Image.fromarray(pixels).quantize(64),
    "wide.png": lambda pixels: Image.fromarray(pixels[..., 0].astype(np.uint16) * 257),
    "grey.bmp": lambda pixels: Image.fromarray(pixels[..., 0]),
}


def save(path: Path, kind: str, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    KINDS[kind](pixels).save(path, **(turned(pixels) if kind.startswith("turned") else {}))


def write_classes(root: Path, classes: int = CLASSES, least: int = 6) -> Path:
    """Class folders `Vögel 03` of `least` to `least` + 6 pictures of all kinds, with litter; returns the folder."""
    kinds = list(KINDS)
    for c in range(classes):
        for i in range(least + c % 7):
            kind = kinds[(c + i) % len(kinds)]
            save(root / f"Vögel {c:02d}" / f"{i:03d} {kind}", kind, values(c, i))
        for name in ("Thumbs.db", ".DS_Store", f"._000 {kinds[0]}", "desktop.ini"):
            (root / f"Vögel {c:02d}" / name).write_bytes(b"litter")
    (root / "__MACOSX").mkdir()
    (root / "__MACOSX" / "000.png").write_bytes(b"litter")
    (root / "notes.docx").write_bytes(b"not an image")
    return root


def write_list(classes: Path, root: Path, **columns: dict[str, str]) -> Path:
    """The same pictures in one folder, with labels.csv as a spreadsheet writes it. columns: further ones, by class."""
    (root / "images").mkdir(parents=True)
    text = io.StringIO()
    rows = csv.writer(text, delimiter=";")
    rows.writerow(["Filename", "Label", *columns])
    for folder in sorted(path for path in classes.iterdir() if path.name.startswith("V")):
        for file in sorted(folder.iterdir()):
            if file.name[0].isdigit():
                name = f"{folder.name[-2:]}-{file.name}"
                (root / "images" / name).write_bytes(file.read_bytes())
                rows.writerow([name, folder.name, *(column[folder.name] for column in columns.values())])
    (root / "labels.csv").write_bytes(b"\xef\xbb\xbf" + text.getvalue().encode())
    return root


def write_npz(data, path: Path) -> Path:
    """The prepared pictures of `tasks.dataset.ImageData` as arrays."""
    counts = data.meta["counts"]
    x = np.concatenate([data.images[c, :n] for c, n in enumerate(counts)])
    np.savez(path, x=x, y=np.repeat(data.meta["class_names"], counts))
    return path
