"""Image operations behind the distribution shifts: whole batches on any device, randomness keyed by image.

Every operation takes (images float32 `[n, C, H, W]` in [0, 1], strength, kind "glyphs" | "photos", draws) and may leave
[0, 1] or ignore what it does not need; `tasks.shifts.apply` checks and clamps. x grows to the right, y downwards.
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
FULL_RESOLUTION = (
    64  # smaller drawings are upsampled by UPSAMPLING before a disk of a pixel or less touches them
)
UPSAMPLING = 4
INK_KEPT = 0.4  # thinning never leaves less than this share of the ink


def _mix(state: Tensor) -> Tensor:
    """SplitMix64's finaliser (Steele, Lea and Flood 2014) on int64, whose products wrap alike on every device.
    In place: fresh memory would cost more than the arithmetic."""
    state ^= (state >> 30).bitwise_and_(0x3FFFFFFFF)
    state *= -0x40A7B892E31B1A47
    state ^= (state >> 27).bitwise_and_(0x1FFFFFFFFF)
    state *= -0x6B2FB644ECCEEE15
    state ^= (state >> 31).bitwise_and_(0x1FFFFFFFF)
    return state


class Draws:
    """Random numbers of images: each a pure function of (axes, stream, image id, position), so neither the batch nor
    the device matters."""

    GOLDEN = -0x61C8864680B583EB

    def __init__(self, ids: Tensor, *axes: str | int):
        """ids: int64 `[n]`, one stable number per image."""
        self.ids, self.axes = ids, axes

    def uniform(self, stream: str, *shape: int) -> Tensor:
        """float64 `[n, *shape]` in the open interval (0, 1)."""
        start = _mix(_mix(self.ids * self.GOLDEN) + seed_from(*self.axes, stream))
        position = torch.arange(1, math.prod(shape) + 1, device=self.ids.device) * self.GOLDEN
        bits = _mix(start.unsqueeze(1) + position).bitwise_right_shift_(11).bitwise_and_(0x1FFFFFFFFFFFFF)
        return bits.double().add_(0.5).mul_(2.0**-53).view(-1, *shape)

    def normal(self, stream: str, *shape: int) -> Tensor:
        """float64 `[n, *shape]`, standard normal by inversion."""
        return self.uniform(stream, *shape).mul_(2).sub_(1).erfinv_().mul_(math.sqrt(2))


def _stack(images: Tensor) -> Tensor:
    """Images as the channels of one image `[1, n*C, H, W]`: what all of them share (sampling weights, a kernel) kornia
    then computes once, which makes it 4 to 10 times faster."""
    return images.reshape(1, -1, *images.shape[-2:])


def _warp(images: Tensor, linear: list[list[float]], kind: str) -> Tensor:
    """Map each point p to centre + linear @ (p - centre), bilinear."""
    height, width = images.shape[-2:]
    centre = torch.tensor([[(width - 1) / 2], [(height - 1) / 2]], dtype=torch.float64)
    matrix = torch.tensor(linear, dtype=torch.float64)
    affine = torch.cat([matrix, centre - matrix @ centre], dim=1).to(images)
    warped = warp_affine(
        _stack(images), affine.unsqueeze(0), (height, width), padding_mode=WARP_PADDING[kind]
    )
    return warped.view_as(images)


def shear(images: Tensor, angle: float, kind: str, draws: Draws) -> Tensor:
    return _warp(images, [[1.0, math.tan(angle)], [0.0, 1.0]], kind)


def scale(images: Tensor, factor: float, kind: str, draws: Draws) -> Tensor:
    """Shrinking blurs first (sigma = half the pixels skipped per step), because sampling would lose thin strokes."""
    if factor < 1:
        images = blur(images, (1 / factor - 1) / 2, kind, draws)
    return _warp(images, [[factor, 0.0], [0.0, factor]], kind)


def rotate(images: Tensor, angle: float, kind: str, draws: Draws) -> Tensor:
    """Counter-clockwise as one sees it (y points down)."""
    cosine, sine = math.cos(angle), math.sin(angle)
    return _warp(images, [[cosine, sine], [-sine, cosine]], kind)


def translate(images: Tensor, distance: float, kind: str, draws: Draws) -> Tensor:
    """Each image in its own direction, the same one at every distance."""
    angle = draws.uniform("direction", 1) * 2 * math.pi
    offset = torch.stack([angle.cos(), angle.sin()], dim=1) * distance
    linear = torch.eye(2, dtype=torch.float64, device=images.device).expand(len(images), 2, 2)
    affine = torch.cat([linear, offset], dim=2).to(images)
    return warp_affine(images, affine, images.shape[-2:], padding_mode=WARP_PADDING[kind])


def blur(images: Tensor, sigma: float, kind: str, draws: Draws) -> Tensor:
    """Gaussian, cut at 3 sigma."""
    size = 2 * math.ceil(3 * sigma) + 1
    return gaussian_blur2d(_stack(images), (size, size), (sigma, sigma), FILTER_BORDER[kind]).view_as(images)


def smear(images: Tensor, length: float, kind: str, draws: Draws) -> Tensor:
    """Drag towards the upper right. Ink stays and leaves a trail; a photo gets a motion blur that fades on the way."""
    if kind == "glyphs":
        return _trail(images, length)
    size = max(2 * int(length / 2) + 1, 3)
    return motion_blur(_stack(images), size, 45.0, -1.0, FILTER_BORDER[kind], mode="bilinear").view_as(images)


def _trail(images: Tensor, length: float) -> Tensor:
    """Grey dilation by a 45-degree line that fades linearly to nothing over `length` pixels.

    max over t = 0, 1, ... of x[p - t (1, -1)] - t / steps. A trail over c steps, maximised with its own copy h <= c
    steps further, is the trail over c + h steps: log2(steps) passes instead of a kernel of steps^2 weights.
    """
    width, steps, done = images.shape[-1], length / math.sqrt(2), 1
    while done < steps:
        hop = min(done, math.ceil(steps) - done)
        moved = F.pad(images, (hop, 0, 0, hop))[..., hop:, :width]
        images, done = torch.maximum(images, moved - hop / steps), done + hop
    return images


def thickness(images: Tensor, radius: float, kind: str, draws: Draws) -> Tensor:
    """Strokes grow (radius > 0) or shrink (< 0) by a disk; what thinning would take beyond 1 - INK_KEPT comes back."""
    size = images.shape[-1]
    if size < FULL_RESOLUTION:
        fine = F.interpolate(images, scale_factor=UPSAMPLING, mode="bilinear", align_corners=False)
        return resize(thickness(fine, radius * UPSAMPLING, kind, draws), size)
    if radius > 0:
        return _dilate(images, radius)
    thin = 1 - _dilate(1 - images, -radius)
    kept = thin.sum((1, 2, 3), keepdim=True) / images.sum((1, 2, 3), keepdim=True).clamp(min=1e-6)
    return torch.lerp(thin, images, ((INK_KEPT - kept) / (1 - kept).clamp(min=1e-6)).clamp(0, 1))


def _dilate(images: Tensor, radius: float) -> Tensor:
    """Grey dilation by the digital disk: the union of its rows, each row's maximum grown from the narrower one before.

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


def noise(images: Tensor, sigma: float, kind: str, draws: Draws) -> Tensor:
    return images + sigma * draws.normal("noise", *images.shape[1:]).to(images)


def impulse(images: Tensor, share: float, kind: str, draws: Draws) -> Tensor:
    """Salt and pepper: each value is replaced with probability `share`, by 0 or 1 evenly."""
    draw = draws.uniform("impulse", *images.shape[1:])
    peppered = images.masked_fill(draw < share / 2, 0.0)
    return peppered.masked_fill_(draw > 1 - share / 2, 1.0)


def occlude(images: Tensor, side: float, kind: str, draws: Draws) -> Tensor:
    """One square per image, filled with background (photos: the mean colour) and wholly inside the image.

    Its centre is drawn evenly: on a photo from all pixels, on a glyph from its ink, and from elsewhere only where a
    square on the ink would not fit or would hide all of it. The centre stays as the side grows, while that is possible.
    """
    height, width = images.shape[-2:]
    side = min(max(round(side), 1), height, width)
    places = (height - side + 1, width - side + 1)
    centres = (..., *(slice(side // 2, side // 2 + count) for count in places))
    score = draws.uniform("place", height, width)[centres]
    if kind == "glyphs":
        ink = (images > images.amax((1, 2, 3), keepdim=True) / 2).any(1, keepdim=True).to(images)
        hidden = F.avg_pool2d(ink, side, stride=1, divisor_override=1)
        in_part = (hidden > 0) & (hidden < ink.sum((1, 2, 3), keepdim=True))
        score = score + (in_part * (1 + ink[centres])).squeeze(1)
    top, left = (index.view(-1, 1, 1, 1) for index in torch.unravel_index(score.flatten(1).argmax(1), places))
    row = torch.arange(height, device=images.device).view(1, 1, -1, 1) - top
    column = torch.arange(width, device=images.device).view(1, 1, 1, -1) - left
    inside = (row >= 0) & (row < side) & (column >= 0) & (column < side)
    fill = torch.zeros_like(images[:, :, :1, :1]) if kind == "glyphs" else images.mean((2, 3), keepdim=True)
    return torch.where(inside, fill, images)


def contrast(images: Tensor, factor: float, kind: str, draws: Draws) -> Tensor:
    """Around each image's mean, per channel."""
    return torch.lerp(images.mean((2, 3), keepdim=True), images, factor)
