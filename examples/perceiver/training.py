"""What the examples share: a training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn


def train(
    model: nn.Module, loss: Callable[[int], Tensor], steps: int, *, rate: float = 1e-3, report: int = 100
) -> float:
    """Adam with a short warm-up and a cosine to zero on `loss(step)`; prints now and then; returns the seconds it
    took."""
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.01)
    warm = steps / 20
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, 0.5 + 0.5 * math.cos(math.pi * step / steps))
    )
    start, mean = time.process_time(), 0.0
    model.train()
    for step in range(steps):
        value = loss(step)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        mean += (value.item() - mean) / min(step + 1, 50)
        if (step + 1) % report == 0 or step + 1 == steps:
            print(
                f"step {step + 1}: loss {mean:.4f}, {time.process_time() - start:.0f} s of processor time", flush=True
            )
    model.eval()
    return time.process_time() - start
