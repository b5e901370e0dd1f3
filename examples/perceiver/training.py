"""What the examples share: a training loop, for so many steps or for so much processor time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

ENCODER = {
    "latents": 24,
    "latent_width": 96,
    "cross_attends": 2,
    "self_attends": 2,
    "self_heads": 4,
    "project_inputs": False,
}
"""Of the small classifiers."""


def train(
    model: nn.Module,
    loss: Callable[[int], Tensor],
    steps: int = 0,
    *,
    seconds: float | None = None,
    rate: float = 1e-3,
    report: int = 100,
) -> float:
    """AdamW with a short warm-up and a cosine to zero on `loss(step)`, for `steps`, or, where given, for `seconds` of
    processor time (a baseline gets those that the Perceiver took); prints now and then; returns the seconds it took."""
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.01)
    start, mean, step, done = time.process_time(), 0.0, 0, 0.0
    model.train()
    while done < 1:
        scale = min((20 * done if seconds else 20 * (step + 1) / steps) + 1e-3, 0.5 + 0.5 * math.cos(math.pi * done))
        for group in optimizer.param_groups:
            group["lr"] = rate * scale
        value = loss(step)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        spent = time.process_time() - start
        done = spent / seconds if seconds else step / steps
        mean += (value.item() - mean) / min(step, 50)
        if step % report == 0 or done >= 1:
            print(f"step {step}: loss {mean:.4f}, {spent:.0f} s of processor time", flush=True)
    model.eval()
    return time.process_time() - start
