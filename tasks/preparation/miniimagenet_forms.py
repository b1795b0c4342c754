"""The four forms in which miniImageNet travels. Each yields (class, uint8 `[per_class, size, size, 3]`)."""

import csv
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from tasks.catalogue import SHIPPED
from tasks.preparation.archives import DataError, describe, load_pickle, read_nested_tar, read_zip
from tasks.preparation.decode import decode_photo
from tasks.preparation.download import SourceFile, fetch, is_there, load_sources, local_path

NAME = "miniimagenet"
CLASSES = SHIPPED / "splits" / "miniimagenet.json"
DECODERS = 2
TAR = "ILSVRC2012_img_train.tar"

Photos = Iterator[tuple[str, np.ndarray]]


@dataclass(frozen=True)
class Spec:
    """What the data set must hold: part -> classes, images per class, side length in pixels."""

    classes: dict[str, list[str]] = field(default_factory=lambda: json.loads(CLASSES.read_text()))
    per_class: int = 600
    size: int = 84

    @property
    def names(self) -> list[str]:
        return sorted(name for names in self.classes.values() for name in names)


def find_form(spec: Spec) -> tuple[str, Photos]:
    """The first form that is in the download cache or DATA_MIRROR; if none is, the pickles, which have URLs."""
    part, names = next(iter(spec.classes.items()))
    if local_path(NAME, f"{part}/{names[0]}") or is_there(_file(f"{part}/{names[0]}.zip")):
        return "a folder or zip of JPEG per class", _per_class(spec)
    if folder := local_path(NAME, "images"):
        return "one folder of JPEG", _one_folder(spec, folder)
    if tar := local_path(NAME, TAR):
        return TAR, _imagenet_tar(spec, tar)
    return "mini-imagenet-cache pickles", _pickles(spec)


def _file(name: str, expected: str = "") -> SourceFile:
    facts = load_sources()[NAME]["files"].get(name, {})
    md5 = f" (md5 of the original: {facts['md5']})" if "md5" in facts else ""
    return SourceFile(NAME, name, facts.get("urls", []), expected + md5)


def _per_class(spec: Spec) -> Photos:
    """`<part>/<wnid>/*.jpg` or `<part>/<wnid>.zip`."""
    for part, lists in _read_lists(spec).items():
        for name, files in lists.items():
            if folder := local_path(NAME, f"{part}/{name}"):
                yield (
                    name,
                    decode_class(
                        folder, {file.name: file.read_bytes() for file in folder.iterdir()}, files, spec
                    ),
                )
                continue
            source = _file(
                f"{part}/{name}.zip", f"the {spec.per_class} images of {name} that {part}.csv lists"
            )
            yield name, fetch(source, partial(_decode_zip, files=files, spec=spec))


def _decode_zip(path: Path, files: list[str], spec: Spec) -> np.ndarray:
    return decode_class(path, {name.rsplit("/", 1)[-1]: data for name, data in read_zip(path)}, files, spec)


def _one_folder(spec: Spec, folder: Path) -> Photos:
    """`images/*.jpg`, all classes together."""
    for lists in _read_lists(spec).values():
        for name, files in lists.items():
            there = [folder / file for file in files if (folder / file).is_file()]
            yield name, decode_class(folder, {file.name: file.read_bytes() for file in there}, files, spec)


def _imagenet_tar(spec: Spec, path: Path) -> Photos:
    """ILSVRC2012_img_train.tar: one tar per class inside.

    The number in a csv file name (`<wnid><8 digits>.jpg`) is the rank, from 1, of the photo among all of its class
    ordered by the number in the ImageNet file name (`<wnid>_<number>.JPEG`).
    """
    lists = {name: files for part in _read_lists(spec).values() for name, files in part.items()}

    def pick(tar: str, found: list[str]) -> list[str]:
        name = tar.removesuffix(".tar")
        ordered = sorted((file for file in found if file.endswith(".JPEG")), key=_number)
        ranks = [int(file.removesuffix(".jpg")[len(name) :]) for file in lists[name]]
        if max(ranks) > len(ordered):
            raise DataError(
                f"{tar} in {TAR}: expected at least {max(ranks)} JPEG files, found {len(ordered)}"
            )
        return [ordered[rank - 1] for rank in ranks]

    for tar, files in read_nested_tar(path, lambda name: name.removesuffix(".tar") in lists, pick):
        yield tar.removesuffix(".tar"), decode_class(path, dict(files), [name for name, _ in files], spec)


def _number(file: str) -> int:
    digits = file.rsplit("_", 1)[-1].removesuffix(".JPEG")
    if not digits.isdigit():
        raise DataError(f"{file} in {TAR}: expected a name like <wnid>_<number>.JPEG")
    return int(digits)


def _pickles(spec: Spec) -> Photos:
    """`mini-imagenet-cache-<part>.pkl`: image_data uint8 `[n, size, size, 3]`, class_dict class -> row numbers."""
    for part in spec.classes:
        source = _file(f"mini-imagenet-cache-{part}.pkl", _described(spec, part))
        yield from fetch(source, partial(read_cache, part=part, spec=spec)).items()


def read_cache(path: Path, part: str, spec: Spec) -> dict[str, np.ndarray]:
    """Images by class of one pickle, checked against the spec. DataError says what differs."""
    content = load_pickle(path)
    keys = sorted(content) if isinstance(content, dict) else type(content).__name__
    if keys != ["class_dict", "image_data"]:
        raise DataError(f"{path}: expected a dict of class_dict and image_data, found {keys}")
    images, rows = content["image_data"], content["class_dict"]
    _check_counts(
        path, {str(name): len(set(map(int, members))) for name, members in rows.items()}, part, spec
    )
    if images.dtype != np.uint8 or images.shape[1:] != (spec.size, spec.size, 3):
        raise DataError(
            f"{path}: expected images {_described(spec, part)}, found {images.dtype} {list(images.shape)}"
        )
    if max(max(members) for members in rows.values()) >= len(images):
        raise DataError(f"{path}: class_dict points beyond the {len(images)} images")
    return {str(name): images[np.sort(np.asarray(members, dtype=np.int64))] for name, members in rows.items()}


def _described(spec: Spec, part: str) -> str:
    return f"{len(spec.classes[part])} classes x {spec.per_class} images, uint8 {spec.size}x{spec.size}x3"


def _read_lists(spec: Spec) -> dict[str, dict[str, list[str]]]:
    """part -> class -> file names, from train.csv, val.csv and test.csv."""
    return {
        part: fetch(
            _file(f"{part}.csv", f"filename,label of {_described(spec, part)}"),
            partial(read_list, part=part, spec=spec),
        )
        for part in spec.classes
    }


def read_list(path: Path, part: str, spec: Spec) -> dict[str, list[str]]:
    """A csv of filename,label as class -> sorted file names, checked against the spec. DataError says what differs."""
    files: dict[str, list[str]] = {}
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            if not {"filename", "label"} <= set(rows.fieldnames or []):
                raise DataError(f"{path}: {describe(path)}, not a csv with the columns filename,label")
            for row in rows:
                files.setdefault(row["label"], []).append(row["filename"])
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: {describe(path)}, not a csv ({error})") from error
    _check_counts(path, {name: len(set(names)) for name, names in files.items()}, part, spec)
    return {name: sorted(names) for name, names in files.items()}


def _check_counts(path: Path, found: dict[str, int], part: str, spec: Spec) -> None:
    expected = dict.fromkeys(spec.classes[part], spec.per_class)
    if found != expected:
        wrong = {
            name: found.get(name, 0) for name in found | expected if found.get(name) != expected.get(name)
        }
        shown = dict(sorted(wrong.items())[:5])
        raise DataError(
            f"{path}: expected {len(expected)} classes x {spec.per_class} images of the {part} part, found "
            f"{len(found)} classes; {len(wrong)} differ, among them (class: images) {shown}"
        )


def decode_class(place: Path, files: dict[str, bytes], names: list[str], spec: Spec) -> np.ndarray:
    """Exactly the named files, decoded: uint8 `[per_class, size, size, 3]`. DataError names missing or extra files."""
    missing, extra = sorted(set(names) - files.keys()), sorted(files.keys() - set(names))
    if missing or extra:
        raise DataError(
            f"{place}: expected the {len(names)} images of the csv list, found {len(files)}; "
            f"missing: {missing[:3]}, not in the list: {extra[:3]}"
        )
    with ThreadPoolExecutor(DECODERS) as pool:
        return np.stack(
            list(pool.map(lambda name: decode_photo(files[name], f"{place}: {name}", spec.size), names))
        )
