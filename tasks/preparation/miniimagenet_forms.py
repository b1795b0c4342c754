"""The forms in which miniImageNet travels, found by content. Each yields (class, uint8 `[per_class, size, size, 3]`).

Photos: files in folders or archives of any layout; the class is the name of a folder, of the archive, or the beginning of
the file name. ImageNet's own tar of tars. Pickles, one per part. The part of a class is always that of the spec.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from tasks.preparation.archives import PICKLES, DataError, Readable, read_nested_tar
from tasks.preparation.containers import Container, Member, containers, place
from tasks.preparation.decode import decode_photo
from tasks.preparation.download import SourceFile, fetch, is_there, load_sources
from tasks.preparation.lists import SUFFIXES, part_of
from tasks.preparation.miniimagenet_pickles import read_cache
from tasks.preparation.miniimagenet_spec import NAME, Spec, read_list

DECODERS = 2  # threads
TAR = "ILSVRC2012_img_train.tar"

Photos = Iterator[tuple[str, np.ndarray]]
Lists = dict[str, list[str] | None]
"""Class -> the file names that its list names; None: there is no list, and none is needed."""


@dataclass(frozen=True, eq=False)
class Holder:
    """Photos of one class in one container: members of `folder` or, where it is None, of several folders."""

    container: Container
    folder: str | None
    members: list[str]

    def __str__(self) -> str:
        return place(self.container, self.folder or "")


def find_form(spec: Spec) -> tuple[str, Photos]:
    """Return the name and photos of the first form that the download cache or DATA_MIRROR holds; else pickles, by URL.

    Reading the first missing class of an incomplete form raises DataError.
    """
    shelves = containers(NAME)
    photos = find_photos(shelves, spec)
    first = next((holders[0] for holders in photos.values()), None)
    form = (
        "one folder of JPEG"
        if first and not _class_of(str(first), spec)
        else "a folder or zip of JPEG per class"
    )
    part, names = next(iter(spec.classes.items()))
    if len(photos) == len(spec.names) or is_there(_file(f"{part}/{names[0]}.zip")):
        return form, _photos(shelves, photos, spec)
    tars = [s.path / name for s in shelves for name in s.names if Path(name).name == TAR and s.path.is_dir()]
    if tars:
        return TAR, _imagenet_tar(shelves, tars[0], spec)
    pickles = {part: _pickle(shelves, part, spec) for part in spec.classes}
    if photos and not any(_is_local(source) for source in pickles.values()):
        return form, _photos(shelves, photos, spec)
    return "mini-imagenet-cache pickles", _pickles(pickles, spec)


def _is_local(source: SourceFile) -> bool:
    return any(not isinstance(copy, str) for copy in source.places())


def _file(name: str, expected: str = "", others: list | None = None) -> SourceFile:
    facts = load_sources()[NAME]["files"].get(name, {})
    md5 = f" (md5 of the original: {facts['md5']})" if "md5" in facts else ""
    size = {"max_bytes": facts["max_mb"] << 20} if "max_mb" in facts else {}
    return SourceFile(NAME, name, facts.get("urls", []), expected + md5, others=lambda: others or [], **size)


# ------------------------------------------------------------------------------------------------------- photos


def find_photos(shelves: list[Container], spec: Spec) -> dict[str, list[Holder]]:
    """Find the places with photos of each class: single folders first, then whole containers."""
    found: dict[str, dict[tuple[Container, str | None], list[str]]] = defaultdict(lambda: defaultdict(list))
    for shelf in shelves:
        for name in shelf.images:
            label = _class_of(name, spec) or _class_of(shelf.path.name, spec)
            if label:
                found[label][shelf, name.rpartition("/")[0]].append(name)
                found[label][shelf, None].append(name)
    return {
        label: [
            Holder(*key, members)
            for key, members in sorted(by_place.items(), key=lambda item: item[0][1] is None)
        ]
        for label, by_place in found.items()
    }


def _class_of(path: str, spec: Spec) -> str | None:
    """The class that a folder of the path is named after, innermost first, or that the file name begins with."""
    *folders, file = path.split("/")
    matches = [spec.pattern.match(folder) for folder in reversed(folders)]
    hit = next((m for m in matches if m and not _continues(m)), None) or spec.pattern.match(file)
    return hit and hit[0]


def _continues(match: re.Match) -> bool:
    """Whether a digit follows: folder n011 is not of class n01, while file n0100000001.jpg is."""
    return match.string[match.end() : match.end() + 1].isdigit()


def _photos(shelves: list[Container], photos: dict[str, list[Holder]], spec: Spec) -> Photos:
    lists = _read_lists(shelves, spec, photos)
    for part, names in spec.classes.items():
        for name in names:
            count = f"the {spec.per_class} images of {name}" + (
                f" that {part}.csv lists" if lists[name] else ""
            )
            source = _file(f"{part}/{name}.zip", count, photos.get(name, []))
            yield name, fetch(source, partial(_read_class, listed=lists[name], name=name, spec=spec))


def _read_class(held: Holder | Path, listed: list[str] | None, name: str, spec: Spec) -> np.ndarray:
    if isinstance(held, Path):
        container = Container(held)
        held = Holder(container, None, container.images)
    names = choose(held.members, listed, name, spec, str(held))
    return decode_class(str(held), dict(held.container.read(names)), names, spec)


def choose(members: list[str], listed: list[str] | None, label: str, spec: Spec, where: str) -> list[str]:
    """Pick the photos of a class, in order.

    These are the photos of the list, whatever their suffix; where no name is as in the list, all photos if there are as
    many as wanted, or those with the ranks of the list in the whole ImageNet class. DataError names missing files.
    """
    by_stem = {_stem(member): member for member in members}
    wanted = [_stem(file) for file in listed or []]
    if wanted and all(stem in by_stem for stem in wanted):
        return [by_stem[stem] for stem in wanted]
    if not any(stem in by_stem for stem in wanted):
        if len(by_stem) == spec.per_class:
            return [by_stem[stem] for stem in sorted(by_stem, key=_natural)]
        if wanted and all(re.fullmatch(r".+_\d+", stem) for stem in by_stem):
            return by_rank(members, listed, label, where)
    missing, extra = sorted(set(wanted) - by_stem.keys()), sorted(by_stem.keys() - set(wanted))
    files = {_stem(file): file for file in listed or []}
    raise DataError(
        f"{where}: expected the {spec.per_class} images "
        + ("of the csv list" if listed else f"of {label}")
        + f", found {len(members)}; missing: {[files[stem] for stem in missing[:3]]}, "
        f"not in the list: {[by_stem[stem].rpartition('/')[2] for stem in extra[:3]]}"
    )


def by_rank(members: list[str], listed: list[str], label: str, where: str) -> list[str]:
    """Pick photos of a whole ImageNet class: the number in a csv file name (`<wnid><8 digits>.jpg`) is the rank, from 1,
    of the photo among all of its class in the order of the number in the ImageNet file name (`<wnid>_<number>.JPEG`)."""
    photos = [member for member in members if member.upper().endswith((".JPEG", ".JPG"))]
    wrong = [member for member in photos if not re.search(r"_\d+$", _stem(member))]
    if wrong:
        raise DataError(f"{where}: {wrong[0]}: expected a name like <wnid>_<number>.JPEG")
    ordered = sorted(photos, key=_natural)
    ranks = [int(_stem(file)[len(label) :]) for file in listed]
    if max(ranks) > len(ordered):
        raise DataError(f"{where}: expected at least {max(ranks)} JPEG files, found {len(ordered)}")
    return [ordered[rank - 1] for rank in ranks]


def _stem(name: str) -> str:
    return PurePosixPath(name).stem.casefold()


def _natural(name: str) -> tuple[int, str]:
    """Sort key: the number at the end of a file name, then the name."""
    digits = re.search(r"_(\d+)$", _stem(name))
    return (int(digits[1]) if digits else 0, name)


def decode_class(where: str, files: dict[str, bytes], names: list[str], spec: Spec) -> np.ndarray:
    """Decode the named files, in order: uint8 `[per_class, size, size, 3]`. DataError names a damaged one."""
    with ThreadPoolExecutor(DECODERS) as pool:
        return np.stack(
            list(pool.map(lambda name: decode_photo(files[name], f"{where}: {name}", spec.size), names))
        )


# ---------------------------------------------------------------------------------------------- the other forms


def _imagenet_tar(shelves: list[Container], path: Path, spec: Spec) -> Photos:
    """ILSVRC2012_img_train.tar: one tar per class inside."""
    lists = _read_lists(shelves, spec, {})

    def pick(tar: str, found: list[str]) -> list[str]:
        label = tar.removesuffix(".tar")
        return by_rank(found, lists[label], label, f"{tar} in {TAR}")

    for tar, files in read_nested_tar(path, lambda name: name.removesuffix(".tar") in lists, pick):
        yield (
            tar.removesuffix(".tar"),
            decode_class(str(path), dict(files), [name for name, _ in files], spec),
        )


def _pickle(shelves: list[Container], part: str, spec: Spec) -> SourceFile:
    others = _members(shelves, PICKLES, part)
    return _file(f"mini-imagenet-cache-{part}.pkl", spec.described(part), others)


def _pickles(sources: dict[str, SourceFile], spec: Spec) -> Photos:
    for part, source in sources.items():
        yield from fetch(source, partial(read_cache, part=part, spec=spec)).items()


def _members(shelves: list[Container], suffixes: set[str], part: str | None) -> list[Readable]:
    """Files with one of the suffixes whose own name tells the part (or none), shortest names first."""
    named = [
        (shelf, name)
        for shelf in shelves
        for name in shelf.names
        if PurePosixPath(name).suffix.casefold() in suffixes and part_of(PurePosixPath(name).name) == part
    ]
    named.sort(key=lambda item: (len(item[1]), item[1]))
    return [shelf.path / name if shelf.path.is_dir() else Member(shelf, name) for shelf, name in named]


def _read_lists(shelves: list[Container], spec: Spec, photos: dict[str, list[Holder]]) -> Lists:
    """Read the list of each part: the file that tells the part by its name, or one of all parts, or the URLs.

    A part without a list needs none if each of its classes has exactly as many photos as wanted.
    """
    lists: Lists = {}
    for part, names in spec.classes.items():
        own, expected = _members(shelves, SUFFIXES, part), f"filename,label of {spec.described(part)}"
        whole = all(any(len(h.members) == spec.per_class for h in photos.get(name, [])) for name in names)
        if whole and not _is_local(_file(f"{part}.csv", others=own)):
            lists |= dict.fromkeys(names)
        else:
            source = _file(f"{part}.csv", expected, own + _members(shelves, SUFFIXES, None))
            lists |= fetch(source, partial(read_list, part=part, spec=spec))
    return lists
