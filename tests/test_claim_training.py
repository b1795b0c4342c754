"""What the two sides of a claim were trained on, from the records of their runs."""

import pytest

from bench.statistics.claim_training import images_per_task


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
