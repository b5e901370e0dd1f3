"""What every process of a run with workers does alike."""

from __future__ import annotations

import warnings

import numpy as np

from agents.config import Config
from agents.device import prepare_processor
from agents.runs import experiment


def prepare_process(threads: int, config: Config) -> None:
    """Settings of every process that Ray starts for a run, and the code of a person's own that it needs."""
    experiment.load_extensions(config)
    prepare_processor(threads)
    quiet_torch()


def quiet_torch() -> None:
    """What comes from Ray's store is read only, and is only read."""
    warnings.filterwarnings("ignore", message="The given NumPy array is not writable")


def seed_of(config: Config, worker: int, life: int, version: int) -> int:
    """Seed of a worker's environments and actions.

    The first worker's is the run's own, so that one worker does what one process does; a worker that starts anew, or in
    a run that goes on, draws what it has not drawn before.
    """
    if not (worker or life or version):
        return config.seed
    return int(np.random.SeedSequence((config.seed, worker, life, version)).generate_state(1)[0])
