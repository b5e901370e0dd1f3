"""Where a name leads: a registered id, or ``module:name``; and one game made of it, within wrappers that have names."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from envs.errors import EnvError, EnvFailure
from envs.spelling import did_you_mean

if TYPE_CHECKING:
    import gymnasium
    from gymnasium.vector import VectorEnv

SIM, SC2 = "sim/", "sc2/"
HANDED_OVER = "python/"
GIVEN: dict[str, Callable[..., gymnasium.Env[Any, Any]]] = {}
"""What makes the environments that Python code has handed over (see `perceiver_rl.train`), in this process."""
REGISTER_ON_IMPORT = (
    ("ALE/", "ale_py", "ale-py"),
    ("MiniGrid-", "minigrid", "minigrid"),
    ("BabyAI-", "minigrid", "minigrid"),
    ("highway-", "highway_env", "highway-env"),
    ("parking-", "highway_env", "highway-env"),
    ("FlappyBird", "flappy_bird_gymnasium", "flappy-bird-gymnasium"),
    ("PointMaze_", "gymnasium_robotics", "gymnasium-robotics"),
    ("Fetch", "gymnasium_robotics", "gymnasium-robotics"),
    ("dm_control/", "shimmy", "shimmy[dm-control]"),
)
"""What well-known ids begin with, the module that registers them, and the package that it is in."""


def entry_of(env_id: str) -> str | Callable[..., Any]:
    """The registered Gymnasium id, or the class or function that ``module:name`` names."""
    import gymnasium
    from gymnasium import error as gym_error

    if env_id in GIVEN:
        return GIVEN[env_id]
    if env_id.startswith(HANDED_OVER):
        raise EnvError(
            f"{env_id}: Python code handed over this environment, and is not running here: name another one "
            "(package.module:Class), or call it from there"
        )
    module, colon, name = env_id.partition(":")
    if colon:
        imported = _import(env_id, module, name)
        entry = getattr(imported, name, None) if name.isidentifier() else None
        known = isinstance(entry, type) and issubclass(entry, gymnasium.Env | gymnasium.vector.VectorEnv)
        if isinstance(entry, type) and not known and parallel(entry, env_id) is None:
            raise EnvError(f"{env_id}: {name} is a class, but not one of gymnasium.Env's; it was not called")
        if entry is not None:
            if not callable(entry):
                raise EnvError(f"{env_id}: {name} is a {type(entry).__name__}; expected a class or a function")
            made: Callable[..., Any] = entry
            return made
        if name not in gymnasium.registry:
            near = did_you_mean(name, [n for n in dir(imported) if not n.startswith("_")])
            raise EnvError(f"{env_id}: module {module!r} has no {name!r}{near}")
        env_id = name
    try:
        gymnasium.spec(env_id)
    except gym_error.Error as error:
        raise EnvError(
            f"{env_id}: no such environment{_nearest(env_id) or f' ({error})'} An environment is {SIM}<map>, "
            f"{SC2}<map>, the id of a registered Gymnasium environment, package.module:Class, or package:Id for an id "
            "that the package registers when it is imported"
        ) from error
    return env_id


def _nearest(env_id: str) -> str:
    """What may have been meant: a known name, or one that an installed package registers when it is imported."""
    import gymnasium

    from envs.starcraft.maps import MAPS, MELEE

    for start, module, package in REGISTER_ON_IMPORT:
        if env_id.startswith(start):
            there = importlib.util.find_spec(module) is not None
            return (
                f"; did you mean {module}:{env_id}?" if there else f": pip install {package}, then {module}:{env_id}."
            )
    stem, _, name = env_id.partition(".")
    if stem.isidentifier() and Path(f"{stem}.py").is_file():
        return f"; did you mean '{stem}:{name if name not in ('', 'py') else 'CLASS'}', of {stem}.py in this folder?"
    return did_you_mean(env_id, [*gymnasium.registry, *(SIM + name for name in (*MAPS, *MELEE))])


def _import(env_id: str, module: str, name: str) -> ModuleType:
    """The module that ``env_id`` names, from the path of imports or from the folder that this was called in."""
    if not all(part.isidentifier() for part in module.split(".")):
        raise EnvError(f"{env_id}: {module!r} is no module's name; expected package.module:Class")
    here = os.getcwd()
    if here not in sys.path:  # a console script does not see the folder it is called in
        sys.path.append(here)
    try:
        imported = importlib.import_module(module)
        why, found = "", getattr(imported, "__file__", None)
    except (Exception, SystemExit) as error:
        missing = isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}.")
        hint = f"; did you mean {env_id.replace('.py:', ':')!r}?" if module.endswith(".py") else ""
        why, found = f"cannot import {module!r} from {here} ({error}){hint}", None
        if not missing:  # it is there, and fails
            _refuse_shadowed(env_id, module, found)
            raise EnvError(f"{env_id}: {module!r} cannot be imported:\n{_where(error)}") from error
    if why or not hasattr(imported, name):
        _refuse_shadowed(env_id, module, found)
    if why:
        raise EnvError(f"{env_id}: {why}")
    return imported


def _where(error: BaseException) -> str:
    """The line that raised it, and what was raised."""
    limit = 0 if isinstance(error, SyntaxError) else -1  # that one says itself where it is
    return "".join(traceback.format_exception(error, limit=limit)).rstrip()


def _refuse_shadowed(env_id: str, module: str, found: str | None) -> None:
    """Raise EnvError where a file of the user's own is called ``module``, but another package has its first name."""
    path = Path.cwd().joinpath(*module.split("."))
    top = module.partition(".")[0]
    for own in (path.with_suffix(".py"), path / "__init__.py"):
        if own.is_file() and top in sys.modules and not (found and own.samefile(found)):
            first = getattr(sys.modules[top], "__path__", None) or [getattr(sys.modules[top], "__file__", None)]
            if Path.cwd() / top in map(Path, filter(None, first)):
                return  # it is the user's own, and fails for another reason
            raise EnvError(
                f"{env_id}: {own} cannot be imported as {module!r}: {top!r} is here the name of {next(iter(first))}; "
                f"rename your {top!r}, to 'my_{top}' for example"
            )


def single(
    env_id: str, options: dict[str, Any], wrappers: Sequence[Any] = (), time_limit: int | None = None
) -> Callable[[], gymnasium.Env[Any, Any]]:
    """What makes one game of a Gymnasium environment, within its time limit and its wrappers (the last one outermost).

    A wrapper is a name of `gymnasium.wrappers`, or module:Class; with arguments {name: {argument: value}}.
    """
    import gymnasium

    entry, around = entry_of(env_id), [_wrapper(spec) for spec in wrappers]

    def made() -> Any:
        if isinstance(entry, str):
            limit: dict[str, Any] = {"max_episode_steps": time_limit} if time_limit else {}
            return gymnasium.make(entry, **limit, **options)
        env = entry(**options)
        return gymnasium.wrappers.TimeLimit(env, time_limit) if time_limit and isinstance(env, gymnasium.Env) else env

    def make_one() -> gymnasium.Env[Any, Any]:
        env = _made(env_id, made)
        for name, wrap in around:
            env = _made(f"{env_id}: {name}", partial(wrap, env))
        return env

    return make_one


def _made(name: str, make: Callable[[], Any]) -> gymnasium.Env[Any, Any]:
    import gymnasium

    from envs.guard import own_frames, own_trace, said

    try:
        env = make()
    except gymnasium.error.Error as error:
        raise EnvError(f"{name}: {error}") from error
    except (Exception, SystemExit) as error:
        refused = isinstance(error, ValueError) or (isinstance(error, TypeError) and not own_frames(error))
        if refused:  # it does not take an option, or its value: see registry.make
            raise
        raise EnvFailure(f"{name}: the environment cannot be made: {said(error)}\n{own_trace(error)}") from None
    if not isinstance(env, gymnasium.Env):
        raise EnvError(f"{name} made a {type(env).__name__}; expected a gymnasium.Env")
    for part in ("observation_space", "action_space"):
        if not hasattr(env, part):
            raise EnvError(f"{name}: it has no {part}; set it in the class, or in its __init__")
    return env


def _wrapper(spec: Any) -> tuple[str, Callable[[Any], Any]]:
    """A wrapper's name, and what puts it around an environment."""
    import gymnasium.wrappers

    name, arguments = next(iter(spec.items())) if isinstance(spec, Mapping) and len(spec) == 1 else (spec, {})
    if not isinstance(name, str) or not isinstance(arguments or {}, Mapping):
        raise EnvError(f"env_wrappers: {spec!r}: expected a name, or {{name: {{argument: value}}}}")
    module, colon, last = name.partition(":")
    holder = _import(name, module, last) if colon else gymnasium.wrappers
    kind = getattr(holder, last or name, None)
    if not callable(kind):
        near = did_you_mean(last or name, [n for n in dir(holder) if n[0].isupper()])
        raise EnvError(
            f"env_wrappers: there is no {name!r}{near} Expected a name of gymnasium.wrappers or module:Class"
        )
    return name, lambda env: kind(env, **(arguments or {}))


def native(
    env_id: str, num_envs: int, options: dict[str, Any], wrappers: Sequence[Any], time_limit: int | None
) -> VectorEnv[Any, Any, Any] | None:
    """The environment that comes as a vector of games, or None for one that comes alone.

    It does where ``module:name`` is a VectorEnv, or a function that takes ``num_envs``, and where an id is registered
    with nothing else.
    """
    import gymnasium
    from gymnasium.vector import VectorEnv

    entry = entry_of(env_id)
    agents = parallel(entry, env_id)
    if agents is not None:
        from envs.vector.agents import AgentsVectorEnv

        if wrappers:
            raise EnvError(
                f"{env_id} has several agents: wrap it in a function of your own that is called parallel_env"
            )
        return AgentsVectorEnv(agents, num_envs, env_id, options, time_limit)
    if isinstance(entry, str):
        spec = gymnasium.spec(entry)
        if spec.entry_point is not None or spec.vector_entry_point is None:
            return None
        env: Any = gymnasium.make_vec(entry, num_envs, **options)
    elif not (isinstance(entry, type) and issubclass(entry, VectorEnv)) and not _takes_number(entry):
        return None
    else:
        env = entry(num_envs=num_envs, **options)
    if not isinstance(env, VectorEnv):
        raise EnvError(
            f"{env_id} takes num_envs, but made a {type(env).__name__}; expected a gymnasium.vector.VectorEnv"
        )
    if wrappers or time_limit:
        raise EnvError(f"{env_id} makes its games itself: it takes neither env_wrappers nor env_time_limit")
    from envs.vector.native import NativeVectorEnv

    return NativeVectorEnv(env, env_id)


def comes_alone(env_id: str) -> bool:
    """Whether it makes one game of one agent, and not several side by side."""
    import gymnasium
    from gymnasium.vector import VectorEnv

    entry = entry_of(env_id)
    if isinstance(entry, str):
        return gymnasium.spec(entry).entry_point is not None
    several = (isinstance(entry, type) and issubclass(entry, VectorEnv)) or _takes_number(entry)
    return not several and parallel(entry, env_id) is None


def _takes_number(entry: Callable[..., Any]) -> bool:
    if isinstance(entry, type):
        return False
    try:
        return "num_envs" in inspect.signature(entry).parameters
    except (TypeError, ValueError):
        return False


def parallel(entry: Any, name: str) -> Callable[..., Any] | None:
    """``entry`` where it makes a parallel environment: PettingZoo calls the function so, or it is a class of those."""
    if isinstance(entry, type):
        return entry if any(base.__name__ == "ParallelEnv" for base in entry.__mro__) else None
    return entry if callable(entry) and name.rpartition(":")[2] == "parallel_env" else None
