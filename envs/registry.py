"""Environments by name: ``sim/MoveToBeacon``, ``sc2/MoveToBeacon``, ``CartPole-v1``, ``my_package.module:MyEnv``.

Several mini-games at once, for one policy, are ``sim/MoveToBeacon*2 + sim/DefeatRoaches``: of three games two are the
first. All of them are seen and played through one interface, which offers what any of them needs.

Every one is a Gymnasium VectorEnv with games first in its observations, actions and rewards. An episode that ends is
reset in the same step (``AutoresetMode.SAME_STEP``); its last observation is in ``info["final_obs"]``, an object array,
where ``info["_final_obs"]`` is true. Besides there are ``save_state()`` and ``load_state()``.

``reset(options={"stagger": True})``, with which training begins, lets an environment whose episodes are equally long
cut the first ones short, each at another place: else all games would be in the same phase for ever, and an update would
see that phase alone. The stand-in game does so; others ignore it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envs.errors import EnvError
from envs.single.entry import SC2, SIM, entry_of
from envs.spelling import did_you_mean

if TYPE_CHECKING:
    from gymnasium.vector import VectorEnv


def make(
    env_id: str,
    num_envs: int,
    *,
    env_wrappers: Sequence[Any] = (),
    env_time_limit: int | None = None,
    env_metrics: Sequence[str] = (),
    env_processes: int = 0,
    **options: Any,
) -> VectorEnv[Any, Any, Any]:
    """Make ``num_envs`` games side by side; ``options`` are the environment's own.

    Of Gymnasium's environments alone: ``env_wrappers`` by name (`envs.single.entry`), a ``env_time_limit`` in steps,
    ``env_metrics``, the numbers of ``info`` that are told of every episode's end, and ``env_processes`` to step them.

    Raises EnvError, with the nearest right spelling, for a name, an option or a space that will not do, and EnvFailure
    where the environment's own code fails.
    """
    check(env_id, options)
    weights = parts(env_id)
    try:
        if len(weights) > 1:
            from envs.mixed import MixedVectorEnv, share

            given = part_options(env_id, options)
            return MixedVectorEnv({name: make(name, n, **given) for name, n in share(num_envs, weights).items()})
        if env_id.startswith((SIM, SC2)):
            _refuse_ours(env_wrappers=env_wrappers, env_time_limit=env_time_limit, env_metrics=env_metrics,
                         env_processes=env_processes)  # fmt: skip
        if env_id.startswith(SIM):
            from envs.standin import vector_env

            return vector_env.make(env_id.removeprefix(SIM), num_envs, **options)
        if env_id.startswith(SC2):
            from envs.starcraft import vector_env as starcraft

            return starcraft.make(env_id.removeprefix(SC2), num_envs, **options)
        from envs.gym import GymVectorEnv
        from envs.single.entry import native, single

        whole = native(env_id, num_envs, options, env_wrappers, env_time_limit)
        if whole is not None:
            return whole
        maker = single(env_id, options, env_wrappers, env_time_limit)
        if env_processes:
            from envs.vector.processes import ProcessVectorEnv

            return ProcessVectorEnv(maker, num_envs, env_processes, env_id, tuple(env_metrics))
        return GymVectorEnv(maker, num_envs, env_id, tuple(env_metrics))
    except (ValueError, TypeError) as error:
        if isinstance(error, EnvError):
            raise
        typed = {key: value for key, value in options.items() if isinstance(value, str | float | int)}
        lacks = isinstance(error, TypeError) and "missing" in str(error)
        hint = "; --env-option NAME=VALUE gives it (env_options: {NAME: VALUE})" if lacks else ""
        raise EnvError(f"{env_id}: {error}{hint}" + (f" (options: {typed})" if typed else "")) from error


def _refuse_ours(**given: Any) -> None:
    for name, value in given.items():
        if value:
            raise ValueError(f"{name} is for Gymnasium's environments; a mini-game has its own, see docs/usage.md")


def check(env_id: str, options: Mapping[str, Any] = MappingProxyType({})) -> None:
    """Raise EnvError, with the nearest right spelling, if there is no such environment. Makes none.

    Of its ``options`` those count without which there is none: a melee needs an ``opponent``.
    """
    weights = parts(env_id)
    if len(weights) > 1:
        for name in weights:
            if _mini_game(name) is None:
                near = did_you_mean(name, [SIM + known for known in standin_maps()])
                raise EnvError(f"{env_id}: {name} is no mini-game, only those mix{near}")
            check(name, options)
        return
    if env_id.startswith(SC2):
        from envs.starcraft import installation
        from envs.starcraft.maps import INTERFACE_OPTIONS, interface_of
        from envs.starcraft.opponents import check_playable
        from envs.starcraft.pysc2 import find_map

        name = env_id.removeprefix(SC2)
        try:
            here = installation.find()
            find_map(name, here, options.get("opponent") is not None)
            if here.is_standin:
                check_playable(options.get("opponent"))
            interface_of(name, options.get("interface"), {k: v for k, v in options.items() if k in INTERFACE_OPTIONS})
        except ValueError as error:
            raise EnvError(f"{env_id}: {error}") from error
        return
    if env_id.startswith(SIM):
        known = standin_maps()
        if env_id.removeprefix(SIM) not in known:
            near = did_you_mean(env_id, [SIM + name for name in known])
            raise EnvError(f"{env_id}: no such map in the stand-in game{near} There are: {', '.join(known)}")
        from envs.starcraft.maps import check_players
        from envs.starcraft.opponents import check_playable

        try:
            versus = options.get("opponent") is not None or options.get("players") == 2
            check_players(env_id.removeprefix(SIM), versus)
            check_playable(options.get("opponent"))
        except ValueError as error:
            raise EnvError(f"{env_id}: {error}") from error
        return
    entry_of(env_id)


def parts(env_id: str) -> dict[str, float]:
    """The environments that ``env_id`` mixes, with their weights; most ids are one environment alone.

    Raises EnvError for a weight that is no number above 0, and for a name given twice.
    """
    if not env_id.startswith((SIM, SC2)):
        return {env_id: 1.0}
    weights: dict[str, float] = {}
    for part in env_id.split("+"):
        name, star, weight = (piece.strip() for piece in part.partition("*"))
        try:
            number = float(weight) if star else 1.0
        except ValueError:
            number = 0.0
        if not 0 < number < float("inf"):
            raise EnvError(f"{env_id}: {weight!r} is no weight; expected a number above 0, as in {name}*2")
        if name in weights:
            raise EnvError(f"{env_id}: {name} is named twice; give it a weight instead, as in {name}*2")
        weights[name] = number
    return weights


def part_options(env_id: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options of each environment that ``env_id`` mixes: ``options`` with the interface that serves all of them."""
    names = [name for part in parts(env_id) if (name := _mini_game(part)) is not None]
    if len(names) < 2 or "interface" in options:
        return options
    from envs.starcraft.maps import INTERFACE_OPTIONS, common_interface

    return {
        "interface": common_interface(names, **{k: v for k, v in options.items() if k in INTERFACE_OPTIONS}),
        **{k: v for k, v in options.items() if k not in INTERFACE_OPTIONS},
    }


def options_for(env_id: str, trained: str, options: dict[str, Any]) -> dict[str, Any]:
    """What of the options with which a policy was trained in ``trained`` counts where it plays in ``env_id``.

    All of them in the same environment and in a part of it; those of what is seen and done where the same mini-game is
    played on the other side, StarCraft II or the stand-in game.
    """
    own = part_options(trained, options)
    if env_id in (trained, *parts(trained)):
        return own
    names = {_mini_game(name) for name in parts(trained)} - {None}
    if _mini_game(env_id) not in names:
        return {}
    from dataclasses import fields

    from envs.starcraft.interface import Interface

    shared = {field.name for field in fields(Interface)} | {"interface", "step_mul", "max_loops", "opponent"}
    return {key: value for key, value in own.items() if key in shared}


def drawn_instead(env_id: str) -> str | None:
    """The mini-game of the stand-in game that shows what is played in ``env_id``, if there is one."""
    return next((SIM + name for part in parts(env_id) if (name := _mini_game(part))), None)


def code_named(env_id: str, options: Mapping[str, Any] = MappingProxyType({})) -> str | None:
    """What in an environment's name or options says which code to run: ``module:Class``; else None."""
    if env_id.startswith((SIM, SC2)):
        return None
    return next((text for text in (env_id, *_texts(options)) if ":" in text), None)


def _texts(nest: Any) -> Iterator[str]:
    if isinstance(nest, str):
        yield nest
    elif isinstance(nest, Mapping | list | tuple):
        for part in nest.values() if isinstance(nest, Mapping) else nest:
            yield from _texts(part)


def standin_maps() -> tuple[str, ...]:
    """The maps of the stand-in game, each ``sim/<name>`` here."""
    from envs.starcraft.maps import MAPS, MELEE

    return (*MAPS, *MELEE)


def label(env_id: str) -> str:
    """What a result on this environment must be called: results on the stand-in game are not StarCraft II's."""
    if env_id.startswith(SC2):
        from envs.starcraft import installation

        return f"{env_id} ({installation.find().name})"
    return f"{env_id} (stand-in game)" if env_id.startswith(SIM) else env_id


def is_process(env_id: str) -> bool:
    """Whether each game of this environment is a process of its own, of which a machine bears only a few."""
    return env_id.startswith(SC2)


def player_options(env_id: str, name: str, given: dict[str, Any]) -> dict[str, Any]:
    """The options with which the player ``name`` is at its best, unless ``given`` says what is seen and done."""
    mini_game = _mini_game(env_id)
    if mini_game is None:
        return given
    from envs.standin.players.roster import interface_for_player
    from envs.starcraft.maps import INTERFACE_OPTIONS

    if given.keys() & {"interface", *INTERFACE_OPTIONS}:
        return given
    return {**given, "interface": interface_for_player(name, mini_game)}


def scripted(env_id: str, name: str, env: VectorEnv[Any, Any, Any]) -> Callable[[Any], Any]:
    """The hand-written player ``name`` (scripted or strong) of ``env``: observations to actions.

    Raises EnvError where nobody has written one.
    """
    mini_game = _mini_game(env_id)
    if mini_game is None:
        raise EnvError(f"{env_id} has no {name} player, only the mini-games have; use --policy random")
    from envs.standin.players.roster import make_player

    try:
        return make_player(name, mini_game, env.interface)  # type: ignore[attr-defined]
    except ValueError as error:
        raise EnvError(f"{env_id}: {error}") from error


def player_name(env_id: str, name: str, style: str = "feature") -> str:
    """What the player ``name`` must be called there: where nobody has written a strong one, it is the scripted one."""
    mini_game = _mini_game(env_id)
    if name == "strong" and mini_game is not None:
        from envs.standin.players.roster import has_strong_player

        return name if has_strong_player(mini_game, style) else "scripted (there is no stronger one)"
    return name


def _mini_game(env_id: str) -> str | None:
    """The mini-game's name: the same players play it in the stand-in and through PySC2."""
    kind, slash, name = env_id.partition("/")
    return name if f"{kind}{slash}" in (SIM, SC2) and name in standin_maps() else None
