"""What miniImageNet must hold: classes, images per class, size; the split lists that name its images."""

import functools
import json
import re
from dataclasses import dataclass, field
from typing import Any

from tasks.facts import SHIPPED
from tasks.preparation.archives import DataError, Readable
from tasks.preparation.lists import part_of, read_pairs

NAME = "miniimagenet"
CLASSES = SHIPPED / "splits" / "miniimagenet.json"


@dataclass(frozen=True)
class Spec:
    """What the data set must hold: part -> classes, images per class, side length in pixels."""

    classes: dict[str, list[str]] = field(
        default_factory=lambda: json.loads(CLASSES.read_text(encoding="utf-8"))
    )
    per_class: int = 600
    size: int = 84

    @property
    def names(self) -> list[str]:
        """Every class, sorted."""
        return sorted(name for names in self.classes.values() for name in names)

    @functools.cached_property
    def pattern(self) -> re.Pattern:
        """Matches any class at the beginning of a name."""
        return re.compile("|".join(re.escape(name) for name in self.names))

    def described(self, part: str) -> str:
        """What a part must hold, in words."""
        return f"{len(self.classes[part])} classes x {self.per_class} images, uint8 {self.size}x{self.size}x3"


def read_list(path: Readable, part: str, spec: Spec) -> dict[str, list[str]]:
    """Read a list of filename,label: class -> sorted file names, checked against the spec. DataError says what differs.

    A list whose name tells no part may hold all parts.
    """
    files: dict[str, list[str]] = {}
    for name, label in read_pairs(path.read_bytes(), str(path)):
        if part_of(str(path).rsplit("/", 1)[-1]) or label in spec.classes[part]:
            files.setdefault(label, []).append(name)
    check_counts(path, {label: len(set(names)) for label, names in files.items()}, part, spec)
    return {label: sorted(set(names)) for label, names in files.items()}


def check_counts(place: Any, found: dict[str, int], part: str, spec: Spec) -> None:
    """DataError: classes or numbers of images are not those of a part of the spec."""
    expected = dict.fromkeys(spec.classes[part], spec.per_class)
    if found != expected:
        wrong = {
            name: found.get(name, 0) for name in found | expected if found.get(name) != expected.get(name)
        }
        shown = dict(sorted(wrong.items())[:5])
        raise DataError(
            f"{place}: expected {len(expected)} classes x {spec.per_class} images of the {part} part, found "
            f"{len(found)} classes; {len(wrong)} differ, among them (class: images) {shown}"
        )
