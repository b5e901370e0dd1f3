"""Where the network runs, and how its processor computes."""

from __future__ import annotations

import torch

from agents.cores import cores
from agents.errors import UserError


def choose_device(name: str) -> torch.device:
    """``auto`` is the GPU where there is one. Raises UserError for a device that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"device {name!r} cannot be used ({str(error).splitlines()[0]}); use auto, cpu or cuda"
        ) from None
    return device


def prepare_processor(threads: int) -> None:
    """Torch's threads, 0 for as many as there are cores; and numbers below 1.2e-38 are 0.

    A policy that is sure of itself has probabilities down there, and gradients that such numbers make; a processor
    computes with them ten to fifty times slower.
    """
    torch.set_num_threads(threads or cores())
    torch.set_flush_denormal(True)
