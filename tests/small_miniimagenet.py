"""A miniImageNet of four classes with three photos of 8x8 pixels each, written in every form."""

import io
import itertools
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from tasks.preparation.decode import decode_photo
from tasks.preparation.miniimagenet_forms import Spec

SMALL = Spec({"train": ["n01", "n04"], "val": ["n03"], "test": ["n02"]}, per_class=3, size=8)
RANKS = [1, 3, 4]  # which of the photos of a class the csv lists


def jpeg(seed: int, size: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "jpeg", quality=95)
    return buffer.getvalue()


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def photos(size: int) -> dict[str, dict[str, bytes]]:
    """class -> file name as in the csv -> JPEG."""
    return {
        name: {f"{name}{rank:08d}.jpg": jpeg(100 * c + rank, size) for rank in RANKS}
        for c, name in enumerate(SMALL.names)
    }


def part_of(name: str) -> str:
    return next(part for part, names in SMALL.classes.items() if name in names)


def write_lists(folder: Path) -> None:
    for part, names in SMALL.classes.items():
        rows = [f"{file},{name}" for name in names for file in photos(8)[name]]
        write(folder / f"{part}.csv", "\n".join(["filename,label", *rows, ""]).encode())


def write_zips(folder: Path) -> None:
    write_lists(folder)
    for name, files in photos(8).items():
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for file, data in files.items():
                archive.writestr(f"{name}/{file}", data)
        write(folder / part_of(name) / f"{name}.zip", buffer.getvalue())


def write_folders(folder: Path) -> None:
    write_lists(folder)
    for name, files in photos(8).items():
        for file, data in files.items():
            write(folder / part_of(name) / name / file, data)


def write_one_folder(folder: Path) -> None:
    write_lists(folder)
    for file, data in itertools.chain(*(files.items() for files in photos(8).values())):
        write(folder / "images" / file, data)
    write(folder / "images/n99999999.jpg", b"of a class that is not ours")


def write_tar(folder: Path) -> None:
    """Photos of 20x20 pixels, five per class with gaps in their numbers, stored in no order, and a class too many."""
    write_lists(folder)
    numbers = {
        1: 7,
        2: 30,
        3: 200,
        4: 1001,
        5: 10000,
    }  # rank -> number: sorted as text, 10000 would come second
    with tarfile.open(folder / "ILSVRC2012_img_train.tar", "w") as outer:
        for c, name in reversed(list(enumerate([*SMALL.names, "n09"]))):
            buffer = io.BytesIO()
            with tarfile.open(fileobj=buffer, mode="w") as inner:
                for rank in (5, 1, 4, 2, 3):
                    add(inner, f"{name}_{numbers[rank]}.JPEG", jpeg(100 * c + rank, 20))
            add(outer, f"{name}.tar", buffer.getvalue())


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def write_pickles(folder: Path, protocol: int = 2) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part, names in SMALL.classes.items():
        rows = {name: list(range(3 * i, 3 * i + 3)) for i, name in enumerate(names)}
        pixels = [decode_photo(data, "", 8) for name in names for data in photos(8)[name].values()]
        content = {"image_data": np.stack(pixels), "class_dict": rows}
        (folder / f"mini-imagenet-cache-{part}.pkl").write_bytes(pickle.dumps(content, protocol))


FORMS = {
    "zips": write_zips,
    "folders": write_folders,
    "images": write_one_folder,
    "tar": write_tar,
    "pickles": write_pickles,
}
