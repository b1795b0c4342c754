"""Your own pictures, found in a folder or archive of class folders, by a list (csv), or in an npz: class, group and part of each."""

import os
import re
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tasks.preparation.archives import DataError
from tasks.preparation.containers import Container, place
from tasks.preparation.folder_pickles import part_files, read_parts
from tasks.preparation.folder_sources import ArrayPicture, FilePicture, read_arrays
from tasks.preparation.lists import PARTS, SUFFIXES, part_of, read_table
from tasks.preparation.places import is_archive, walk

SHOWN = 5  # names in an error message
FORMS = "a folder of class folders, pictures with a list (csv with the columns filename,label), an .npz of x and y, or a folder of one pickle per part"


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture with its class (name within the group), group ("" if there are none) and part of the split (None: not given)."""

    source: FilePicture | ArrayPicture
    label: str
    group: str = ""
    part: str | None = None

    @property
    def name(self) -> str:
        """Name of the class: `group/label`, or `label`."""
        return f"{self.group}/{self.label}" if self.group else self.label


@dataclass(frozen=True, eq=False)
class Found:
    """Pictures in the order in which they are kept; split: class or group -> part from a list of classes; notes for the card."""

    pictures: list[Picture]
    split: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def find_pictures(path: Path) -> Found:
    """Find the pictures at a path. DataError: there are none, or their classes or parts contradict one another."""
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder; expected {FORMS}")
    suffix = path.suffix.casefold()
    if suffix == ".npz":
        return _from_arrays(path)
    if suffix in SUFFIXES:
        return _in(Container(path.parent), [path.name])
    if path.is_dir() or is_archive(path):
        container = Container(path)
        files = part_files(path) if path.is_dir() and not container.images else {}
        if files:
            rows = read_parts(files)
            return Found(
                [Picture(source, label, "", part) for source, label, part in sorted(rows, key=lambda r: r[1])]
            )
        return _in(container, [n for n in container.names if PurePosixPath(n).suffix.casefold() in SUFFIXES])
    raise DataError(f"{path}: expected {FORMS}")


def shown(names: list[str]) -> str:
    """The first few names, for a message."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(str, names[:SHOWN])) + more


def part(word: str, place: str) -> str:
    """Part of the split that a word names: `validation` -> val. DataError: none."""
    known = [part for part, aliases in PARTS.items() if word.strip().casefold() in aliases]
    if not known:
        raise DataError(f"{place}: no part of a split is called {word!r}; expected train, val or test")
    return known[0]


def _from_arrays(path: Path) -> Found:
    pictures, columns = read_arrays(path)
    empty = [""] * len(pictures)
    groups, splits = columns.get("group", empty), columns.get("split", empty)
    rows = zip(pictures, columns["label"], groups, splits, strict=True)
    found = [
        Picture(picture, label, group, part(split, str(picture)) if split else None)
        for picture, label, group, split in rows
    ]
    return Found(sorted(found, key=lambda p: (p.group, p.label)))


def _in(container: Container, tables: list[str]) -> Found:
    """Pictures of a container: as its lists of pictures say, or else by class folders."""
    lists: dict[str, list[dict[str, str]]] = {}
    split: dict[str, str] = {}
    for name in tables:
        data, where = next(iter(container.read([name])))[1], place(container, name)
        rows = _rows(data, where)
        columns = set(rows[0]) if rows else set()
        if {"name", "label"} <= columns:
            lists[name] = rows
        elif {"label", "split"} <= columns:
            split |= {row["label"]: part(row["split"], where) for row in rows}
        elif _one_part(name) and _plain_lines(data):
            split |= dict.fromkeys(_plain_lines(data), part_of(name.rsplit("/", 1)[-1]))
    pictures = _listed(container, lists) if lists else _class_folders(container)
    used = {picture.source.name for picture in pictures}
    tables = {name for name in tables if name in lists or split}
    spare = [name for name in container.names if name not in used and name not in tables]
    images = set(container.images)
    unlisted = [name for name in spare if name in images]
    others = [name for name in spare if name not in images]
    notes = [f"In no list, left out: {shown(unlisted)}."] if unlisted else []
    notes += [f"Not images, left out: {shown(others)}."] if others else []
    return Found(pictures, split, notes)


def _one_part(name: str) -> bool:
    """Whether the name of a list tells one part: `train.txt`, not `train_test_split.txt`."""
    words = set(re.split("[^a-z]+", name.rsplit("/", 1)[-1].casefold()))
    return sum(bool(aliases & words) for aliases in PARTS.values()) == 1


def _rows(data: bytes, where: str) -> list[dict[str, str]]:
    try:
        return read_table(data, where)
    except DataError as error:
        if "lacks a column" in str(error):
            raise
        return []  # some other text


def _plain_lines(data: bytes) -> list[str]:
    """Lines of a list of classes without a header; none if it has columns or is no text."""
    try:
        lines = [line.strip() for line in data.decode("utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError:
        return []
    return [] if any(mark in line for line in lines for mark in ",;\t") else lines


# ------------------------------------------------------------------------------------------------ lists of pictures


def _listed(container: Container, lists: dict[str, list[dict[str, str]]]) -> list[Picture]:
    index, found = _Index(container), {}
    for name, rows in lists.items():
        where, of_file = place(container, name), part_of(name.rsplit("/", 1)[-1])
        missing = []
        for row in rows:
            file = index.find(row["name"], row["label"], where)
            if file is None:
                missing.append(row["name"])
                continue
            given = part(row["split"], where) if row.get("split") else of_file
            picture = Picture(FilePicture(container, file), row["label"], row.get("group", ""), given)
            if file in found and found[file].name != picture.name:
                raise DataError(
                    f"{where}: {file} is of two classes, {found[file].name} and {picture.name}: keep one of the rows"
                )
            if file in found and found[file].part != given:
                raise DataError(
                    f"{where}: {file} is in two parts, {found[file].part} and {given}: keep one of the rows"
                )
            found[file] = picture
        if missing:
            raise DataError(
                f"{where}: {len(missing)} of {len(rows)} files are not in {container}: {shown(missing)}; "
                "add the files or remove their rows"
            )
    return [found[file] for file in sorted(found)]


class _Index:
    """Files of a container by the names that lists give them: path, end of a path, or file name, with or without suffix."""

    def __init__(self, container: Container):
        self.files = {_same(name): name for name in container.images}
        self.by_end: dict[str, list[str]] = defaultdict(list)
        for key, name in self.files.items():
            self.by_end[key.rsplit("/", 1)[-1]].append(name)
            self.by_end[PurePosixPath(key).stem].append(name)

    def find(self, name: str, label: str, where: str) -> str | None:
        """The file of this name. DataError: several files have it."""
        key = _same(name.replace("\\", "/").removeprefix("./"))
        if key in self.files:
            return self.files[key]
        named = self.by_end.get(key.rsplit("/", 1)[-1], [])
        ends = [file for file in named if _same(file).endswith(f"/{key}")] or named
        if len(ends) > 1:
            ends = [file for file in ends if label in file.split("/")[:-1]] or ends
        if len(ends) > 1:
            raise DataError(f"{where}: {name!r} can be {shown(ends)}: give its path within the folder")
        return ends[0] if ends else None


def _same(name: str) -> str:
    return unicodedata.normalize("NFC", name)


# ------------------------------------------------------------------------------------------------ class folders


def _class_folders(container: Container) -> list[Picture]:
    names = container.images
    if not names:
        raise DataError(f"{container}: holds no picture; expected {FORMS}")
    top = os.path.commonpath([os.path.dirname(name) for name in names])
    top = f"{top}/" if top else ""
    folders = Counter(os.path.dirname(name.removeprefix(top)) for name in names)
    if "" in folders:
        raise DataError(
            f"{place(container, top.rstrip('/'))}: {folders['']} pictures lie in no class folder, e.g. {names[0]}; "
            f"expected {FORMS}"
        )
    parts = _part_folders(folders, place(container, top.rstrip("/")))
    _check_nesting(container, top, folders)
    _check_empty(container, top, folders)
    found = []
    for name in names:
        words = name.removeprefix(top).split("/")[:-1]
        of = parts.get(words[0])
        *group, label = words[1:] if of else words
        found.append(Picture(FilePicture(container, name), label, "/".join(group), of))
    return found


def _part_folders(folders: Counter, where: str) -> dict[str, str]:
    """Folders train, val and test at the top -> part. None, unless there are training and test classes."""
    tops = {folder.split("/")[0] for folder in folders}
    parts = {
        top: next(p for p, aliases in PARTS.items() if top.casefold() in aliases)
        for top in tops
        if any(top.casefold() in aliases for aliases in PARTS.values())
    }
    if not {"train", "test"} <= set(parts.values()):
        return {}
    if set(parts) < tops:
        raise DataError(
            f"{where}: {shown(sorted(tops - set(parts)))} beside the parts {shown(sorted(parts))}: "
            "move the classes into a part, or elsewhere"
        )
    bare = sorted(top for top in parts if top in folders)
    if bare:
        raise DataError(
            f"{where}: pictures lie in {shown(bare)} without a class folder: sort them into class folders"
        )
    return parts


def _check_nesting(container: Container, top: str, folders: Counter) -> None:
    for folder in folders:
        for above in map(str, PurePosixPath(folder).parents):
            if above in folders:
                raise DataError(
                    f"{place(container, top + above)} holds pictures and the folder {folder} with pictures: "
                    "a folder is a class or a group of classes; move one of them"
                )


def _check_empty(container: Container, top: str, folders: Counter) -> None:
    """DataError: a folder at the depth of the classes holds no picture."""
    if not container.path.is_dir():
        return
    depths = {folder.count("/") for folder in folders}
    root, empty = container.path / top, []
    for here, inner, _ in os.walk(root, followlinks=False):
        inner[:] = sorted(name for name in inner if name[0] != "." and name.casefold() != "__macosx")
        below = os.path.relpath(here, root).replace(os.sep, "/")
        if below.count("/") in depths and below not in folders and not inner and below != ".":
            empty.append((below, list(walk(Path(here)))[:3]))
    if empty:
        said = shown([f"{root / name} (files: {', '.join(files) or 'none'})" for name, files in empty])
        raise DataError(
            f"{container}: {len(empty)} classes hold no picture: {said}; add pictures or remove them"
        )
