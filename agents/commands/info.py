"""``perceiver-rl info``: what the network of a run or an experiment reads, how large it is, and what a step costs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from tyro.conf import Positional, UseAppendAction

from agents.commands import options
from agents.commands.output import to_standard_output
from agents.commands.train import suited
from agents.config import Config
from agents.errors import UserError
from agents.runs import experiment
from envs import registry

if TYPE_CHECKING:
    from perceiver_policy.policy.policy import PerceiverPolicy


@dataclass(frozen=True)
class Info:
    """Say what a policy reads, how large it is, and what acting and learning cost."""

    run: Positional[Path | None] = None
    """A run folder."""
    config: str | None = None
    """Instead of a run: an experiment, a YAML file or a name in configs/."""
    env: str | None = None
    """Instead of a run: an environment, with the options that train gives it."""
    env_option: UseAppendAction[tuple[str, ...]] = ()
    """KEY=VALUE, a keyword argument of the environment."""
    json: Path | None = None
    """Where the same goes as JSON, - for standard output."""


def info(argv: Sequence[str], prog: str) -> None:
    """Say what a policy reads, how large it is, and what a step costs."""
    asked = options.parse(Info, Info(), argv, prog)
    config = _config(asked)
    if any(registry.is_process(name) for name in registry.parts(config.env)):
        raise UserError(f"{config.env}: each of its games is a process; ask about the stand-in's: sim/<map>")
    found = describe(config)
    if asked.json and to_standard_output(asked.json):
        print(json.dumps(found, indent=2))
        return
    if asked.json:
        try:
            asked.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise UserError(f"--json {asked.json}: cannot be written ({error})") from error
    _show(found, Console(file=sys.stdout))


def _config(asked: Info) -> Config:
    given = [name for name in ("run", "config", "env") if getattr(asked, name) is not None]
    if len(given) != 1:
        raise UserError("give one of: a run folder, --config NAME, --env ID")
    if asked.run is not None:
        base = experiment.read_run_config(asked.run)
    elif asked.config is not None:
        base = experiment.read_config(experiment.find_config(asked.config))
    else:
        base = experiment.check({"env": asked.env, **suited(str(asked.env))}, experiment.COMMAND_LINE)
    env_options = {**base.env_options, **options.parse_env_options(asked.env_option)}
    return experiment.check({**base.model_dump(), "env_options": env_options}, experiment.COMMAND_LINE)


def describe(config: Config) -> dict[str, Any]:
    """Tokens by what they are read from, parameters, and floating-point operations, of one step of one game."""
    from perceiver_policy.core.cost import cost
    from perceiver_policy.policy.policy import make_policy

    env = registry.make(config.env, 1, **config.env_arguments)
    try:
        observation = _first(env)
        policy = make_policy(env.single_observation_space, env.single_action_space, config.policy)
    finally:
        env.close()
    whole, first = cost(policy, observation), cost(policy, policy.trim(observation))
    learning = config.learning
    passes = learning.epochs * (whole.forward + whole.backward)
    passes += {"appo": whole.forward}.get(config.algorithm, 0)  # once more, for what it holds its ratio against
    if learning.reference is not None:
        passes += learning.epochs * whole.forward
    return {
        "env": config.env,
        "tokens": {
            name: {"first": few, "most": most} for (name, few), most in zip(*_tokens(policy, observation), strict=True)
        },
        "latents": [config.policy.latents, config.policy.latent_width],
        "parameters": {name: sum(p.numel() for p in part.parameters()) for name, part in _rooms(policy).items()},
        "flops": {
            "acting, at the first observation": first.forward,
            "acting, at most": whole.forward,
            f"learning by {config.algorithm}, at most": passes,
        },
        "where": _where(whole.forward, whole.parts),
    }


def _first(env: Any) -> Any:
    import optree

    from agents.acting.rollout import as_tensor

    return optree.tree_map(as_tensor, env.reset(seed=0)[0])


def _rooms(policy: PerceiverPolicy) -> dict[str, Any]:
    rooms = {"inputs": policy.inputs, "encoder": policy.encoder, "memory": policy.memory, "outputs": policy.outputs}
    return {name: room for name, room in rooms.items() if room is not None}


def _tokens(policy: PerceiverPolicy, observation: Any) -> tuple[list[tuple[str, int]], list[int]]:
    """Of each part of the observation: its path with its tokens now, and its tokens at most."""
    import torch

    def count(seen: Any) -> list[tuple[str, int]]:
        with torch.no_grad():
            found = policy.inputs(seen)
        counts = []
        for path, embedder in zip(policy.inputs.paths, policy.inputs.embedders, strict=True):
            elements = found.elements[path]
            merged = embedder.merge(elements) if hasattr(embedder, "merge") else elements  # type: ignore[operator]
            counts.append((path or "observation", merged.shape[1]))
        return counts

    return count(policy.trim(observation)), [most for _, most in count(observation)]


def _where(total: int, parts: dict[str, int]) -> dict[str, int]:
    """Operations of a forward pass by what they are for; together they are all of it."""

    def of(*names: str) -> int:
        return sum(parts.get(name, 0) for name in names)

    projected = [name for name in parts if name.startswith("encoder.cross.") and name.endswith(".key_value")]
    leaves = [name for name in parts if not any(other.startswith(f"{name}.") for other in parts)]
    where = {
        "inputs: embedding": of("inputs"),
        "encoder: keys and values of the tokens": of(*projected),
        "encoder: latents": of("encoder"),
        "decoder: keys and values": of("outputs.decoder.cross.attention.key_value", "outputs.unit_keys"),
        "decoder: queries": of("outputs.decoder"),
        "heads": sum(parts[name] for name in leaves if name.startswith(("outputs.heads.", "outputs.value_head."))),
        "memory": sum(parts[name] for name in leaves if name.startswith("memory.")),
    }
    where["choosing among units and places"] = total - sum(where.values())
    return {name: count for name, count in where.items() if count}


def _show(found: dict[str, Any], console: Console) -> None:
    tokens = _table("tokens of an observation", "part", "at the first observation", "at most")
    for name, counts in found["tokens"].items():
        tokens.add_row(name, f"{counts['first']:,}", f"{counts['most']:,}")
    size = _table("parameters", "part", "number")
    for name, number in found["parameters"].items():
        size.add_row(name, f"{number:,}")
    size.add_row("all", f"{sum(found['parameters'].values()):,}")
    price = _table("one step of one game", "what", "MFLOP")
    for name, number in found["flops"].items():
        price.add_row(name, f"{number / 1e6:,.3f}")
    where = _table("acting, at most: where it goes", "part", "MFLOP", "share")
    whole = sum(found["where"].values())
    for name, number in found["where"].items():
        where.add_row(name, f"{number / 1e6:,.3f}", f"{number / whole:.0%}")
    count, width = found["latents"]
    console.print(f"{found['env']}: {count} latents of {width} channels")
    for table in (tokens, size, price, where):
        console.print(table)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "right")
    return table
