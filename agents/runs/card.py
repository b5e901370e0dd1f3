"""A run's card: what it is, how well it plays and how to use it, as the README.md of a model hub."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from agents.config import Config
from agents.runs import checkpoint, experiment


def card(run_dir: Path, name: str) -> str:
    """The card of the newest checkpoint of a run that is called ``name`` on the hub, as Markdown.

    Its figures are those of the run's evaluations; without one it says so. Raises UserError where there is no run.
    """
    config = experiment.read_run_config(run_dir)
    manifest = checkpoint.manifest(checkpoint.latest(run_dir))
    played, versions = evaluations(run_dir), manifest["versions"]
    cloned = manifest["step"] == 0  # training saves nothing before its first step
    steps = f"trained by {config.algorithm.upper()} for {manifest['step']:,} steps"
    here = name.rpartition("/")[2]
    pull = f"perceiver-rl pull {name} {here}\n" if "/" in name else ""  # else it is on no hub
    drawn = " --sampled" if played and "sampled" in played[0]["player"] else ""
    lines = [
        f"---\n{yaml.safe_dump(_front_matter(config, name, played, cloned=cloned), sort_keys=False)}---",
        f"# {here}",
        f"A Perceiver policy for `{config.env}`, {'cloned from demonstrations' if cloned else steps} "
        f"(seed {config.seed}) by perceiver-rl {versions['perceiver-rl']}, torch {versions['torch']}.",
        *([_stand_in()] if "sim/" in config.env else []),
        "## How it plays",
        _table(played) if played else "It has not been evaluated yet.",
        "## Using it",
        f"```\n{pull}perceiver-rl evaluate {here}{drawn}\nperceiver-rl export {here} policy.onnx\n```",
        f"`config.yaml` holds every option{'' if cloned else ': with `--config config.yaml` it is trained again'}. "
        "The weights are safetensors, the spaces plain data in `manifest.json`; no file here holds code.",
        "## Spaces",
        "\n".join(f"- {what.replace('_', ' ')}: `{space}`" for what, space in manifest["spaces"].items()),
    ]
    return "\n\n".join(lines) + "\n"


def evaluations(run_dir: Path) -> list[dict[str, Any]]:
    """What `perceiver-rl evaluate` has left in a run's folder, that on its own environment first."""
    found: list[dict[str, Any]] = []
    for path in sorted(run_dir.glob("evaluation*.json"), key=lambda path: (len(path.name), path.name)):
        try:
            read = json.loads(path.read_text(encoding="utf-8"))
            found += [one for one in read if one["return"]["mean"] is not None]
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a file of another program, or half written
    return found


def _front_matter(config: Config, name: str, played: list[dict[str, Any]], *, cloned: bool) -> dict[str, Any]:
    task = {"type": "reinforcement-learning", "name": "reinforcement-learning"}
    results = [
        {
            "task": dict(task),  # YAML would name a dict that comes again
            "dataset": {"name": one["environment"], "type": one["environment"]},
            "metrics": [{"type": "mean_reward", "value": _spread(one), "name": "mean return", "verified": False}],
        }
        for one in played
    ]
    index = {"model-index": [{"name": name.rpartition("/")[2], "results": results}]} if results else {}
    how = "behavior-cloning" if cloned else config.algorithm
    tags = ["reinforcement-learning", "deep-reinforcement-learning", "perceiver", how, config.env]
    return {"library_name": "perceiver-rl", "tags": tags, "pipeline_tag": "reinforcement-learning", **index}


def _table(played: list[dict[str, Any]]) -> str:
    won = all("win_rate" in one for one in played)
    what = "won" if won else "mean return"
    rows = [f"| environment | actions | episodes | {what} | 95 % interval |", "|---|---|---|---|---|"]
    for one in played:
        score = {**one["win_rate"], "mean": one["win_rate"]["rate"]} if won else one["return"]
        known = "-" if score["low"] is None else f"{score['low']:.4g} to {score['high']:.4g}"
        how = "drawn" if "sampled" in one["player"] else "likeliest"
        against = f" against {one['opponent']}" if one.get("opponent") else ""
        rows.append(f"| {one['environment']}{against} | {how} | {one['episodes']} | {score['mean']:.4g} | {known} |")
    return "\n".join(rows)


def _spread(one: Mapping[str, Any]) -> str:
    score = one["return"]
    return f"{score['mean']:.2f}" + (f" +/- {score['sd']:.2f}" if score["sd"] is not None else "")


def _stand_in() -> str:
    return (
        "`sim/` environments are the stand-in game that comes with perceiver-rl, not StarCraft II: figures on it are "
        "not comparable with published ones."
    )
