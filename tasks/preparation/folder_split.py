"""The parts (train, val, test) of your own classes: as given, or drawn from a seed by class, or by group where there are groups."""

import csv
import io
from collections import defaultdict

from tasks.preparation.archives import DataError
from tasks.preparation.folder_layout import Found, shown
from tasks.preparation.lists import PARTS
from tasks.seeds import numpy_generator

SHARES = {"test": 0.2, "val": 0.16}  # of the classes, as in miniImageNet; the others are for training
USUAL_WAY = 5  # classes that val and test get if three such parts can be made

Parts = dict[str, list[int]]


def split_classes(
    found: Found, names: list[str], groups: list[str], seed: int
) -> tuple[Parts, str, list[str]]:
    """Part -> indices of classes; "given" or "drawn"; notes for the card.

    names, groups: of each class. DataError: a class in two parts, a list that names no class, a part without classes.
    """
    given = _by_pictures(found) or _by_list(found.split, names, groups)
    if not given:
        return draw_parts(groups, seed), "drawn", []
    parts = {part: [i for i, name in enumerate(names) if given.get(name) == part] for part in PARTS}
    spare = [name for name in names if name not in given]
    notes = [f"In no part of the split: {shown(spare)}."] if spare else []
    if parts["train"] and not parts["val"]:
        drawn = draw_parts([""] * len(parts["train"]), seed)["val"]
        parts["val"] = [parts["train"][i] for i in drawn]
        parts["train"] = sorted(set(parts["train"]) - set(parts["val"]))
        notes.append("No validation classes were given: they are drawn from the training classes.")
    empty = [part for part, classes in parts.items() if not classes]
    if empty:
        raise DataError(
            f"the split has no classes for {', '.join(empty)}: give each part some, or give no split"
        )
    return parts, "given", notes


def draw_parts(groups: list[str], seed: int) -> Parts:
    """Draw 64 % of the classes for training, 16 % for validation, 20 % for testing; whole groups where there are three.

    DataError: fewer than three classes.
    """
    classes = len(groups)
    if classes < len(PARTS):
        raise DataError(
            f"{classes} classes; training, validation and test need one each at least: add classes"
        )
    whole = groups if len(set(groups)) >= len(PARTS) else list(map(str, range(classes)))
    units: dict[str, list[int]] = defaultdict(list)
    for i, group in enumerate(whole):
        units[group].append(i)
    order = numpy_generator("split of own pictures", seed).permutation(len(units))
    left = [list(units.values())[i] for i in order]
    parts: Parts = {}
    for position, (part, share) in enumerate(SHARES.items()):
        wanted = max(round(share * classes), 1, USUAL_WAY if classes >= 3 * USUAL_WAY else 1)
        parts[part] = []
        while len(parts[part]) < wanted and len(left) > len(SHARES) - position:
            parts[part] += left.pop(0)
    parts["train"] = [i for unit in left for i in unit]
    return {part: sorted(parts[part]) for part in PARTS}


def to_csv(parts: Parts, names: list[str]) -> str:
    """The split as a list of classes, which is read again when it lies beside the pictures."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["class", "split"])
    writer.writerows([names[i], part] for part, classes in parts.items() for i in classes)
    return buffer.getvalue()


def _by_pictures(found: Found) -> dict[str, str]:
    """Class -> part, from folders or a column of a list of pictures."""
    given: dict[str, str] = {}
    first: dict[str, object] = {}
    for picture in found.pictures:
        if picture.part is None:
            continue
        if given.setdefault(picture.name, picture.part) != picture.part:
            raise DataError(
                f"class {picture.name} is in two parts: {first[picture.name]} in {given[picture.name]}, "
                f"{picture.source} in {picture.part}; a class may be in one part only: rename or move it"
            )
        first.setdefault(picture.name, picture.source)
    return given


def _by_list(split: dict[str, str], names: list[str], groups: list[str]) -> dict[str, str]:
    """Class -> part, from a list of names of classes, of classes without their group, or of groups."""
    given: dict[str, str] = {}
    for entry, part in split.items():
        exact = [name for name in names if name == entry]
        bare = [name for name in names if name.rsplit("/", 1)[-1] == entry]
        whole = [name for name, group in zip(names, groups, strict=True) if group == entry]
        chosen = exact or (bare if len(bare) == 1 else whole)
        if not chosen:
            raise DataError(
                f"split: {entry!r} is {'the name of several classes' if bare else 'no class and no group'}; "
                f"classes: {shown(names)}"
            )
        for name in chosen:
            if given.setdefault(name, part) != part:
                raise DataError(f"split: class {name} is in two parts, {given[name]} and {part}: keep one")
    return given
