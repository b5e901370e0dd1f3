"""The command line: ``perceiver-rl train | evaluate | watch | doctor | serve | standin-install``.

Options are parsed and checked before anything heavy is imported. Exit codes: 0 done, 2 for what the user can mend,
130 for interrupted.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shlex
import shutil
import sys
import time
import warnings
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import tyro
from rich.console import Console
from tyro.conf import Positional, UseAppendAction, arg

from agents import options, serving
from agents.config import Config
from agents.errors import UserError
from envs import registry
from envs.spelling import did_you_mean
from envs.starcraft.opponents import parse_opponent

if TYPE_CHECKING:
    from agents.evaluate import Evaluation, Player

NAME = "perceiver-rl"
POLICIES = ("random", "scripted", "strong")
PROCESSES_PER_CORE = 2
"""Game processes a core: each waits for its player half of the time."""
T = TypeVar("T")


@dataclass(frozen=True)
class Train:
    """Train a policy, evaluate it, and leave a run folder behind.

    Options come from a YAML file (--config; without it and without --env: configs/move_to_beacon.yaml); those on the
    command line win.
    """

    experiment: Annotated[Config, arg(name="")]
    config: str | None = None
    """The experiment: a YAML file, or a name in configs/."""
    env_option: UseAppendAction[tuple[str, ...]] = ()
    """KEY=VALUE, a keyword argument of the environment, such as step_mul=8; it is added to env_options."""
    resume: Path | None = None
    """Go on with the run in this folder, with its own options. Only total-steps, device, threads, checkpoint-interval,
    keep-checkpoints and evaluation-episodes may be changed."""


@dataclass(frozen=True)
class Evaluate:
    """Play whole, fresh episodes and say how well it went."""

    run: Positional[Path | None] = None
    """The run folder of a trained policy."""
    policy: str | None = None
    """Instead of a run: random (a legal action at random), or a hand-written one: scripted, or strong."""
    env: tuple[str, ...] = ()
    """Environments to play; without it the run's own."""
    env_option: UseAppendAction[tuple[str, ...]] = ()
    """KEY=VALUE, a keyword argument of the environment; it is added to the run's own."""
    episodes: int = 100
    """Episodes in each environment."""
    seed: int = 0
    """Seed of the episodes; they are never those of training."""
    sampled: bool = False
    """Sample actions as in training, instead of taking the likeliest one."""
    opponent: UseAppendAction[tuple[str, ...]] = ()
    """The built-in AI to play against, race:difficulty:build, such as zerg:hard:rush; given several times, each has a
    row."""
    num_envs: int | None = None
    """At most so many games side by side; without it 64, or the number of cores where each is a process (sc2/...)."""
    device: str = "auto"
    """Where the network runs: auto, cpu, cuda, cuda:0, ..."""
    json: Path | None = None
    """Where the results go as JSON; without it evaluation.json in the run folder, if there is one."""


@dataclass(frozen=True)
class Watch:
    """Play episodes and make a video of them, with what was chosen and what it earned."""

    run: Positional[Path | None] = None
    """The run folder of a trained policy."""
    policy: str | None = None
    """Instead of a run: random, scripted or strong."""
    env: str | None = None
    """The environment; without it the run's own."""
    env_option: UseAppendAction[tuple[str, ...]] = ()
    """KEY=VALUE, a keyword argument of the environment; it is added to the run's own."""
    video: Path = Path("episode.mp4")
    """The video: .mp4 or .gif."""
    episodes: int = 1
    """Episodes, one after the other."""
    fps: float | None = None
    """Frames a second; without it the environment's own."""
    seed: int = 0
    """Seed of the episodes; they are never those of training."""
    sampled: bool = False
    """Sample actions as in training, instead of taking the likeliest one."""
    device: str = "auto"
    """Where the network runs: auto, cpu, cuda, cuda:0, ..."""


@dataclass(frozen=True)
class Doctor:
    """Say what this machine has, and what each missing thing would take."""


def main() -> None:
    """``perceiver-rl``."""
    sys.exit(run(sys.argv[1:]))


def train_main() -> None:
    """``python train_agent.py``: ``perceiver-rl train``."""
    sys.exit(run(["train", *sys.argv[1:]], prog=Path(sys.argv[0]).name))


def run(argv: Sequence[str], prog: str | None = None) -> int:
    """Do what the command line says and return the exit code; errors that a user can mend are shown without a trace."""
    commands: dict[str, Callable[[Sequence[str], str], None]] = {
        "train": train,
        "evaluate": evaluate,
        "watch": watch,
        "doctor": doctor,
        "serve": serving.serve,
        "standin-install": serving.standin_install,
    }
    summary = "\n".join(f"  {name:<17}{str(command.__doc__).splitlines()[0]}" for name, command in commands.items())
    usage = f"usage: {NAME} COMMAND [OPTIONS]\n\n{summary}\n\n{NAME} COMMAND --help explains its options."
    if not argv or argv[0] in ("-h", "--help"):
        print(usage)
        return 0 if argv else 2
    try:
        if argv[0] not in commands:
            raise UserError(f"no such command: {argv[0]}{did_you_mean(argv[0], commands)}\n{usage}")
        commands[argv[0]](argv[1:], prog or f"{NAME} {argv[0]}")
    except (UserError, registry.EnvError) as error:
        Console(stderr=True).print("[bold red]error:[/] ", end="")
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


# ---- train


def train(argv: Sequence[str], prog: str) -> None:
    """Train a policy and evaluate it."""
    config, resume = parse_train(argv, prog)
    registry.check(config.env)
    run_dir = config.run_dir or resume or Path("runs") / run_name(argv, config)
    if resume:
        continue_run(run_dir, config)
    else:
        begin_run(run_dir, config)


def parse_train(argv: Sequence[str], prog: str) -> tuple[Config, Path | None]:
    """The checked experiment, and the run folder to go on with if --resume was given."""
    early = _early(argv)
    if early.resume and early.config:
        raise UserError("--resume goes on with the run's own config.yaml: leave --config away")
    if early.resume:
        base = read_run_config(Path(early.resume))
    elif early.config:
        base = options.read_config(options.find_config(early.config))
    elif early.env:
        base = options.check({"env": early.env, **suited(early.env)}, options.COMMAND_LINE)
    else:
        base = options.read_config(options.find_config(options.DEFAULT))
    chosen = _parse(Train, Train(base), argv, prog)
    env_options = {**base.env_options, **options.parse_env_options(chosen.env_option)}
    data = {**chosen.experiment.model_dump(), "env_options": env_options}
    config = options.check(data, options.COMMAND_LINE)
    check_device(config.device)
    if chosen.resume:
        refused = [key for key in options.changes(base, config) if key not in options.RESUMABLE]
        if refused:
            names = ", ".join(map(options.option, refused))
            allowed = ", ".join(map(options.option, options.RESUMABLE))
            raise UserError(
                f"{names}: cannot change when a run goes on, only {allowed} can; start a new run with "
                f"--config {chosen.resume / 'config.yaml'}"
            )
    return config, chosen.resume


def suited(env_id: str) -> dict[str, Any]:
    """Defaults for an environment whose games are processes: a few games, and unrolls that make up for it."""
    if not registry.is_process(env_id):
        return {}
    games = PROCESSES_PER_CORE * cores()
    default = Config()
    return {"num_envs": games, "ppo": {"unroll": max(32, default.num_envs * default.ppo.unroll // games)}}


def cores() -> int:
    """Processor cores that this program may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _early(argv: Sequence[str]) -> Any:
    """The options that decide the defaults of all others."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    for name in ("--config", "--env", "--resume"):
        parser.add_argument(name, nargs="?")
    return parser.parse_known_args(argv)[0]


def _parse(kind: type[T], default: T, argv: Sequence[str], prog: str) -> T:
    rules = tyro.constructors.ConstructorRegistry()
    rules.struct_rule(options.command_line_rule)
    return tyro.cli(kind, default=default, args=argv, prog=prog, description=kind.__doc__, registry=rules)


def check_device(name: str) -> None:
    """Refuse what is no device's name; whether the device is there is known when torch is."""
    if not re.fullmatch(r"auto|cpu|mps|(cuda|xpu)(:\d+)?", name):
        near = did_you_mean(name, ("auto", "cpu", "cuda"))
        raise UserError(f"--device {name}: expected auto, cpu, cuda or one GPU such as cuda:0{near}")


def run_name(argv: Sequence[str], config: Config) -> str:
    """``<config or environment>-<time>-seed<k>``, a name that is not taken."""
    early = _early(argv)
    name = Path(early.config).stem if early.config else config.env if early.env else options.DEFAULT
    name = re.sub(r"[^\w.-]+", "-", name.removeprefix(registry.SIM)).strip("-")
    return f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-seed{config.seed}"


def read_run_config(run_dir: Path) -> Config:
    """The complete config of a run. Raises UserError for a folder that holds none."""
    path = run_dir / "config.yaml"
    if not path.is_file():
        near = did_you_mean(str(run_dir), [str(p.parent) for p in run_dir.parent.glob("*/config.yaml")])
        what = "has no config.yaml" if run_dir.is_dir() else "is no folder"
        raise UserError(f"{run_dir}: not a run folder: it {what}{near}")
    return options.read_config(path)


def begin_run(run_dir: Path, config: Config) -> None:
    """Train in a new folder."""
    if run_dir.exists() and (not run_dir.is_dir() or any(run_dir.iterdir())):
        raise UserError(f"--run-dir {run_dir}: is not empty; choose another folder, or go on with --resume {run_dir}")
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        options.write_config(config, run_dir / "config.yaml")
    except OSError as error:
        raise UserError(f"--run-dir {run_dir}: cannot be written ({error})") from error
    try:
        _train(config, run_dir, resume=False)
    except (UserError, registry.EnvError):
        if [path.name for path in run_dir.iterdir()] == ["config.yaml"]:  # training has not begun: leave no husk
            shutil.rmtree(run_dir)
        raise


def continue_run(run_dir: Path, config: Config) -> None:
    """Go on where the newest checkpoint is."""
    from agents import checkpoint

    done = checkpoint.manifest(checkpoint.latest(run_dir))["step"]
    if done >= config.total_steps:
        print(f"{run_dir} has already been trained for {done:,} of {config.total_steps:,} steps.")
        print(f"To go on: {_command('train', '--resume', run_dir, '--total-steps', 2 * done)}")
        return
    options.write_config(config, run_dir / "config.yaml")
    _train(config, run_dir, resume=True)


def _train(config: Config, run_dir: Path, *, resume: bool) -> None:
    console = Console()
    from agents.report import Report

    if config.workers:
        try:
            from agents.cluster import train as place_and_train
        except ImportError as error:
            raise UserError(
                f"workers: {config.workers} needs Ray ({error}): pip install 'perceiver-rl[cluster]'"
            ) from error
    else:
        from agents.local import train as place_and_train

    with warnings.catch_warnings(), Report(run_dir, console) as report:
        # In one line, above the live display, without the place in the code.
        warnings.showwarning = lambda message, *details, **more: report.note(f"note: {message}")
        with notes_to(report.note):
            place_and_train(config, run_dir, report, resume=resume)
    if report.stop_requested:
        print(f"stopped and saved; go on with: {_command('train', '--resume', run_dir)}")
        raise KeyboardInterrupt
    if config.evaluation_episodes:
        asked = Evaluate(
            run=run_dir,
            episodes=config.evaluation_episodes,
            sampled=config.evaluation_sampled,
            device=config.device,
        )
        _evaluate(asked, console)
    print(f"\nrun folder   {run_dir}")
    sampled = ("--sampled",) if config.evaluation_sampled else ()
    print(f"watch it     {_command('watch', run_dir, *sampled, '--video', run_dir / 'episode.mp4')}")
    print(f"its curves   {_program('tensorboard')} --logdir {shlex.quote(str(run_dir / 'tensorboard'))}")
    print(f"go on        {_command('train', '--resume', run_dir, '--total-steps', 2 * config.total_steps)}")


def _command(*words: Any) -> str:
    return f"{_program(NAME)} {shlex.join(map(str, words))}"


def _program(name: str) -> str:
    """``name`` as it can be called from here: it may be in an environment that is not activated."""
    program = Path(sys.executable).with_name(name)
    if shutil.which(name) == str(program) or not program.exists():
        return name
    if program.is_relative_to(Path.cwd()):
        program = program.relative_to(Path.cwd())
    return shlex.quote(str(program))


@contextlib.contextmanager
def notes_to(show: Callable[[str], None]) -> Iterator[None]:
    """Show what the environments log, such as why a game was started anew: a line each."""

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            show(f"note: {record.getMessage()}")

    lines, logger = Lines(logging.WARNING), logging.getLogger("envs")
    logger.addHandler(lines)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(lines)
        logger.propagate = True


# ---- evaluate, watch, doctor


def evaluate(argv: Sequence[str], prog: str) -> None:
    """Play whole episodes and say how well it went."""
    asked = _parse(Evaluate, Evaluate(), argv, prog)
    for name, value in (("--episodes", asked.episodes), ("--num-envs", asked.num_envs)):
        if value is not None and value < 1:
            raise UserError(f"{name} should be at least 1, got {value}")
    check_player(asked)
    for opponent in asked.opponent:
        try:
            parse_opponent(opponent)
        except ValueError as error:
            raise UserError(f"--opponent {opponent}: {error}") from error
    for env_id in asked.env:
        registry.check(env_id)
    if asked.json and not asked.json.parent.is_dir():
        raise UserError(f"--json {asked.json}: there is no folder {asked.json.parent}")
    _evaluate(asked, Console())


def check_player(asked: Evaluate | Watch) -> None:
    """Refuse a player that is missing, doubled or unknown, and an environment that is missing."""
    if (asked.run is None) == (asked.policy is None):
        raise UserError("name one player: a run folder, or --policy random, scripted or strong")
    if asked.policy not in (None, *POLICIES):
        near = did_you_mean(asked.policy, POLICIES)
        raise UserError(f"--policy {asked.policy}: expected random, scripted or strong{near}")
    if asked.policy and not asked.env:
        raise UserError(f"--policy {asked.policy} needs --env, the environment to play, such as --env sim/MoveToBeacon")
    if asked.seed < 0:
        raise UserError(f"--seed should be at least 0, got {asked.seed}")
    check_device(asked.device)


def _evaluate(asked: Evaluate, console: Console) -> None:
    from agents import evaluate as evaluation

    config = read_run_config(asked.run) if asked.run else None
    results = []
    for env_id in asked.env or (tuple(registry.parts(config.env)) if config else ()):
        for opponent in asked.opponent or (None,):
            results.append(_evaluate_one(asked, config, env_id, opponent, console))
    console.print(evaluation.table(results))
    target = asked.json or (asked.run / "evaluation.json" if asked.run else None)
    if target:
        try:
            evaluation.write_json(results, target)
        except OSError as error:
            raise UserError(f"{target}: cannot be written ({error})") from error
        console.print(f"results in {target}", highlight=False, soft_wrap=True)


def _evaluate_one(
    asked: Evaluate, config: Config | None, env_id: str, opponent: str | None, console: Console
) -> Evaluation:
    from agents.evaluate import FRESH_SEED, LARGEST_VECTOR, Evaluation, games_for, play

    most = asked.num_envs or (cores() if registry.is_process(env_id) else LARGEST_VECTOR)
    env_options = _env_options(asked, config, env_id)
    if opponent is not None:
        env_options["opponent"] = opponent
    env = registry.make(env_id, games_for(asked.episodes, most), **env_options)
    try:
        player, name = make_player(asked, config, env_id, env)
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        columns = (
            TextColumn("evaluating {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("episodes"),
        )
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task(env_id, total=asked.episodes)
            seed = FRESH_SEED + asked.seed
            with notes_to(lambda note: progress.console.print(note, style="dim", highlight=False, soft_wrap=True)):
                played = play(player, env, asked.episodes, seed, lambda: progress.advance(task))
    finally:
        env.close()
    against = env_options.get("opponent")
    return Evaluation(registry.label(env_id), name, asked.seed, played, str(parse_opponent(against)) if against else "")


def _env_options(asked: Evaluate | Watch, config: Config | None, env_id: str) -> dict[str, Any]:
    own = {}
    if config and env_id in (config.env, *registry.parts(config.env)):
        own = registry.part_options(config.env, config.env_options)
    given = {**own, **options.parse_env_options(asked.env_option)}
    return registry.player_options(env_id, asked.policy, given) if asked.policy else given


def make_player(asked: Evaluate | Watch, config: Config | None, env_id: str, env: Any) -> tuple[Player, str]:
    """Whoever plays, and what to call it."""
    from agents.evaluate import FRESH_SEED, RandomPlayer, ScriptedPlayer

    if config and asked.run:
        from agents.player import load_player

        seed = FRESH_SEED + asked.seed
        player = load_player(asked.run, config, env, device=asked.device, greedy=not asked.sampled, seed=seed)
        return player, f"{asked.run.name} ({'sampled' if asked.sampled else 'greedy'})"
    if asked.policy == "random":
        return RandomPlayer(env.single_action_space, asked.seed), "random"
    assert asked.policy is not None  # check_player has seen to it
    return ScriptedPlayer(registry.scripted(env_id, asked.policy, env)), asked.policy


def watch(argv: Sequence[str], prog: str) -> None:
    """Make a video of a player."""
    asked = _parse(Watch, Watch(), argv, prog)
    check_player(asked)
    if asked.env:
        registry.check(asked.env)
    for name, value in (("--episodes", asked.episodes), ("--fps", asked.fps)):
        if value is not None and value <= 0:
            raise UserError(f"{name} should be above 0, got {value}")
    if asked.video.suffix not in (".mp4", ".gif"):
        raise UserError(f"--video {asked.video}: expected a name that ends in .mp4 or .gif")
    config = read_run_config(asked.run) if asked.run else None
    env_id = asked.env or (config.env if config else "")
    from agents import watch as watching
    from agents.evaluate import FRESH_SEED

    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pygame draws without a screen, and without complaining of none
    env = registry.make(env_id, 1, render_mode="rgb_array", **_env_options(asked, config, env_id))
    try:
        player, name = make_player(asked, config, env_id, env)
        title = f"{registry.label(env_id)}, {name}"
        frames = watching.frames(player, env, asked.episodes, FRESH_SEED + asked.seed, title)
        count = watching.write_video(frames, asked.video, asked.fps or watching.frame_rate(env))
    finally:
        env.close()
    print(f"{count} frames in {asked.video}")


def doctor(argv: Sequence[str], prog: str) -> None:
    """Say what this machine has."""
    _parse(Doctor, Doctor(), argv, prog)
    from agents.doctor import examine, table

    Console().print(table(examine()))


if __name__ == "__main__":
    main()
