"""``perceiver-rl export``, ``push`` and ``pull``: a trained policy outside of this program."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from tyro.conf import FlagCreatePairsOff, Positional

from agents.commands import options
from agents.config import Config
from agents.errors import UserError
from agents.runs import experiment
from envs import registry

if TYPE_CHECKING:
    from perceiver_policy.policy.policy import PerceiverPolicy


@dataclass(frozen=True)
class Export:
    """Write a trained policy as a program that other software runs: ONNX, or a .pt2 of torch.export.

    It takes observations of any number of games and returns actions as the environment takes them; with a memory it
    takes and returns that, too. Each part has a name (docs/export.md). No environment is made.
    """

    run: Positional[Path]
    """The run folder of a trained policy."""
    file: Positional[Path]
    """The file to write: .onnx or .pt2."""
    sampled: bool = False
    """Draw actions as in training, instead of taking the likeliest one."""
    trust: Annotated[bool, FlagCreatePairsOff] = False
    """Run the code that the run's config.yaml names, where its checkpoint does not hold its spaces as data."""


def export(argv: Sequence[str], prog: str) -> None:
    """Write a trained policy as ONNX or .pt2, which other software runs."""
    asked = options.parse(Export, Export(tyro.MISSING, tyro.MISSING), argv, prog)
    config = experiment.read_run_config(asked.run)
    if not asked.file.absolute().parent.is_dir():
        raise UserError(f"{asked.file}: there is no folder {asked.file.parent}")
    from agents.acting import export as exporting

    exporting.check_file(asked.file)
    policy, step = load(asked.run, config, trust=asked.trust)
    about = {"environment": config.env, "step": step}
    inputs, outputs = exporting.export(policy, asked.file, greedy=not asked.sampled, about=about)
    print(f"{asked.file} ({asked.file.stat().st_size / 2**20:.1f} MB): the policy of step {step:,}")
    for title, names in (("takes", inputs), ("returns", outputs)):
        print(f"{title:<8} {', '.join(names)}")


def load(run_dir: Path, config: Config, *, trust: bool) -> tuple[PerceiverPolicy, int]:
    """The newest policy of a run and its step; an environment is made only where the checkpoint lacks its spaces."""
    from agents.runs import checkpoint
    from perceiver_policy.policy.policy import make_policy

    def made(path: Path) -> tuple[PerceiverPolicy, int]:
        spaces = checkpoint.spaces_of(path) or _spaces_of_environment(run_dir, config, trust=trust)
        policy = make_policy(*spaces, config.policy)
        policy.load_state_dict(checkpoint.load_policy(path))
        return policy, checkpoint.manifest(path)["step"]

    return checkpoint.newest(run_dir, made)


def _spaces_of_environment(run_dir: Path, config: Config, *, trust: bool) -> tuple[Any, Any]:
    code = registry.code_named(config.env, config.env_arguments)
    if code and not trust:
        raise UserError(f"{run_dir}/config.yaml names code to run, {code}: if you trust it, say so with --trust")
    with closing(registry.make(config.env, 1, **config.env_arguments)) as env:
        return env.single_observation_space, env.single_action_space


@dataclass(frozen=True)
class Push:
    """Upload a run's newest policy to a Hugging Face hub, with its options, figures and a card.

    Nothing that is uploaded is a pickle, and nothing else of the run is. HF_ENDPOINT names another hub.
    """

    run: Positional[Path]
    """The run folder of a trained policy."""
    name: Positional[str]
    """USER/NAME, the repository; it is made if there is none."""
    private: bool = False
    """Whether a repository that is made is for you alone."""


def push(argv: Sequence[str], prog: str) -> None:
    """Upload a run's newest policy, with its card, to a Hugging Face hub."""
    asked = options.parse(Push, Push(tyro.MISSING, tyro.MISSING), argv, prog)
    from agents.runs import hub

    print(hub.push(asked.run, asked.name, private=asked.private))


@dataclass(frozen=True)
class Pull:
    """Download a run from a Hugging Face hub: a folder that is evaluated, watched, exported and trained from (--init).

    Its config.yaml is read, no code comes along.
    """

    name: Positional[str]
    """USER/NAME, the repository."""
    folder: Positional[Path | None] = None
    """Where to; without it runs/NAME."""
    revision: str | None = None
    """A branch, a tag or a commit of the repository; without it the newest."""


def pull(argv: Sequence[str], prog: str) -> None:
    """Download a run from a Hugging Face hub."""
    asked = options.parse(Pull, Pull(tyro.MISSING), argv, prog)
    from agents.runs import hub

    run_dir = asked.folder or Path("runs") / asked.name.rpartition("/")[2]
    hub.pull(asked.name, run_dir, revision=asked.revision)
    print(f"run folder   {run_dir}")
