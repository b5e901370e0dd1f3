"""``perceiver-rl record`` and ``perceiver-rl imitate``: demonstrations, and a policy that has learned from them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from tyro.conf import FlagCreatePairsOff, Positional, UseAppendAction, arg

from agents.commands import options
from agents.commands.play import (
    Evaluate,
    check_player,
    env_options_of,
    load_extensions,
    make_player,
    play_and_tell,
)  # fmt: skip
from agents.config import Config
from agents.cores import cores
from agents.errors import UserError
from agents.extensions import LOGGERS
from agents.learning.imitation_config import ImitationConfig
from agents.runs import experiment, folder
from envs import registry
from envs.starcraft.opponents import parse_opponent

SCRIPTS = ("scripted", "strong")


@dataclass(frozen=True)
class Record:
    """Let somebody play whole episodes, and keep all that was seen and done."""

    run: Positional[Path | None] = None
    """The run folder of a trained policy that plays."""
    policy: str | None = None
    """Instead of a run: random, scripted or strong."""
    out: Path = Path("demonstrations")
    """The folder that the demonstrations are written to; it must be empty, or not there."""
    env: str | None = None
    """The environment; without it the run's own."""
    env_option: UseAppendAction[tuple[str, ...]] = ()
    """KEY=VALUE, a keyword argument of the environment; it is added to the run's own."""
    opponent: UseAppendAction[tuple[str, ...]] = ()
    """On a melee map of the stand-in game, computer players that the games are against in turn: terran:easy,hard."""
    episodes: int = 100
    """Episodes to play."""
    seed: int = 0
    """Seed of the episodes."""
    sampled: bool = False
    """Sample a run's actions as in training, instead of taking the likeliest one."""
    num_envs: int | None = None
    """At most so many games side by side; without it 64, or the number of cores where each is a process (sc2/...)."""
    device: str = "auto"
    """Where the network runs: auto, cpu, cuda, cuda:0, ..."""
    trust: Annotated[bool, FlagCreatePairsOff] = False
    """Run the code that the run's config.yaml names, where its environment is module:Class."""


def record(argv: Sequence[str], prog: str) -> None:
    """Record demonstrations: whole episodes of a script or of a trained policy."""
    asked: Any = options.parse(Record, Record(), argv, prog)
    if asked.episodes < 1:
        raise UserError(f"--episodes should be at least 1, got {asked.episodes}")
    check_player(asked)
    from agents.acting import demonstrations

    demonstrations.check_empty(asked.out)
    config = experiment.read_run_config(asked.run) if asked.run else None
    load_extensions(asked, config)
    env_id = asked.env or (config.env if config else "")
    opponents = [one for text in asked.opponent for one in options.opponents_in(text)]
    chosen = env_options_of(asked, config, env_id) | ({"opponent": opponents[0]} if opponents else {})
    registry.check(env_id, chosen)
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from agents.acting.evaluate import LARGEST_VECTOR, games_for

    most = asked.num_envs or (cores() if registry.is_process(env_id) else LARGEST_VECTOR)
    env = registry.make(env_id, games_for(asked.episodes, most), **chosen)
    try:
        seat(env, env_id, opponents)
        player, name = make_player(asked, config, env_id, env)
        card: dict[str, Any] = {"environment": env_id, "env_options": plain_options(chosen), "player": name}
        card |= {"seed": asked.seed} | ({"opponents": opponents} if opponents else {})
        columns = (TextColumn("recording"), BarColumn(), MofNCompleteColumn(), TextColumn("episodes"))
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("", total=asked.episodes)
            found = demonstrations.record(player, env, asked.episodes, asked.seed, card, lambda: progress.advance(task))
    finally:
        env.close()
    demonstrations.save(found, asked.out)
    mean = found.card["mean_return"]
    print(f"{found.card['episodes']} episodes, {len(found):,} steps, mean return {mean:.4g}, in {asked.out}")


def seat(env: Any, env_id: str, opponents: Sequence[str]) -> None:
    """Game k, from its next episode on, is against the k-th of the computers in turn. UserError: there are none."""
    if opponents and not hasattr(env.unwrapped, "seat"):
        raise UserError(f"--opponent: in {env_id} no computer can take a seat; in the stand-in's melees it can")
    for game in range(env.num_envs if opponents else 0):
        env.unwrapped.seat(game, parse_opponent(opponents[game % len(opponents)]))


@dataclass(frozen=True)
class Imitate:
    """Train a policy to do as was demonstrated, and to know what that earns; it can then go on with train --init."""

    demonstrations: Positional[Path]
    """A folder made by record."""
    imitation: Annotated[ImitationConfig, arg(name="")] = ImitationConfig()  # noqa: RUF009 (frozen)
    config: str | None = None
    """The experiment whose environment and network it is for: a YAML file, or a name in configs/. Without it: the
    environment that was played, and the default network."""
    init: Path | None = None
    """The run of an earlier clone, of the same network, that goes on learning."""
    run_dir: Path | None = None
    """Folder of the run; none: a new one under runs/."""
    seed: int = 0
    """Seed of the network and of the order of the data."""
    device: str = "auto"
    """Where the network runs: auto, cpu, cuda, cuda:0, ..."""
    evaluation_episodes: int = 100
    """Episodes of the evaluation at the end, with actions drawn or not as evaluation_sampled says; 0: none."""
    trust: Annotated[bool, FlagCreatePairsOff] = False
    """Run the code that the demonstrations' card names, where their environment is module:Class."""


def imitate(argv: Sequence[str], prog: str) -> None:
    """Clone demonstrations: a policy that does what was shown."""
    asked = options.parse(Imitate, Imitate(Path("demonstrations")), argv, prog)
    options.check_device(asked.device)
    from agents.acting import demonstrations

    data = demonstrations.load(asked.demonstrations)
    if asked.config:
        config = experiment.read_config(experiment.find_config(asked.config))
    else:
        code = registry.code_named(data.card["environment"], data.card["env_options"])
        if code and not asked.trust:
            raise UserError(f"{asked.demonstrations} names code to run, {code}: if you trust it, say so with --trust")
        about = {"env": data.card["environment"], "env_options": data.card["env_options"]}
        config = experiment.check({**about, "evaluation_sampled": True}, str(asked.demonstrations))
    experiment.load_extensions(config)
    config = config.model_copy(update={"seed": asked.seed, "device": asked.device})
    run_dir = asked.run_dir or Path("runs") / f"{asked.demonstrations.resolve().name}-clone-seed{asked.seed}"
    if run_dir.exists() and any(run_dir.iterdir()):
        raise UserError(f"--run-dir {run_dir}: is not empty; choose another folder")
    check_dagger(data, asked.demonstrations, asked.imitation)
    clone(data, asked.demonstrations, asked.imitation, config, run_dir, asked.init)
    console = Console()
    if asked.evaluation_episodes:
        wanted = Evaluate(
            run=run_dir,
            episodes=asked.evaluation_episodes,
            sampled=config.evaluation_sampled,
            device=asked.device,
            trust=True,
        )
        play_and_tell(wanted, console)
    print(f"run folder   {run_dir}")


def check_dagger(data: Any, source: Path, imitation: ImitationConfig) -> None:
    """Raises UserError where the demonstrator cannot be asked again."""
    if imitation.dagger_rounds and _script(data) not in SCRIPTS:
        raise UserError(
            f"--dagger-rounds: {source} was recorded of {data.card['player']}, who cannot be asked what "
            f"to do elsewhere; a script can ({' or '.join(SCRIPTS)})"
        )


def _script(data: Any) -> str:
    """Who has played, where that is a script."""
    return str(data.card["player"]).partition(" ")[0]


def clone(
    data: Any, source: Path, imitation: ImitationConfig, config: Config, run_dir: Path, init: Path | None = None
) -> None:
    """Train a policy for ``config``, from the start or the run ``init`` on, on demonstrations, ``data``, that come from
    ``source``; leave it in ``run_dir``."""
    import torch
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from agents.acting import demonstrations
    from agents.acting.evaluate import ScriptedPlayer, games_for
    from agents.acting.player import PolicyPlayer, load_policy
    from agents.device import choose_device, prepare_processor
    from agents.learning.imitation import imitate as learn
    from agents.learning.learner import Learner
    from agents.runs import checkpoint
    from envs.spaces import describe_spaces
    from perceiver_policy.policy.policy import make_policy

    env = registry.make(config.env, games_for(imitation.dagger_episodes), **config.env_arguments)
    seat(env, config.env, data.card.get("opponents", ()))
    spaces = describe_spaces(env)
    for name, played in data.card["spaces"].items():
        if spaces[name] != played:
            raise UserError(
                f"{source}: was recorded with the {name.replace('_', ' ')}\n  {played}\n"
                f"but {config.env} has\n  {spaces[name]}\nRecord through the same interface, or leave --config away."
            )
    prepare_processor(config.threads)
    torch.manual_seed(config.seed)
    device = choose_device(config.device)
    if init is None:
        policy = make_policy(env.single_observation_space, env.single_action_space, config.policy).to(device)
    else:
        policy, _ = load_policy(init, config, env, device=config.device)
    columns = (TextColumn("imitating {task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("passes"))
    course: list[tuple[int, dict[str, float]]] = []
    began = time.perf_counter()
    for turn in range(imitation.dagger_rounds + 1):
        if turn:
            seed, episodes = config.seed + turn, imitation.dagger_episodes
            learner_player = PolicyPlayer(policy, device=device, greedy=not config.evaluation_sampled, seed=seed)
            teacher = ScriptedPlayer(registry.scripted(config.env, _script(data), env))
            more = demonstrations.record(learner_player, env, episodes, seed, {}, demonstrator=teacher)
            print(f"round {turn}: the clone earns {more.card['mean_return']:.4g}; {len(more):,} steps more are shown")
            data = demonstrations.joined([more, data])
            of_round = {"imitation/return": more.card["mean_return"], "imitation/shown": float(len(data))}
            course.append((course[-1][0], of_round | {"time/seconds": time.perf_counter() - began}))
        with Progress(*columns, transient=True) as progress:
            task = progress.add_task(f"{len(data):,} steps", total=imitation.epochs)

            def told(epoch: int, metrics: dict[str, float], task: Any = task, steps: int = len(data)) -> None:
                progress.advance(task)
                course.append((steps + (course[-1][0] if course else 0), metrics))

            metrics = learn(policy, data, imitation, seed=config.seed, on_epoch=told)
    env.close()
    run_dir.mkdir(parents=True, exist_ok=True)
    experiment.write_config(config, run_dir / "config.yaml")
    learner = Learner(policy, config, device=device)
    data_of = checkpoint.data_of(policy.observation_space, policy.action_space)
    checkpoint.save(run_dir, 0, {"learner": learner.state_dict()}, spaces=spaces, space_data=data_of, keep=1)
    record_course(course, config, run_dir)
    folder.write_state(run_dir, "finished")
    print(", ".join(f"{name.removeprefix('imitation/')} {value:.3f}" for name, value in metrics.items()))


def record_course(course: Sequence[tuple[int, Mapping[str, float]]], config: Config, run_dir: Path) -> None:
    """Write down what each pass has measured, by the steps learned from until then, as training does."""
    from agents.runs.report import METRICS

    lines = [json.dumps({"step": step, **metrics}) + "\n" for step, metrics in course]
    (run_dir / METRICS).write_text("".join(lines), encoding="utf-8")
    for name in config.track:
        logger = LOGGERS.find(name)()
        logger.start(run_dir, config, 0)
        for step, metrics in course:
            logger.scalars(step, metrics)
        logger.close()


def plain_options(chosen: dict[str, Any]) -> dict[str, Any]:
    """The options that a file can hold, for who trains on the demonstrations."""
    plain: dict[str, Any] = {}
    for key, value in chosen.items():
        if is_dataclass(value) and not isinstance(value, type):
            plain |= {name: list(part) if isinstance(part, tuple) else part for name, part in asdict(value).items()}
        else:
            plain[key] = value
    return plain
