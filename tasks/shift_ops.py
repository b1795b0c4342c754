"""Image operations behind the distribution shifts: whole batches on any device, randomness keyed by image.

Every operation has the signature `operation(images, strength, imagery, draws)`:
images: float32 `[n, C, H, W]` in [0, 1]; strength: a number, in the unit that `tasks.shift_table` states for the shift of
the same name (px of `images`, radians, factor, share); imagery: "glyphs" (ink = 1 on 0) or "photos"; draws: random
numbers of the n images. It returns float32 `[n, C, H, W]`, possibly outside of [0, 1], and ignores arguments that it does
not need. `tasks.shifts.apply` checks the arguments and clamps the result. x grows to the right, y downwards.
"""

import math

import torch
import torch.nn.functional as F
from kornia.filters import gaussian_blur2d, motion_blur
from kornia.geometry.transform import warp_affine
from torch import Tensor

from tasks.images import resize
from tasks.seeds import seed_from

WARP_PADDING = {"glyphs": "zeros", "photos": "reflection"}
FILTER_BORDER = {"glyphs": "constant", "photos": "reflect"}
FULL_RESOLUTION = 64
"""Side in pixels. Smaller drawings are enlarged by UPSAMPLING before a disk of a pixel or less changes their strokes."""
UPSAMPLING = 4
INK_KEPT = 0.4
"""Share of the ink that thinning always leaves."""


def _mix(state: Tensor) -> Tensor:
    """Apply SplitMix64's finaliser (Steele, Lea and Flood 2014) to int64, in place; products wrap alike on every device.

    In place, because new memory would cost more than the arithmetic.
    """
    state ^= (state >> 30).bitwise_and_(0x3FFFFFFFF)
    state *= -0x40A7B892E31B1A47
    state ^= (state >> 27).bitwise_and_(0x1FFFFFFFFF)
    state *= -0x6B2FB644ECCEEE15
    state ^= (state >> 31).bitwise_and_(0x1FFFFFFFF)
    return state


class Draws:
    """Random numbers of images, each a pure function of (axes, stream, image id, position in `shape`).

    They do not depend on the batch or the device. ids: int64 `[n]`, one stable number per image.
    """

    GOLDEN = -0x61C8864680B583EB

    def __init__(self, ids: Tensor, *axes: str | int):
        self.ids, self.axes = ids, axes

    def uniform(self, stream: str, *shape: int) -> Tensor:
        """Uniform numbers in the open interval (0, 1): float64 `[n, *shape]`."""
        start = _mix(_mix(self.ids * self.GOLDEN) + seed_from(*self.axes, stream))
        position = torch.arange(1, math.prod(shape) + 1, device=self.ids.device) * self.GOLDEN
        bits = _mix(start.unsqueeze(1) + position).bitwise_right_shift_(11).bitwise_and_(0x1FFFFFFFFFFFFF)
        return bits.double().add_(0.5).mul_(2.0**-53).view(-1, *shape)

    def normal(self, stream: str, *shape: int) -> Tensor:
        """Standard normal numbers, by inversion: float64 `[n, *shape]`."""
        return self.uniform(stream, *shape).mul_(2).sub_(1).erfinv_().mul_(math.sqrt(2))


def _stack(images: Tensor) -> Tensor:
    """View images as the channels of one image, `[1, n*C, H, W]`.

    kornia then computes sampling weights or a kernel once for all of them, which is 4 to 10 times faster.
    """
    return images.reshape(1, -1, *images.shape[-2:])


def _warp(images: Tensor, linear: list[list[float]], imagery: str) -> Tensor:
    """Move each point p to centre + linear @ (p - centre), with bilinear interpolation."""
    height, width = images.shape[-2:]
    centre = torch.tensor([[(width - 1) / 2], [(height - 1) / 2]], dtype=torch.float64)
    matrix = torch.tensor(linear, dtype=torch.float64)
    affine = torch.cat([matrix, centre - matrix @ centre], dim=1).to(images)
    warped = warp_affine(
        _stack(images), affine.unsqueeze(0), (height, width), padding_mode=WARP_PADDING[imagery]
    )
    return warped.view_as(images)


def shear(images: Tensor, angle: float, imagery: str, draws: Draws) -> Tensor:
    """Displace rows in proportion to their height; a positive angle (radians) leans left."""
    return _warp(images, [[1.0, math.tan(angle)], [0.0, 1.0]], imagery)


def scale(images: Tensor, factor: float, imagery: str, draws: Draws) -> Tensor:
    """Scale the content by a factor. Shrinking blurs first (sigma = half the pixels skipped per step) to keep thin strokes."""
    if factor < 1:
        images = blur(images, (1 / factor - 1) / 2, imagery, draws)
    return _warp(images, [[factor, 0.0], [0.0, factor]], imagery)


def rotate(images: Tensor, angle: float, imagery: str, draws: Draws) -> Tensor:
    """Rotate by an angle in radians, counter-clockwise as displayed (y points down)."""
    cosine, sine = math.cos(angle), math.sin(angle)
    return _warp(images, [[cosine, sine], [-sine, cosine]], imagery)


def translate(images: Tensor, distance: float, imagery: str, draws: Draws) -> Tensor:
    """Move each image by a distance in pixels, in a direction of its own that is the same at every distance."""
    angle = draws.uniform("direction", 1) * 2 * math.pi
    offset = torch.stack([angle.cos(), angle.sin()], dim=1) * distance
    linear = torch.eye(2, dtype=torch.float64, device=images.device).expand(len(images), 2, 2)
    affine = torch.cat([linear, offset], dim=2).to(images)
    return warp_affine(images, affine, images.shape[-2:], padding_mode=WARP_PADDING[imagery])


def blur(images: Tensor, sigma: float, imagery: str, draws: Draws) -> Tensor:
    """Blur by a Gaussian of standard deviation `sigma` pixels, cut at 3 sigma."""
    size = 2 * math.ceil(3 * sigma) + 1
    return gaussian_blur2d(_stack(images), (size, size), (sigma, sigma), FILTER_BORDER[imagery]).view_as(
        images
    )


def smear(images: Tensor, length: float, imagery: str, draws: Draws) -> Tensor:
    """Drag towards the upper right over `length` pixels. Ink leaves a fading trail; photos get a fading motion blur."""
    if imagery == "glyphs":
        return _trail(images, length)
    size = max(2 * int(length / 2) + 1, 3)
    return motion_blur(_stack(images), size, 45.0, -1.0, FILTER_BORDER[imagery], mode="bilinear").view_as(
        images
    )


def _trail(images: Tensor, length: float) -> Tensor:
    """Dilate by a 45-degree line that fades linearly to nothing over `length` pixels.

    max over t = 0, 1, ... of x[p - t (1, -1)] - t / steps. A trail over c steps, maximised with its own copy h <= c
    steps further, is the trail over c + h steps: log2(steps) passes instead of a kernel of steps^2 weights.
    """
    width, steps, done = images.shape[-1], length / math.sqrt(2), 1
    while done < steps:
        hop = min(done, math.ceil(steps) - done)
        moved = F.pad(images, (hop, 0, 0, hop))[..., hop:, :width]
        images, done = torch.maximum(images, moved - hop / steps), done + hop
    return images


def thickness(images: Tensor, radius: float, imagery: str, draws: Draws) -> Tensor:
    """Grow (radius > 0) or thin (radius < 0) strokes by a disk, radius in pixels; thinning leaves INK_KEPT of the ink."""
    size = images.shape[-1]
    if size < FULL_RESOLUTION:
        fine = F.interpolate(images, scale_factor=UPSAMPLING, mode="bilinear", align_corners=False)
        return resize(thickness(fine, radius * UPSAMPLING, imagery, draws), size)
    if radius > 0:
        return _dilate(images, radius)
    thin = 1 - _dilate(1 - images, -radius)
    kept = thin.sum((1, 2, 3), keepdim=True) / images.sum((1, 2, 3), keepdim=True).clamp(min=1e-6)
    return torch.lerp(thin, images, ((INK_KEPT - kept) / (1 - kept).clamp(min=1e-6)).clamp(0, 1))


def _dilate(images: Tensor, radius: float) -> Tensor:
    """Dilate by the digital disk: the union of its rows, where each row's maximum grows from the narrower row before.

    O(radius) passes; kornia's dilation needs O(radius^2) and takes minutes on a pool of originals.
    """
    reach, (height, width) = int(radius), images.shape[-2:]
    padded = F.pad(images, (reach,) * 4)
    row_maximum, half, result = padded[..., reach : reach + width], 0, images
    for offset in range(reach, -1, -1):
        while (half + 1) ** 2 + offset**2 <= radius**2:
            half += 1
            for left in (reach - half, reach + half):
                row_maximum = torch.maximum(row_maximum, padded[..., left : left + width])
        for top in (reach - offset, reach + offset):
            result = torch.maximum(result, row_maximum[..., top : top + height, :])
    return result


def noise(images: Tensor, sigma: float, imagery: str, draws: Draws) -> Tensor:
    """Add independent Gaussian noise of standard deviation `sigma` to every value."""
    return images + sigma * draws.normal("noise", *images.shape[1:]).to(images)


def impulse(images: Tensor, share: float, imagery: str, draws: Draws) -> Tensor:
    """Replace each value with probability `share`, by 0 or 1 evenly (salt and pepper)."""
    draw = draws.uniform("impulse", *images.shape[1:])
    peppered = images.masked_fill(draw < share / 2, 0.0)
    return peppered.masked_fill_(draw > 1 - share / 2, 1.0)


def occlude(images: Tensor, side: float, imagery: str, draws: Draws) -> Tensor:
    """Hide a square of `side` pixels per image behind the background (photos: the mean colour of the image).

    The square lies wholly inside the image. Its centre is drawn evenly from all pixels of a photo, or from the ink of a
    glyph; a centre off the ink is used only where a square on the ink would not fit or would hide all of it. The centre
    stays as the side grows, where possible.
    """
    height, width = images.shape[-2:]
    side = min(max(round(side), 1), height, width)
    places = (height - side + 1, width - side + 1)
    centres = (..., *(slice(side // 2, side // 2 + count) for count in places))
    score = draws.uniform("place", height, width)[centres]
    if imagery == "glyphs":
        ink = (images > images.amax((1, 2, 3), keepdim=True) / 2).any(1, keepdim=True).to(images)
        hidden = F.avg_pool2d(ink, side, stride=1, divisor_override=1)
        in_part = (hidden > 0) & (hidden < ink.sum((1, 2, 3), keepdim=True))
        score = score + (in_part * (1 + ink[centres])).squeeze(1)
    top, left = (index.view(-1, 1, 1, 1) for index in torch.unravel_index(score.flatten(1).argmax(1), places))
    row = torch.arange(height, device=images.device).view(1, 1, -1, 1) - top
    column = torch.arange(width, device=images.device).view(1, 1, 1, -1) - left
    inside = (row >= 0) & (row < side) & (column >= 0) & (column < side)
    fill = (
        torch.zeros_like(images[:, :, :1, :1]) if imagery == "glyphs" else images.mean((2, 3), keepdim=True)
    )
    return torch.where(inside, fill, images)


def contrast(images: Tensor, factor: float, imagery: str, draws: Draws) -> Tensor:
    """Scale the distance of each value to the mean of its image and channel by `factor`."""
    return torch.lerp(images.mean((2, 3), keepdim=True), images, factor)
