"""``perceiver-rl train``: what is asked for becomes a checked experiment, a run folder, and training in it."""

from __future__ import annotations

import contextlib
import importlib
import re
import shlex
import shutil
import signal
import sys
import time
import warnings
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.console import Console
from tyro.conf import UseAppendAction, arg

from agents.commands import options
from agents.commands.play import Evaluate, play_and_tell, watch, what_draws
from agents.config import Config
from agents.cores import cores
from agents.errors import Stopped, UserError
from agents.runs import experiment, folder
from agents.runs.callbacks import Callback
from envs import registry
from envs.errors import EnvError, EnvFailure

if TYPE_CHECKING:
    from agents.runs.report import Report

NAME = "perceiver-rl"
WHENCE = """Options come from an experiment, a YAML file (--config); those on the command line win.
The defaults shown are those {whose}.
Give --config or --env with --help to see theirs."""
GYMNASIUM: dict[str, Any] = {
    "num_envs": 16,
    "policy": {"noise_correlation": 0.9},
    "ppo": {
        "unroll": 64,
        "minibatch": 256,
        "epochs": 8,
        "learning_rate": 1e-3,
        "gae_lambda": 0.98,
        "entropy_coefficient": 0.01,
    },
}
PROCESSES_PER_CORE = 2
"""Game processes a core: each waits for its player half of the time."""


_RESUME = (
    "Go on with the run in this folder, with its own options. Only "
    f"{', '.join(name.replace('_', '-') for name in experiment.RESUMABLE)} may be changed."
)


@dataclass(frozen=True)
class Train:
    """Train a policy, evaluate it, and leave a run folder behind."""

    experiment: Annotated[Config, arg(name="")]
    config: str | None = None
    """The experiment: a YAML file, or a name in configs/."""
    env_option: UseAppendAction[tuple[str, ...]] = ()
    """KEY=VALUE, a keyword argument of the environment, such as step_mul=8; it is added to env_options."""
    env_wrapper: UseAppendAction[tuple[str, ...]] = ()
    """NAME or {NAME: {ARGUMENT: VALUE}}, a wrapper of gymnasium.wrappers or module:Class; it is added to
    env_wrappers."""
    read: UseAppendAction[tuple[str, ...]] = ()
    """PATH=HOW, how a part of the observation is read: numbers, rows, picture, {patch: 8}, {categories: 11} or ignore;
    it is added to policy.read."""
    opponent: str | None = None
    """The built-in AI to play against, race:difficulty:build, such as zerg:hard:rush; the same as the environment's
    option opponent."""
    resume: Annotated[Path | None, arg(help=_RESUME)] = None


def train(argv: Sequence[str], prog: str) -> None:
    """Train a policy and evaluate it."""
    config, resume = parse_train(argv, prog)
    registry.check(config.env, config.training_arguments)
    if resume:
        continue_run(config.run_dir or resume, config)
    elif config.run_dir:
        begin_run(config.run_dir, config)
    else:
        begin_run(new_folder(argv, config), config)


def parse_train(argv: Sequence[str], prog: str) -> tuple[Config, Path | None]:
    """The checked experiment, and the run folder to go on with if --resume was given."""
    early = _early(argv)
    if early.resume and early.config:
        raise UserError("--resume goes on with the run's own config.yaml: leave --config away")
    if early.resume:
        base, whose = experiment.read_run_config(Path(early.resume)), f"of the run {early.resume}"
    elif early.config:
        base, whose = experiment.read_config(experiment.find_config(early.config)), f"of --config {early.config}"
    elif early.env:
        base = experiment.check({"env": early.env, **suited(early.env)}, experiment.COMMAND_LINE)
        whose = f"of a run of --env {early.env} without --config"
    else:
        base = experiment.read_config(experiment.find_config(experiment.DEFAULT))
        whose = f"of configs/{experiment.DEFAULT}.yaml, which is trained without --config and --env"
    described = f"{Train.__doc__}\n\n{WHENCE.format(whose=whose)}"
    chosen = options.parse(Train, Train(base), argv, prog, described)
    env_options = {**base.env_options, **options.parse_env_options(chosen.env_option)}
    if chosen.opponent:
        options.check_opponent(chosen.opponent)
        env_options["opponent"] = chosen.opponent
    data = {**chosen.experiment.model_dump(), "env_options": env_options}
    data["env_wrappers"] = [*base.env_wrappers, *options.parse_wrappers(chosen.env_wrapper)]
    data["algorithm_options"] = base.algorithm_options
    data["policy"]["read"] = {**base.policy.model_dump()["read"], **options.parse_read(chosen.read)}
    data["policy"]["network_options"] = base.policy.network_options
    config = experiment.check(data, experiment.COMMAND_LINE)
    options.check_device(config.device)
    if chosen.resume:
        refuse_changes(base, config, chosen.resume)
    return config, chosen.resume


def refuse_changes(base: Config, config: Config, run_dir: Path) -> None:
    """Raise UserError for what cannot change when the run in ``run_dir`` goes on."""
    refused = [key for key in experiment.changes(base, config) if key not in experiment.RESUMABLE]
    if refused:
        names = ", ".join(map(experiment.option, refused))
        allowed = ", ".join(map(experiment.option, experiment.RESUMABLE))
        raise UserError(
            f"{names}: cannot change when a run goes on, only {allowed} can; start a new run with "
            f"--config {run_dir / 'config.yaml'}"
        )


def suited(env_id: str) -> dict[str, Any]:
    """Defaults for environments that are not the stand-in game's.

    Gymnasium's: few games and many gradient steps a step, as tuned peers have it. Where games are processes: a few of
    them, and unrolls that make up for it.
    """
    if not registry.is_process(env_id):
        return {} if env_id.startswith(registry.SIM) else GYMNASIUM
    games = PROCESSES_PER_CORE * cores()
    default = Config()
    return {"num_envs": games, "ppo": {"unroll": max(32, default.num_envs * default.ppo.unroll // games)}}


def _early(argv: Sequence[str]) -> Any:
    """The options that decide the defaults of all others."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    for name in ("--config", "--env", "--resume"):
        parser.add_argument(name, nargs="?")
    return parser.parse_known_args(argv)[0]


def run_name(argv: Sequence[str], config: Config) -> str:
    """``<config or environment>-<time>-seed<k>``."""
    early = _early(argv)
    name = Path(early.config).stem if early.config else config.env if early.env else experiment.DEFAULT
    name = re.sub(r"[^\w.-]+", "-", name.removeprefix(registry.SIM)).strip("-")
    return f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-seed{config.seed}"


def new_folder(argv: Sequence[str], config: Config) -> Path:
    """A new folder in runs/, called :func:`run_name`. Raises UserError where there can be none."""
    try:
        return folder.new(Path("runs"), run_name(argv, config))
    except OSError as error:
        raise UserError(f"runs: cannot be written ({error}); choose a folder with --run-dir") from error


def begin_run(
    run_dir: Path, config: Config, callbacks: Sequence[Callback] = (), console: Console | None = None
) -> None:
    """Train in a folder that is new, empty, or holds what a run left that had saved nothing.

    Who calls this from Python gives the ``console`` that shows how it goes; without one somebody has typed it, and is
    told what can be typed next.
    """
    experiment.load_extensions(config)
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--run-dir {run_dir}: cannot be written ({error})") from error
    if not folder.is_unused(run_dir):
        raise UserError(f"--run-dir {run_dir}: is not empty; choose another folder, or go on with --resume {run_dir}")
    with folder.occupied(run_dir):
        _write_down(config, run_dir, new=True)
        try:
            _train(config, run_dir, callbacks, console, resume=False)
        except (UserError, EnvError, EnvFailure):
            _leave_no_husk(run_dir)
            raise


def continue_run(
    run_dir: Path, config: Config, callbacks: Sequence[Callback] = (), console: Console | None = None
) -> None:
    """Go on where the newest checkpoint is, or begin anew where there is none yet; the rest as :func:`begin_run`."""
    from agents.runs import checkpoint

    experiment.load_extensions(config)
    with folder.occupied(run_dir):
        resume = not folder.is_unused(run_dir)
        if resume:
            done = checkpoint.newest(run_dir, lambda path: checkpoint.manifest(path)["step"])
            if done >= config.total_steps:
                print(f"{run_dir} has already been trained for {done:,} of {config.total_steps:,} steps.")
                print(f"To go on: {command('train', '--resume', run_dir, '--total-steps', 2 * done)}")
                return
        else:
            print(f"{run_dir} ended before its first checkpoint: it begins anew")
        _write_down(config, run_dir, new=not resume)
        _train(config, run_dir, callbacks, console, resume=resume)


def _write_down(config: Config, run_dir: Path, *, new: bool) -> None:
    try:
        if new:
            folder.clear(run_dir, but=(folder.LOCK, "config.yaml"))
        experiment.write_config(config, run_dir / "config.yaml")
        folder.write_state(run_dir, folder.RUNNING)
    except OSError as error:
        raise UserError(f"{run_dir}: cannot be written ({error})") from error


def _leave_no_husk(run_dir: Path) -> None:
    """Take away a run that has recorded nothing, so that its folder's name is free."""
    metrics = run_dir / "metrics.jsonl"
    if folder.is_unused(run_dir) and not (metrics.exists() and metrics.stat().st_size):
        shutil.rmtree(run_dir, ignore_errors=True)


def _train(
    config: Config, run_dir: Path, callbacks: Sequence[Callback], console: Console | None, *, resume: bool
) -> None:
    how = "failed"
    try:
        _train_and_evaluate(config, run_dir, callbacks, console, resume=resume)
        how = "finished"
    except Stopped as stop:
        how = f"stopped by {'Ctrl-C' if stop.by == signal.SIGINT else stop.by.name}"
        raise
    except KeyboardInterrupt:
        how = "stopped at once by Ctrl-C"
        raise
    except (UserError, EnvError, EnvFailure) as error:
        how = f"failed: {str(error).splitlines()[0]}"
        raise
    finally:
        try:
            if run_dir.is_dir():
                folder.write_state(run_dir, how)
        except OSError as error:
            print(f"note: {run_dir / folder.STATE}: cannot be written ({error})")


def _train_and_evaluate(
    config: Config, shown: Path, callbacks: Sequence[Callback], given: Console | None, *, resume: bool
) -> None:
    run_dir, console = shown.absolute(), given or Console()
    from agents.runs.report import Report, notes_to

    if config.workers:
        refuse_names_of_ours()
        try:
            from agents.placement.cluster import train as place_and_train
        except ImportError as error:
            raise UserError(
                f"workers: {config.workers} needs Ray ({error}): pip install 'perceiver-rl[cluster]'"
            ) from error
    else:
        from agents.placement.local import train as place_and_train

    report = Report(run_dir, console, shown, config, callbacks)
    with report:
        # An environment may leave the folder that paths start at.
        with contextlib.chdir("."), warnings.catch_warnings(), notes_to(report.note):
            # Warnings: in one line, above the live display, without the place in the code.
            warnings.showwarning = lambda message, *details, **more: report.note(f"note: {message}")
            place_and_train(config, run_dir, report, resume=resume)
        report.rest()
        if given is None and not report.stopped_by:
            _tell_what_next(config, shown)
        if config.evaluation_episodes and not report.stopped_by:
            _evaluate(config, shown, console, report)
    if report.stopped_by:
        what = "saved" if folder.checkpoints(run_dir) else "nothing was learned yet"
        report.note(f"stopped, {what}; go on with: {command('train', '--resume', shown)}")
        raise Stopped(report.stopped_by)


def _tell_what_next(config: Config, shown: Path) -> None:
    print(f"\nrun folder   {shown}")
    print(f"watch it     {_how_to_watch(config, shown)}")
    if (shown / folder.BEST).is_dir():
        print(f"the best     {shown / folder.BEST}, by the evaluations on the way; it is a run folder, too")
    print(f"its curves   {program('tensorboard')} --logdir {shlex.quote(str(shown / 'tensorboard'))}")
    print(f"go on        {command('train', '--resume', shown, '--total-steps', 2 * config.total_steps)}\n")


def _evaluate(config: Config, run_dir: Path, console: Console, report: Report) -> None:
    if config.opponents and not config.env.startswith(registry.SIM):
        report.note("not evaluated: there is nobody to play against but itself")
        return
    how = "actions drawn" if config.evaluation_sampled else "the likeliest actions"
    console.print(
        f"evaluating the policy as it is now, in fresh episodes, {how}; the return in training is the mean of the "
        "latest 100 episodes, actions drawn, of a policy that was still learning",
        highlight=False,
        soft_wrap=True,
    )
    asked = Evaluate(
        run=run_dir,
        episodes=config.evaluation_episodes,
        sampled=config.evaluation_sampled,
        max_steps=config.evaluation_max_steps,
        device=config.device,
        trust=True,  # it has just been trained here
    )
    step = folder.step_of(folder.checkpoints(run_dir)[0])
    for result in play_and_tell(asked, console):
        name = "evaluation" if result.label == registry.label(config.env) else f"evaluation/{result.label}"
        name += f"/{result.opponent}" if config.opponents else ""
        known = result.as_dict()
        found = {"return": known["return"]["mean"], "sd": known["return"]["sd"], "length": known["length"]["mean"]}
        report.evaluation(step, {f"{name}/{key}": value for key, value in found.items() if value is not None})
    if config.evaluation_video:
        _film(config, run_dir, report, step)


def _film(config: Config, run_dir: Path, report: Report, step: int) -> None:
    words = _watching(config)
    if words is None:
        report.note(f"evaluation_video: {config.env} draws no pictures that a video could be made of")
        return
    path = run_dir / "evaluation.mp4"
    watch([str(run_dir), *words, "--video", str(path)], "")
    report.video(step, "evaluation", path)


def refuse_names_of_ours() -> None:
    """Refuse workers where we were called beside a package of one of our names: Ray's processes import that first."""
    for name in ("agents", "envs", "perceiver_policy"):
        folder = Path.cwd() / name
        ours = [Path(path).resolve() for path in importlib.import_module(name).__path__]
        for other in (folder.with_suffix(".py"), folder):
            if (other.is_file() or any(other.glob("*.py"))) and folder.resolve() not in [
                path.resolve() for path in ours
            ]:
                raise UserError(
                    f"--workers: {other} has the name of a package of this program, {name!r}, and Ray's processes "
                    f"would import it instead; rename it, to 'my_{name}' for example, or call this from another folder"
                )


def _how_to_watch(config: Config, run_dir: Path) -> str:
    """The command that makes a video of a run, or why there can be none."""
    words = _watching(config)
    if words is None:
        return f"{config.env} draws no pictures that a video could be made of"
    return command("watch", run_dir, *words, "--video", run_dir / "episode.mp4")


def _watching(config: Config) -> list[str] | None:
    """The options of `watch` for a run of this experiment; None where its environment draws nothing."""
    drawn = what_draws(config.env, config.env_arguments)
    if drawn is None:
        return None
    words = ["--sampled"] if config.evaluation_sampled else []
    words += ["--env", drawn] if drawn != config.env else []
    return words + (["--trust"] if registry.code_named(config.env, config.env_arguments) else [])


def command(*words: Any) -> str:
    """A command line of this program, to be typed here."""
    return f"{program(NAME)} {shlex.join(map(str, words))}"


def program(name: str) -> str:
    """``name`` as it can be called from here: it may be in an environment that is not activated."""
    program = Path(sys.executable).with_name(name)
    if shutil.which(name) == str(program) or not program.exists():
        return name
    if program.is_relative_to(Path.cwd()):
        program = program.relative_to(Path.cwd())
    return shlex.quote(str(program))
