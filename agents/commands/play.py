"""``perceiver-rl evaluate`` and ``perceiver-rl watch``: whole episodes by a trained policy, or by another player."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.console import Console
from tyro.conf import FlagCreatePairsOff, Positional, UseAppendAction

from agents.commands import options
from agents.commands.output import to_standard_output
from agents.config import LARGEST_SEED, MOST_ENVS, Config
from agents.cores import cores
from agents.errors import UserError
from agents.runs import experiment
from agents.runs.folder import write_whole
from envs import registry
from envs.errors import EnvError
from envs.spelling import did_you_mean
from envs.starcraft.installation import HOW_TO_GET_PYSC2
from envs.starcraft.opponents import parse_opponent

if TYPE_CHECKING:
    from agents.acting.evaluate import Evaluation, Player

POLICIES = ("random", "scripted", "strong")
MOST_EPISODES = 10_000_000
LEAST_FPS, MOST_FPS = 0.1, 1000.0
MOST_STEPS = 10**9


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
    """The built-in AI to play against, race:difficulty:build, such as zerg:hard:rush; given several times, and of
    commas in it each combination (terran:easy,hard:rush,macro), each has a row."""
    against: str | None = None
    """Who else plays instead: scripted, strong, random, or the run folder of another policy."""
    num_envs: int | None = None
    """At most so many games side by side; without it 64, or the number of cores where each is a process (sc2/...)."""
    device: str = "auto"
    """Where the network runs: auto, cpu, cuda, cuda:0, ..."""
    max_steps: int = 27_000
    """Steps after which an episode is cut short; such episodes are counted apart."""
    json: Path | None = None
    """Where the results go as JSON, - for standard output; without it evaluation.json in the run folder, if there is
    one, or evaluation-NAME.json there if what is played is not the run's own."""
    csv: Path | None = None
    """Where the results go as a table, a line for each environment and opponent."""
    resume: Annotated[bool, FlagCreatePairsOff] = False
    """Go on with an evaluation that was interrupted: what the JSON file holds already is not played again."""
    trust: Annotated[bool, FlagCreatePairsOff] = False
    """Run the code that the run's config.yaml names, where its environment is module:Class."""


@dataclass(frozen=True)
class Watch:
    """Play episodes and make a video of them, with what was chosen and what it earned; or show a replay."""

    run: Positional[Path | None] = None
    """The run folder of a trained policy; or a replay of the stand-in game."""
    policy: str | None = None
    """Instead of a run: random, scripted or strong."""
    env: str | None = None
    """The environment; without it the run's own."""
    env_option: UseAppendAction[tuple[str, ...]] = ()
    """KEY=VALUE, a keyword argument of the environment; it is added to the run's own."""
    opponent: str | None = None
    """The built-in AI to play against, race:difficulty:build, such as zerg:hard:rush."""
    video: Path = Path("episode.mp4")
    """The video: .mp4 or .gif."""
    episodes: int = 1
    """Episodes, one after the other."""
    max_steps: int = 5_000
    """Steps after which an episode is left, and the video ends."""
    fps: float | None = None
    """Frames a second; without it the environment's own."""
    seed: int = 0
    """Seed of the episodes; they are never those of training."""
    sampled: bool = False
    """Sample actions as in training, instead of taking the likeliest one."""
    attention: Annotated[bool, FlagCreatePairsOff] = False
    """Show under each frame what a policy's latents look at, and the entropy of each of its heads."""
    device: str = "auto"
    """Where the network runs: auto, cpu, cuda, cuda:0, ..."""
    trust: Annotated[bool, FlagCreatePairsOff] = False
    """Run the code that the run's config.yaml names, where its environment is module:Class."""


def evaluate(argv: Sequence[str], prog: str) -> None:
    """Play whole episodes and say how well it went."""
    asked = options.parse(Evaluate, Evaluate(), argv, prog)
    options.check_number("--num-envs", asked.num_envs, 1, MOST_ENVS)
    options.check_number("--max-steps", asked.max_steps, 1, MOST_STEPS)
    check_player(asked)
    asked = replace(asked, opponent=tuple(one for text in asked.opponent for one in options.opponents_in(text)))
    to_stdout = to_standard_output(asked.json)
    if asked.json and not to_stdout:
        options.check_file("--json", asked.json, "; name a file in it, or - for standard output")
    if asked.csv:
        options.check_file("--csv", asked.csv, "; name a file in it")
    if asked.resume and (to_stdout or not (asked.json or asked.run)):
        raise UserError("--resume: say with --json which file holds what has been played already")
    play_and_tell(asked, Console(stderr=to_stdout))


def check_player(asked: Evaluate | Watch) -> None:
    """Refuse a player that is missing, doubled or unknown, and an environment that is missing."""
    if (asked.run is None) == (asked.policy is None):
        raise UserError("name one player: a run folder, or --policy random, scripted or strong")
    if asked.policy not in (None, *POLICIES):
        near = did_you_mean(asked.policy, POLICIES)
        raise UserError(f"--policy {asked.policy}: expected random, scripted or strong{near}")
    if asked.policy and not asked.env:
        raise UserError(f"--policy {asked.policy} needs --env, the environment to play, such as --env sim/MoveToBeacon")
    options.check_number("--episodes", asked.episodes, 1, MOST_EPISODES)
    options.check_number("--seed", asked.seed, 0, LARGEST_SEED)
    options.check_device(asked.device)


def check_trust(asked: Evaluate | Watch, config: Config | None) -> None:
    """Refuse to run code that a run folder alone names: the folder may be somebody else's."""
    if config is None or asked.trust:
        return
    if config.extensions:
        raise UserError(
            f"{asked.run}/config.yaml names code to run, {config.extensions[0]} (extensions): if you trust it, say so "
            "with --trust"
        )
    given = (asked.env,) if isinstance(asked.env, str) else asked.env or ()
    code = registry.code_named(config.env, config.env_arguments)
    if code and code not in given and (not given or config.env in given):
        how = f"--env {shlex.quote(code)} or --trust" if code == config.env else "--trust"
        raise UserError(f"{asked.run}/config.yaml names code to run, {code}: if you trust it, say so with {how}")


def load_extensions(asked: Evaluate | Watch, config: Config | None) -> None:
    """Load what the run needs, where it may be trusted."""
    check_trust(asked, config)
    if config is not None:
        experiment.load_extensions(config)


def play_and_tell(asked: Evaluate, console: Console) -> list[Evaluation]:
    """Play what was asked for, show the table, write the results down, and return them."""
    from agents.acting import evaluate as evaluation

    config = experiment.read_run_config(asked.run) if asked.run else None
    load_extensions(asked, config)
    target = results_of(asked, config)
    path = target and target.absolute()
    asked = replace(asked, run=asked.run and asked.run.absolute())  # an environment may leave this folder
    opponents = asked.opponent or (config.computers if config and not asked.env else ())
    versus: list[dict[str, Any]] = [{"opponent": opponent} for opponent in opponents] or [{}]
    if asked.against:
        if asked.opponent:
            raise UserError("--against: somebody else plays instead of --opponent; name one of the two")
        versus = [{"opponent": None, "players": 2}]
    games = [
        (env_id, _given({**env_options_of(asked, config, env_id), **opponent}, env_id))
        for env_id in asked.env or (tuple(registry.parts(config.env)) if config else ())
        for opponent in versus
    ]
    for env_id, env_options in games:
        registry.check(env_id, env_options)
    before: list[Evaluation] = []
    if asked.resume and path:
        try:
            before = evaluation.read_json(path)
        except (OSError, ValueError) as error:
            raise UserError(f"--resume: {error}") from error
    if path and not asked.json and not os.access(path.parent, os.W_OK):
        console.print(f"{target} cannot be written: the results are only shown", highlight=False, soft_wrap=True)
        path = None
    table = asked.csv and asked.csv.absolute()
    results: list[Evaluation] = []
    for env_id, env_options in games:
        with contextlib.chdir("."):  # nor must it take the others along
            results.append(_evaluate_one(asked, config, env_id, env_options, console, before))
        if path and not to_standard_output(target):
            _write_down(lambda file: evaluation.write_json(results, file), path, target)
    console.print(evaluation.table(results))
    if to_standard_output(target):
        sys.stdout.write(evaluation.as_json(results))
    elif path:
        console.print(f"results in {target}", highlight=False, soft_wrap=True)
    if table:
        _write_down(lambda file: write_whole(file, evaluation.as_csv(results)), table, asked.csv)
    return results


def _write_down(write: Callable[[Path], None], path: Path, shown: Path | None) -> None:
    try:
        write(path)
    except OSError as error:
        raise UserError(f"{shown}: cannot be written ({error})") from error


def results_of(asked: Evaluate, config: Config | None) -> Path | None:
    """The file for what is asked for: of a run on its own environment, as it was trained, always the same."""
    if asked.json or not (asked.run and config):
        return asked.json
    other = () if asked.env == (config.env,) else asked.env
    parts = (*other, *asked.env_option, *asked.opponent, *filter(None, [asked.against]))
    name = re.sub(r"[^\w.=-]+", "-", "-".join(parts)).strip("-")
    return asked.run / (f"evaluation-{name[:100]}.json" if name else "evaluation.json")


def _evaluate_one(
    asked: Evaluate,
    config: Config | None,
    env_id: str,
    env_options: dict[str, Any],
    console: Console,
    before: Sequence[Evaluation],
) -> Evaluation:
    """Play in one environment; what ``before`` holds of just that is not played again."""
    from agents.acting.evaluate import FRESH_SEED, LARGEST_VECTOR, Evaluation, Played, games_for, play
    from agents.acting.seeding import seed_all
    from agents.runs.report import notes_to

    most = asked.num_envs or (cores() if registry.is_process(env_id) else LARGEST_VECTOR)

    def note(text: str) -> None:
        console.print(text, style="dim", highlight=False, soft_wrap=True)

    seed_all(FRESH_SEED + asked.seed)
    side_by_side = games_for(asked.episodes, most)
    env = registry.make(env_id, side_by_side * (2 if asked.against else 1), **env_options)
    try:
        player, name = make_player(asked, config, env_id, env)
        against = env_options.get("opponent")
        versus = str(parse_opponent(against)) if against else ""
        if asked.against:
            env, versus = seat_other(asked, env_id, env)
        blank = Played([0.0] * asked.episodes)
        wanted = Evaluation(registry.label(env_id), name, asked.seed, blank, versus, env.num_envs)
        for one in before:
            if one.is_like(wanted):
                return one
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        columns = (
            TextColumn("evaluating {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("episodes"),
        )
        with notes_to(note), Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task(env_id, total=asked.episodes)
            seed = FRESH_SEED + asked.seed
            played = play(player, env, asked.episodes, seed, lambda: progress.advance(task), asked.max_steps, note)
    finally:
        with notes_to(note):
            env.close()
    return replace(wanted, played=played)


def _given(env_options: dict[str, Any], env_id: str) -> dict[str, Any]:
    """Without what is None, and of an environment that is no melee without the number of its players."""
    own = env_id.startswith(registry.SIM)
    return {name: value for name, value in env_options.items() if value is not None and (own or name != "players")}


def seat_other(asked: Evaluate, env_id: str, both: Any) -> tuple[Any, str]:
    """The games for two, ``both``, with who plays ``asked.against`` in the second place; and what to call it."""
    from agents.opponents.match import AgainstPlayer

    known = asked.against in POLICIES
    run, policy = (None, asked.against) if known else (Path(asked.against or ""), None)
    other = replace(asked, run=run, policy=policy, seed=asked.seed + 1)  # drawn apart from the first one's actions
    config = experiment.read_run_config(other.run) if other.run else None
    load_extensions(other, config)
    player, name = make_player(other, config, env_id, both)
    return AgainstPlayer(both, env_id, player), name


def env_options_of(asked: Evaluate | Watch, config: Config | None, env_id: str) -> dict[str, Any]:
    """The options of an environment that is played: the run's own, and those typed."""
    own = registry.options_for(env_id, config.env, config.env_arguments) if config else {}
    given = {**own, **options.parse_env_options(asked.env_option)}
    return registry.player_options(env_id, asked.policy, given) if asked.policy else given


def make_player(asked: Evaluate | Watch, config: Config | None, env_id: str, env: Any) -> tuple[Player, str]:
    """Whoever plays, and what to call it."""
    from agents.acting.evaluate import FRESH_SEED, RandomPlayer, ScriptedPlayer

    if config and asked.run:
        from agents.acting.player import load_player

        seed = FRESH_SEED + asked.seed
        how: dict[str, Any] = {"greedy": not asked.sampled, "attention": getattr(asked, "attention", False)}
        player = load_player(asked.run, config, env, device=asked.device, seed=seed, **how)
        return player, f"{asked.run.name} ({'sampled' if asked.sampled else 'greedy'})"
    if asked.policy == "random":
        return RandomPlayer(env.single_action_space, asked.seed), "random"
    assert asked.policy is not None  # check_player has seen to it
    style = env.interface.style if hasattr(env, "interface") else "feature"
    name = registry.player_name(env_id, asked.policy, style)
    return ScriptedPlayer(registry.scripted(env_id, asked.policy, env)), name


def watch(argv: Sequence[str], prog: str) -> None:
    """Make a video of a player."""
    asked = options.parse(Watch, Watch(), argv, prog)
    options.check_number("--fps", asked.fps, LEAST_FPS, MOST_FPS)
    options.check_number("--max-steps", asked.max_steps, 1, MOST_STEPS)
    if asked.video.suffix not in (".mp4", ".gif"):
        raise UserError(f"--video {asked.video}: expected a name that ends in .mp4 or .gif")
    from agents.acting import video as watching

    if asked.run and asked.run.is_file():
        watch_replay(asked, asked.run)
        return
    check_player(asked)
    if asked.opponent:
        options.check_opponent(asked.opponent)
    versus = {"opponent": asked.opponent} if asked.opponent else {}
    config = experiment.read_run_config(asked.run) if asked.run else None
    load_extensions(asked, config)
    env_id = asked.env or (config.env if config else "")
    env_options = {**env_options_of(asked, config, env_id), **versus}
    registry.check(env_id, env_options)
    from agents.acting.evaluate import FRESH_SEED
    from agents.acting.seeding import seed_all

    draw_without_a_screen()
    seed_all(FRESH_SEED + asked.seed)
    asked = replace(asked, run=asked.run and asked.run.absolute(), video=asked.video.absolute())
    with contextlib.chdir("."):  # an environment may leave this folder
        env = make_drawn(env_id, env_options)
        try:
            player, name = make_player(asked, config, env_id, env)
            against = f" against {parse_opponent(asked.opponent)}" if asked.opponent else ""
            title = f"{registry.label(env_id)}, {name}{against}"
            seed = FRESH_SEED + asked.seed
            frames = watching.frames(player, env, asked.episodes, seed, title, asked.max_steps, print)
            _write(frames, asked, watching.frame_rate(env), watching.expected_frames(env, asked.episodes))
        finally:
            env.close()


def watch_replay(asked: Watch, file: Path) -> None:
    """Make a video of a replay of the stand-in game."""
    given = [n for n in ("policy", "env", "env_option", "opponent", "sampled") if getattr(asked, n)]
    if given:
        names = ", ".join(map(experiment.option, given))
        raise UserError(f"{names}: {file} is a file, and taken for a replay, which says itself what was played")
    try:
        from envs.standin.playback import LOOPS_A_FRAME, RATE, frames, read_replay

        replay = read_replay(file)
    except ImportError as error:
        raise UserError(f"{file}: replays need s2clientprotocol ({error}): {HOW_TO_GET_PYSC2}") from error
    _write(frames(replay), asked, RATE, 1 + replay.loops // LOOPS_A_FRAME)


def _write(frames: Iterable[Any], asked: Watch, rate: float, expected: int | None) -> None:
    """Write the video, and show how far it has come: the games of an economy take minutes."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from agents.acting.video import write_video

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("frames"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"writing {asked.video}", total=expected)
        count = write_video(frames, asked.video, asked.fps or rate, lambda: progress.advance(task))
    print(f"{count} frames in {asked.video}")


def draw_without_a_screen() -> None:
    """Let pygame, and where there is no screen MuJoCo, draw into memory, without complaining of none."""
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        os.environ.setdefault("MUJOCO_GL", "egl")


def make_drawn(env_id: str, env_options: dict[str, Any]) -> Any:
    """One game that draws pictures. Raises UserError for an environment that draws none."""
    try:
        return registry.make(env_id, 1, **{**env_options, "render_mode": "rgb_array", "env_processes": 0})
    except EnvError as error:
        if "render_mode" not in str(error):
            raise
        instead = registry.drawn_instead(env_id)
        what = (
            f"the same policy plays the stand-in game: --env {instead}"
            if instead
            else ('it must take render_mode="rgb_array", and render() return an array [height, width, 3]')
        )
        raise UserError(f"{env_id} draws no pictures; {what}") from error


def what_draws(env_id: str, env_options: dict[str, Any]) -> str | None:
    """The environment with which a run in ``env_id`` can be watched, None if it draws nothing: tried, not guessed."""
    instead = registry.drawn_instead(env_id)
    if instead:
        return instead
    from agents.acting import video

    draw_without_a_screen()
    try:
        with contextlib.chdir("."), contextlib.closing(make_drawn(env_id, env_options)) as env:
            env.reset(seed=0)
            video.render(env)
    except Exception:  # whatever is wrong with it would be wrong in `watch`, too, which then says it
        return None
    return env_id
