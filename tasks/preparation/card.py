"""The data card: content of a prepared data set, for people (card.md, sheet.png) and programs (card.json)."""

import hashlib
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from tasks.images import content_digest

SHEET_CLASSES = 12
SHEET_IMAGES = 16
SHEET_SIDE = 42  # pixels of one picture at most: keeps the sheet small enough for a report
LISTED_DUPLICATES = 20


@dataclass(frozen=True, eq=False)
class Built:
    """Result of a data set's `build`: images, meta and originals as in `tasks.dataset.ImageData`.

    arrays: .npz file -> content; texts: text file -> content.
    """

    images: np.ndarray
    meta: dict
    originals: np.ndarray | None = None
    arrays: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    @property
    def counts(self) -> list[int]:
        """Images of each class."""
        return self.meta.get("counts") or [self.images.shape[1]] * len(self.images)


def prepared_digest(images: np.ndarray, class_names: list[str]) -> str:
    """sha256 of the content that learners see: class names and uint8 images, in order."""
    return content_digest(zip(class_names, images, strict=True))


def duplicates(images: np.ndarray, counts: list[int] | None = None) -> list[list[tuple[int, int]]]:
    """Find identical images in `[classes, per_class, ...]`: groups of (class, image) indices.

    counts: images of each class; the rows behind them are padding.
    """
    groups: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
    for c, image in np.ndindex(*images.shape[:2]):
        if counts and image >= counts[c]:
            continue
        groups[hashlib.blake2b(np.ascontiguousarray(images[c, image]).data, digest_size=16).digest()].append(
            (c, image)
        )
    return [group for group in groups.values() if len(group) > 1]


def _audit(built: Built) -> dict:
    """Count identical images at the highest resolution available: in total and, per split, across its parts."""
    meta = built.meta
    groups = duplicates(built.images if built.originals is None else built.originals, meta.get("counts"))
    crossing = {}
    for split, parts in meta["splits"].items():
        part_of = {c: part for part, classes in parts.items() for c in classes}
        pairs, listed = 0, []
        for group in groups:
            of = Counter(part_of[c] for c, _ in group if c in part_of)
            across = (of.total() ** 2 - sum(n * n for n in of.values())) // 2
            if across:
                found = _across(group, part_of, meta["class_names"])
                listed += itertools.islice(found, LISTED_DUPLICATES - len(listed))
            pairs += across
        crossing[split] = {"pairs": pairs, "listed": listed}
    return {"groups": len(groups), "across_parts": crossing}


def _across(group: list[tuple[int, int]], part_of: dict[int, str], names: list[str]) -> Iterator[dict]:
    """Pairs of identical images in two parts. A lazy list: thousands of empty pictures make millions of pairs."""
    for (a, i), (b, j) in itertools.combinations(group, 2):
        if a in part_of and b in part_of and part_of[a] != part_of[b]:
            yield {"parts": sorted({part_of[a], part_of[b]}), "images": [[names[a], i], [names[b], j]]}


def _count(groups: set[str]) -> int:
    return len(groups - {""})


def make_card(built: Built) -> dict:
    """Return the content of card.json: counts, digest, duplicate audit, origin."""
    meta, shape = built.meta, built.images.shape
    low, high = min(built.counts), max(built.counts)
    parts = {
        split: {
            part: {"classes": len(classes), "groups": _count({meta["groups"][c] for c in classes})}
            for part, classes in members.items()
        }
        for split, members in meta["splits"].items()
    }
    return {
        "name": meta["name"],
        "classes": shape[0],
        "images_per_class": shape[1] if low == high else f"{low} to {high}",
        "images": sum(built.counts),
        "image_shape": list(shape[2:]),
        "groups": _count(set(meta["groups"])),
        "splits": parts,
        "default_split": meta["default_split"],
        "rotations": meta["rotations"],
        "mean": meta["mean"],
        "std": meta["std"],
        "pixel_mean": _pixel_mean(built),
        "digest": meta["digest"],
        "duplicates": _audit(built),
        **{key: meta[key] for key in ("source", "licence", "citation")},
        "notes": meta.get("notes", []),
        "extra_files": sorted([*built.arrays, *built.texts]),
    }


def _pixel_mean(built: Built) -> float:
    """Mean pixel in [0, 1] of about 20 images of each class."""
    step = max(1, built.images.shape[1] // 20)
    if "counts" not in built.meta:
        return round(float(built.images[:, ::step].mean()) / 255, 4)
    means = [built.images[c, :n:step].mean() for c, n in enumerate(built.counts)]
    return round(float(np.mean(means)) / 255, 4)


def to_markdown(card: dict) -> str:
    """Return the content of card.md, which `bench prepare` prints, too."""
    size = "x".join(map(str, card["image_shape"]))
    lines = [
        f"# {card['name']}",
        "",
        f"{card['classes']} classes x {card['images_per_class']} images, {size}"
        + (f", {card['groups']} alphabets or scripts" if card["groups"] else "")
        + (
            f"; rotations by 90 degrees make {card['rotations']} times as many classes"
            if card["rotations"] > 1
            else ""
        ),
        "",
        "| split | part | classes | groups |",
        "|---|---|---|---|",
    ]
    for split, parts in card["splits"].items():
        default = " (default)" if split == card["default_split"] else ""
        lines += [
            f"| {split}{default} | {p} | {n['classes']} | {n['groups'] or '-'} |" for p, n in parts.items()
        ]
    crossing = card["duplicates"]["across_parts"]
    lines += [
        "",
        f"- digest: {card['digest']}",
        f"- per-channel mean {card['mean']}, std {card['std']}",
        f"- identical images: {card['duplicates']['groups']} groups; pairs across train, val and test: "
        + ", ".join(f"{found['pairs']} ({split})" for split, found in crossing.items()),
        *(
            f"  - {pair['parts']}: {pair['images']}"
            for found in crossing.values()
            for pair in found["listed"]
        ),
        f"- source: {card['source']}",
        f"- licence: {card['licence']}",
        f"- citation: {card['citation']}",
        *(f"- {note}" for note in card["notes"]),
    ]
    return "\n".join(lines) + "\n"


def draw_sheet(images: np.ndarray, path: Path, drawings: bool = False) -> None:
    """Save a picture of evenly spaced classes (rows) and their first images (columns); drawings as dark ink on paper."""
    classes = np.linspace(0, len(images) - 1, min(SHEET_CLASSES, len(images))).astype(int)
    rows = [
        np.concatenate([_framed(image, drawings) for image in images[c][:SHEET_IMAGES]], axis=1)
        for c in classes
    ]
    Image.fromarray(np.concatenate(rows, axis=0)).quantize(256).save(path, optimize=True)


def _framed(image: np.ndarray, drawings: bool) -> np.ndarray:
    shown = 255 - image if drawings else image
    if len(shown) > SHEET_SIDE:
        shown = np.asarray(Image.fromarray(shown).resize((SHEET_SIDE, SHEET_SIDE), Image.Resampling.BOX))
    return np.pad(shown, [(1, 1), (1, 1)] + [(0, 0)] * (shown.ndim - 2), constant_values=200)


def write_card(built: Built, folder: Path) -> None:
    """Write card.json, card.md and sheet.png into the folder."""
    card = make_card(built)
    (folder / "card.json").write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "card.md").write_text(to_markdown(card), encoding="utf-8")
    draw_sheet(built.images, folder / "sheet.png", built.meta["imagery"] == "glyphs")
