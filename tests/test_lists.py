"""Lists of images as spreadsheets and other projects write them."""

import pytest

from tasks.preparation.archives import DataError
from tasks.preparation.lists import part_of, read_pairs

PAIRS = [("a b.jpg", "n01"), ("c.jpg", "n02")]
PLAIN = "filename,label\na b.jpg,n01\nc.jpg,n02\n"
TABLES = {
    "plain": PLAIN.encode(),
    "BOM": b"\xef\xbb\xbf" + PLAIN.encode(),
    "UTF-16": PLAIN.replace(",", "\t").encode("utf-16"),
    "semicolons": PLAIN.replace(",", ";").encode(),
    "tabs": PLAIN.replace(",", "\t").encode(),
    "CRLF": PLAIN.replace("\n", "\r\n").encode(),
    "CR": PLAIN.replace("\n", "\r").encode(),
    "quotes": b'"filename","label"\n"a b.jpg","n01"\n"c.jpg","n02"\n',
    "upper case": PLAIN.replace("filename,label", "FileName , LABEL").encode(),
    "other names": PLAIN.replace("filename,label", "image,wnid").encode(),
    "an index": b",filename,label\n0,a b.jpg,n01\n1,c.jpg,n02\n",
    "other order": b"label,filename\nn01,a b.jpg\nn02,c.jpg\n",
    "blank rows": PLAIN.replace("\nc", "\n,\n\nc").encode() + b"\n,\n",
    "folders": PLAIN.replace("\na", "\nimages/n01/a").replace("\nc", "\nimages\\n02\\c").encode(),
}


@pytest.mark.parametrize("table", TABLES)
def test_lists_of_spreadsheets_are_read(table):
    assert read_pairs(TABLES[table], "x.csv") == PAIRS


@pytest.mark.parametrize(
    "data", [b"", b"\n\n", b"<html></html>", b"a,b\n1,2\n", b"\x89PNG\r\n\x00\xff", b"PK\x03\x04\xff\xfe"]
)
def test_what_is_no_list_is_named(data):
    with pytest.raises(DataError, match="x.csv: .*not a csv"):
        read_pairs(data, "x.csv")
    with pytest.raises(DataError, match="row .*b.jpg.* lacks a column"):
        read_pairs(b"filename,label\nb.jpg\n", "x.csv")


def test_the_part_of_a_file_is_in_its_name():
    names = {
        "train.csv": "train",
        "novel.json": "test",
        "mini-imagenet-cache-validation.pkl": "val",
        "labels.csv": None,
    }
    names |= {
        "category_split_train_phase_train.pickle": "train",
        "split/Valid.txt": "val",
        "trainer.csv": None,
    }
    assert {name: part_of(name) for name in names} == names
