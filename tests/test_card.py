"""Cards of algorithms, read from the files, against the classes that the files define."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

import algos
from algos.cards import FACTS, read_card
from algos.literals import NotLiteral

ROOT = Path(__file__).parents[1]
EVERY = [*algos.discover(), *algos.pretrainings()]
OWN = """
from dataclasses import dataclass

import torch
from algos.base import MetaLearner, Params, hyper
from algos.nets.backbones import BACKBONES

BASE = dict(steps=10)


class Mine(MetaLearner):
    \"\"\"Not the file's docstring.\"\"\"

    title = "Mine"
    family = "baseline"
    citation = "nobody"
    modes = ("inductive",)
    presets = {"omniglot": {**BASE, "clip_norm": -1.0}, "omniglot 5way": BASE}

    @dataclass(frozen=True)
    class Params(Params):
        steps: int = hyper(2 * 500, "meta-updates")
        backbone: str = hyper("conv4", doc="network", choices=("none", *BACKBONES))
"""


def learner_of(name: str) -> type:
    return algos.load_pretraining(name) if name in algos.pretrainings() else algos.load(name)


@pytest.mark.parametrize("name", EVERY)
def test_a_card_says_what_the_class_says(name):
    card = read_card((algos.discover() | algos.pretrainings())[name])  # not `algos.card`: no fallback
    learner = learner_of(name)
    for fact in FACTS:
        assert getattr(card, fact) == getattr(learner, fact), fact
        assert type(getattr(card, fact)) is type(getattr(learner, fact)), fact
    assert list(card.params.values()) == learner.Params.declared()
    assert [type(param.default) for param in card.params.values()] == [
        type(param.default) for param in learner.Params.declared()
    ]
    assert card.doc == sys.modules[learner.__module__].__doc__
    assert card.name == name and card.path.stem == name


@pytest.mark.parametrize("name", EVERY)
def test_a_card_refuses_what_the_class_refuses_in_the_same_words(name):
    card = algos.pretraining_card(name) if name in algos.pretrainings() else algos.card(name)
    params = learner_of(name).Params()
    wrong = [{"wdith": 3}, *({param.name: object()} for param in card.params.values())]
    wrong += [{param.name: "none of these"} for param in card.params.values() if param.choices]
    for values in wrong:
        with pytest.raises(ValueError) as by_card:
            card.check(name, values)
        with pytest.raises(ValueError) as by_class:
            params.override(name, values)
        assert str(by_card.value).startswith(str(by_class.value)), "a card may add a remedy"
    card.check(name, {param.name: param.default for param in card.params.values()})


def test_a_type_is_named_in_words():
    with pytest.raises(ValueError, match="hyper-parameter hidden of wide must be an integer, not True"):
        algos.card("protonet").check("wide", {"hidden": True})
    with pytest.raises(
        ValueError, match=r"hyper-parameter train_way of wide must be an integer or null, not 0.5"
    ):
        algos.card("protonet").check("wide", {"train_way": 0.5})
    algos.card("protonet").check("wide", {"learning_rate": 1, "train_way": None})


def test_cards_of_all_algorithms_need_no_torch():
    code = """if True:
        import sys, algos
        cards = [algos.card(name) for name in algos.discover()]
        cards += [algos.pretraining_card(name) for name in algos.pretrainings()]
        print("torch" in sys.modules)"""
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).strip() == "False"


def write(folder: Path, text: str, name: str = "mine.py") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_a_file_outside_the_project(tmp_path):
    path = write(tmp_path, OWN)
    card = read_card(Path(path))
    assert (card.name, card.title, card.modes, card.tasks) == (
        "mine",
        "Mine",
        ("inductive",),
        ("classification",),
    )
    assert card.presets["omniglot"] == {"steps": 10, "clip_norm": -1.0}
    assert card.params["steps"].default == 1000 and card.params["backbone"].choices[:2] == ("none", "conv4")
    assert list(card.params)[:2] == ["steps", "meta_batch"], "an overridden field keeps its place"
    time.sleep(0.01)
    write(tmp_path, OWN.replace('"Mine"', '"Changed"'))
    assert read_card(Path(path)).title == "Changed"


COMPUTED = {
    "a call": ('"Mine"', 'str("Mine")'),
    "a slice": ("*BACKBONES", "*BACKBONES[:2]"),
    "a branch": ("BASE = dict(steps=10)", "if torch.cuda:\n    BASE = {}\nelse:\n    BASE = {}"),
    "two values": ("BASE = dict(steps=10)", "BASE = {}\nBASE = dict(steps=10)"),
    "set later": ("*BACKBONES))", "*BACKBONES))\n\n\nMine.title = 'Later'"),
    "a property": ('    citation = "nobody"', "    @property\n    def citation(self):\n        return ''"),
    "two bases": ("class Mine(MetaLearner)", "class Other(Params):\n    pass\n\n\nclass Mine(MetaLearner, Other)"),
    "a decorator": ("class Mine", "@torch.no_grad\nclass Mine"),
    "a field without hyper": ("    class Params(Params):", "    class Params(Params):\n        own: int = 3"),
}  # fmt: skip


@pytest.mark.parametrize("what", COMPUTED)
def test_what_is_no_literal_is_not_guessed(tmp_path, what):
    old, new = COMPUTED[what]
    assert old in OWN
    with pytest.raises(NotLiteral):
        read_card(Path(write(tmp_path, OWN.replace(old, new))))


def test_the_file_is_run_where_its_facts_are_computed(tmp_path):
    card = algos.card(write(tmp_path, OWN.replace('"Mine"', "str(torch.tensor(7).item())"), "computed.py"))
    assert card.title == "7"
    assert card.params["backbone"].choices[0] == "none"


def test_errors_name_the_file_and_what_is_known(tmp_path):
    with pytest.raises(
        ValueError, match=r"no algorithm 'protonets' \(did you mean 'protonet'\?\); known: .*protonet"
    ):
        algos.card("protonets")
    with pytest.raises(ValueError, match="no algorithm 'supervised'; known: "):
        algos.card("supervised")
    with pytest.raises(ValueError, match="no pretraining 'protonet'; known: supervised, supervised_cosine"):
        algos.pretraining_card("protonet")
    with pytest.raises(FileNotFoundError, match="algorithm file nowhere.py does not exist"):
        algos.card("nowhere.py")
    with pytest.raises(ValueError, match=r"broken.py, line 2: "):
        algos.card(write(tmp_path, "x = 1\ndef\n", "broken.py"))
    with pytest.raises(ValueError, match="must hold exactly one MetaLearner, not 0"):
        algos.card(write(tmp_path, "x = 1\n", "nothing.py"))
