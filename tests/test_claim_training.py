"""What the two sides of a claim were trained on, from the records of their runs."""

from pathlib import Path

import pytest

from bench.results.run_folder import RunResult
from bench.results.setting import Setting
from bench.statistics.claim_training import check_alike, images_per_task
from bench.statistics.contestants import Contestants


@pytest.mark.parametrize(
    ("chosen", "images"),
    [
        ({"train_way": 5, "train_shot": 1, "train_query": 5}, 30),
        ({"train_way": 5, "train_shot": 10, "train_query": None}, 50),  # Reptile trains on supports alone
        ({"batch_size": 64}, 1),  # a pretraining
    ],
)
def test_images_of_a_training_task(chosen, images):
    assert images_per_task({"hyper_parameters": chosen}) == images


def test_a_side_that_is_a_number_has_no_training_to_compare():
    contestants = Contestants(Setting("sinusoid", 1, 10), {"alpaca": [RunResult(Path(), {}, {})]})
    check_alike({"left": {"algorithms": ["alpaca"]}, "right": {"constant": 0.95}}, contestants)
