"""What the original code computes, from the folder that PERCEIVER_RL_TEST_DATA names."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor


def folder() -> Path:
    """The folder `originals`; skips the test where there is none."""
    place = os.environ.get("PERCEIVER_RL_TEST_DATA")
    if not place:
        pytest.skip("PERCEIVER_RL_TEST_DATA is not set: no recordings of the original code here")
    found = Path(place) / "originals"
    if not found.is_dir():
        pytest.skip(f"{found} does not exist: no recordings of the original code here")
    return found


def recording(name: str) -> tuple[dict[str, Any], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Its config, its parameter tree, and its other arrays."""
    with np.load(folder() / f"{name}.npz", allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    config = json.loads(str(arrays.pop("config")))
    tree = {key.removeprefix("params/"): value for key, value in arrays.items() if key.startswith("params/")}
    return config, tree, {key: value for key, value in arrays.items() if not key.startswith("params/")}


def tensor(value: np.ndarray, dtype: torch.dtype) -> Tensor:
    """The array as a tensor; numbers with a point are of `dtype`, whole numbers stay as they are."""
    found = torch.from_numpy(np.array(value))
    return found.to(dtype) if found.is_floating_point() else found


def agree(ours: Tensor, theirs: np.ndarray, dtype: torch.dtype, what: str = "", within: float = 0.0) -> None:
    """Relative to the root mean square of the original: 1e-12 in float64, 1e-5 in float32; or `within`."""
    wanted = torch.from_numpy(np.array(theirs)).double()
    assert ours.shape == wanted.shape, what
    scale = wanted.square().mean().sqrt().item()
    worst = (ours.double() - wanted).abs().max().item() / scale
    limit = within or {torch.float64: 1e-12, torch.float32: 1e-5}[dtype]
    assert worst <= limit, f"{what}: {worst:.1e} of the root mean square"
