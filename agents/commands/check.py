"""``perceiver-rl check``: what is wrong with an environment, how it is read, and how fast it may be learned from."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional, UseAppendAction

from agents.commands import options
from agents.config import LARGEST_SEED, Config
from agents.errors import UserError
from agents.runs import experiment
from envs import registry
from envs.errors import EnvError

if TYPE_CHECKING:
    from envs.single.diagnosis import Diagnosis

GAMES, UNROLL = 8, 32


@dataclass(frozen=True)
class Check:
    """Play an environment at random and say what is wrong with it, how it is read, and how fast it is learned from."""

    env: Positional[str] = ""
    """The environment."""
    env_option: UseAppendAction[tuple[str, ...]] = ()
    """KEY=VALUE, a keyword argument of the environment."""
    env_wrapper: UseAppendAction[tuple[str, ...]] = ()
    """NAME or {NAME: {ARGUMENT: VALUE}}, a wrapper of gymnasium.wrappers or module:Class."""
    env_time_limit: int | None = None
    """Steps after which an episode is truncated."""
    read: UseAppendAction[tuple[str, ...]] = ()
    """PATH=HOW, how a part of the observation is read: numbers, rows, picture, {patch: 8}, {categories: 11} or
    ignore."""
    steps: int = 2000
    """Steps that are played."""
    seed: int = 0
    """Seed of what is played."""


def check(argv: Sequence[str], prog: str) -> None:
    """Say what is wrong with an environment, and how it is read."""
    asked = options.parse(Check, Check(), argv, prog)
    if not asked.env:
        raise UserError(f"name an environment: {prog} CartPole-v1")
    options.check_number("--steps", asked.steps, 1, 10**7)
    options.check_number("--seed", asked.seed, 0, LARGEST_SEED)
    given = {
        "env": asked.env,
        "env_options": options.parse_env_options(asked.env_option),
        "env_wrappers": options.parse_wrappers(asked.env_wrapper),
        "env_time_limit": asked.env_time_limit,
        "num_envs": GAMES,
        "policy": {"read": options.parse_read(asked.read)},
        "ppo": {"unroll": UNROLL},
    }
    config = experiment.check(given, experiment.COMMAND_LINE)
    registry.check(config.env, config.env_arguments)
    found = _played(config, asked)
    if found is None:
        print("its games come side by side: only how they are read and how fast they are is told")
    else:
        print(f"played {found.steps:,} steps at random, {found.episodes:,} episodes, "
              f"{found.steps_a_second:,.0f} steps a second alone")  # fmt: skip
    for text in found.remarks if found else ():
        print(f"remark: {text}")
    wrong = found.wrong if found else []
    for text in wrong:
        print(f"wrong: {text}")
    _describe(config)
    if wrong:
        raise UserError(f"{asked.env}: {len(wrong)} thing{'s' if len(wrong) > 1 else ''} to mend, see above")
    if found:
        print("nothing is wrong with it")


def _played(config: Config, asked: Check) -> Diagnosis | None:
    """What playing one game showed; None for an environment that makes its games side by side."""
    from envs.single.diagnosis import examine
    from envs.single.entry import SC2, SIM, comes_alone, single

    if config.env.startswith((SIM, SC2)) or not comes_alone(config.env):
        return None
    maker = single(config.env, config.env_options, config.env_wrappers, config.env_time_limit)
    try:
        return examine(maker, config.env, asked.seed, asked.steps)
    except EnvError:
        raise
    except ValueError as error:
        raise EnvError(f"{config.env}: {error}") from error


def _describe(config: Config) -> None:
    """How it is read, and how fast it is learned from: one update."""

    from agents.device import choose_device, prepare_processor
    from agents.placement.local import Training

    prepare_processor(1)
    env: Any = registry.make(config.env, config.num_envs, **config.env_arguments)
    try:
        training = Training(config, env, choose_device("cpu"))
        for line in training.policy.inputs.described():
            print(line)
        for leaf in training.policy.outputs.leaves:
            print(f"action {leaf.path!r}: {leaf.space}" if leaf.path else f"action: {leaf.space}")
        parameters = sum(p.numel() for p in training.policy.parameters())
        most = training.policy.inputs.most
        print(f"{most} token{'s' if most != 1 else ''}, {parameters:,} parameters")
        began = time.perf_counter()
        metrics = training.step()
        seconds = time.perf_counter() - began
        shares = metrics["time/collect_seconds"] / seconds
        print(
            f"about {env.num_envs * UNROLL / seconds:,.0f} steps a second with {env.num_envs} games, one thread and "
            f"the default network; {shares:.0%} of it collecting"
        )
    finally:
        env.close()
