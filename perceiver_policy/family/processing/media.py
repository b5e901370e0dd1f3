"""Images, video and sound as arrays of bytes or samples -> what the models read, and back."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def preprocess_images(images: Tensor, size: int = 224, *, crop: float = 224 / 256) -> Tensor:
    """Images `[..., 3, H, W]` of any size (bytes, or floats in [0, 1]) -> `[..., 3, size, size]` for the published
    classifiers.

    The middle square, of which `crop` times the shorter side is kept, is resized (bicubic, antialiased) and normalized
    by ImageNet's mean and standard deviation. Raises ValueError for anything that is no image of three channels.
    """
    if images.dim() < 3 or images.shape[-3] != 3:
        raise ValueError(f"expected images [..., 3, height, width], got {tuple(images.shape)}")
    pixels = images.float() / 255 if images.dtype == torch.uint8 else images
    side = max(round(crop * min(pixels.shape[-2:])), 1)
    top, left = (pixels.shape[-2] - side) // 2, (pixels.shape[-1] - side) // 2
    square = pixels[..., top : top + side, left : left + side]
    flat = square.reshape(-1, 3, side, side)
    if side != size:
        flat = F.interpolate(flat, size=(size, size), mode="bicubic", antialias=True).clamp(0, 1)
    mean, std = (torch.tensor(values, device=flat.device).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return ((flat - mean) / std).reshape(*images.shape[:-2], size, size)


def preprocess_video(frames: Tensor) -> Tensor:
    """Frames `[..., T, H, W, 3]` of bytes -> `[..., T, 3, H, W]` in [0, 1], for the multimodal autoencoder."""
    if frames.dtype != torch.uint8 or frames.shape[-1] != 3:
        raise ValueError(
            f"expected frames of bytes [..., time, height, width, 3], got {frames.dtype} {tuple(frames.shape)}"
        )
    return frames.movedim(-1, -3).float() / 255


def postprocess_video(answers: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """The autoencoder's answers `[B, T * H * W, 3]` -> frames of bytes `[B, T, H, W, 3]`."""
    return (answers.unflatten(1, shape).clamp(0, 1) * 255).round().to(torch.uint8)


def preprocess_audio(samples: Tensor, count: int) -> Tensor:
    """Samples `[B, length]`, 16-bit or floats in [-1, 1] -> `[B, count, 1]`: cut, or padded with silence."""
    if samples.dim() != 2:
        raise ValueError(f"expected samples [batch, length] of one channel, got {tuple(samples.shape)}")
    sound = samples.float() / 2**15 if samples.dtype == torch.int16 else samples
    return F.pad(sound[:, :count], (0, max(count - sound.shape[1], 0)))[..., None]


def postprocess_audio(answers: Tensor) -> Tensor:
    """The autoencoder's answers `[B, length]` in [-1, 1] -> 16-bit samples."""
    return (answers.clamp(-1, 1) * 2**15).round().clamp(max=2**15 - 1).to(torch.int16)


def depth_to_space(blocks: Tensor, spatial: int, temporal: int = 1) -> Tensor:
    """The reverse of `modalities.Patches`: `[B, h, w, s * s * C]` -> images `[B, C, h * s, w * s]`; with a time axis
    `[B, t, h, w, ...]` -> video `[B, t * temporal, C, h * s, w * s]`. Raises ValueError where the channels do not
    divide."""
    video = blocks if blocks.dim() == 5 else blocks[:, None]
    if video.shape[-1] % (temporal * spatial**2):
        raise ValueError(f"{video.shape[-1]} channels do not divide into blocks of {temporal} x {spatial} x {spatial}")
    parts = video.unflatten(-1, (temporal, spatial, spatial, -1)).permute(0, 1, 4, 7, 2, 5, 3, 6)
    batch, time, t, channels, rows, s, columns, _ = parts.shape
    pixels = parts.reshape(batch, time * t, channels, rows * s, columns * s)
    return pixels if blocks.dim() == 5 or temporal > 1 else pixels[:, 0]
