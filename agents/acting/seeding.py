"""The random streams that everybody shares: environments may draw from any of them, and two runs of one seed agree."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch


def seed_all(seed: int) -> None:
    """Seed Python's, numpy's and torch's global streams, as Stable-Baselines3 does."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002, the one that environments draw from
    torch.manual_seed(seed)


def random_state() -> dict[str, Any]:
    """Where the global streams of Python and numpy are; torch's is torch's to tell."""
    version, words, gauss = random.getstate()
    numpy: Any = np.random.get_state(legacy=False)  # noqa: NPY002
    return {
        "python": {"version": version, "words": np.array(words, np.int64), "gauss": gauss},
        "numpy": {
            "key": numpy["state"]["key"].astype(np.int64),
            "position": numpy["state"]["pos"],
            "has_gauss": numpy["has_gauss"],
            "gauss": numpy["gauss"],
        },
    }


def set_random_state(state: dict[str, Any]) -> None:
    """The reverse of :func:`random_state`."""
    python, numpy = state["python"], state["numpy"]
    random.setstate((python["version"], tuple(python["words"].tolist()), python["gauss"]))
    key = numpy["key"].astype(np.uint32)
    np.random.set_state(("MT19937", key, numpy["position"], numpy["has_gauss"], numpy["gauss"]))  # noqa: NPY002
