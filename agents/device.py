"""Where the network runs."""

from __future__ import annotations

import torch

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
