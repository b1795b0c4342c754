"""Random crops, mirroring and colour jitter of training images."""

import torch

from algos.nets.augment import augmented


def test_augmentation_changes_each_image_on_its_own_and_stays_in_range():
    images = torch.rand(1, 3, 20, 20).expand(6, -1, -1, -1)
    torch.manual_seed(3)
    once = augmented(images)
    torch.manual_seed(3)
    assert torch.equal(augmented(images), once)
    assert once.shape == images.shape and once.min() >= 0 and once.max() <= 1
    assert all((once[i] - once[j]).abs().max() > 0.05 for i in range(6) for j in range(i))
    constant = augmented(torch.full((50, 3, 8, 8), 0.5))  # a crop of a constant image is one
    assert (constant.amax((1, 2, 3)) - constant.amin((1, 2, 3))).max() < 1e-6
    assert constant.amax() <= 0.7 + 1e-6 and constant.amin() >= 0.3 - 1e-6


def test_half_of_the_augmented_images_are_mirrored(monkeypatch):
    monkeypatch.setattr("algos.nets.augment.CROP_AREA", (1.0, 1.0))
    monkeypatch.setattr("algos.nets.augment.CROP_RATIO", (1.0, 1.0))
    monkeypatch.setattr("algos.nets.augment.JITTER", 0.0)
    torch.manual_seed(0)
    image = torch.rand(1, 3, 9, 9)
    changed = augmented(image.expand(400, -1, -1, -1))
    same = (changed - image).abs().amax((1, 2, 3)) < 1e-5
    mirrored = (changed - image.flip(3)).abs().amax((1, 2, 3)) < 1e-5
    assert (same ^ mirrored).all() and 160 < mirrored.sum() < 240
