"""Policies from Python: load one, act with it in one's own loop, evaluate it, and record what it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from gymnasium.vector.utils import batch_space, create_empty_array, iterate

from agents.acting import demonstrations
from agents.acting.evaluate import (
    FRESH_SEED,
    LARGEST_VECTOR,
    MAX_STEPS,
    Evaluation,
    Player,
    RandomPlayer,
    ScriptedPlayer,
    games_for,
    play,
)
from agents.acting.player import PolicyPlayer, load_policy
from agents.commands.demonstrate import plain_options
from agents.config import Config
from agents.cores import cores
from agents.errors import UserError
from agents.runs import experiment, folder
from envs import arrays, masks, registry
from envs.observations import Fault, read
from envs.spaces import ACTION_MASK, Units, at, describe, describe_spaces, leaves
from perceiver_rl import environments
from perceiver_rl.running import Run


class Agent:
    """A trained policy that acts, one observation at a time or many; it remembers what its memory holds."""

    def __init__(
        self, policy: Any, config: Config, *, name: str, device: Any, seed: int = 0, given: Any = None
    ) -> None:
        """``policy`` is on ``device``; ``seed`` is that of sampled actions. ``given``: the environment's own spaces of
        observations and actions, where what it shows and takes may be no arrays."""
        self.policy, self.config, self.name = policy, config, name
        self.observation_space: spaces.Space[Any] = policy.observation_space
        """Of one observation, as the policy reads it: a mask that the environment gives in ``info`` is a part of it."""
        self.action_space: spaces.Space[Any] = policy.action_space
        self._given, self._device = given, device
        self._player = self._make_player(False, seed)
        self._first = True

    def reset(self) -> None:
        """Forget: the next observation is an episode's first. Needed only by a policy with memory."""
        self._first = True

    def act(self, observation: Any, *, mask: Any = None, first: Any = None, sampled: bool | None = None) -> Any:
        """The action for an observation as the environment gives it, or the actions [B, ...] for a batch of them.

        ``mask``: ``info["action_mask"]``, for a policy that was trained with masks from there. ``first`` [B] or one
        truth value: which observations are an episode's first; without it those after :meth:`reset`. ``sampled``: draw
        the action instead of taking the likeliest one; without it as the experiment's evaluation does. Raises UserError
        for an observation of another space, and for a mask where it was trained with none.
        """
        space = self.observation_space
        observation, mask = self._as_arrays(observation, mask)
        if mask is not None and not (isinstance(space, spaces.Dict) and ACTION_MASK in space.spaces):
            raise UserError("act: this policy was trained without masks, and obeys none: leave mask away")
        single = self._is_single(observation)
        batch = self._batch_of_one(observation, mask) if single else self._with_mask(observation, mask)
        games = 1 if single else len(_first_leaf(self.observation_space, batch)[0])
        if first is None:
            first = self._first
        self._first = False
        self._player.greedy = not (self.config.evaluation_sampled if sampled is None else sampled)
        action = self._player.act(batch, np.full(games, first, bool))
        if not single:
            return action
        one = next(iter(iterate(batch_space(self.action_space, 1), action)))
        return arrays.chosen(self._given[1], arrays.as_choices(self._given[1]), one) if self._given else one

    def evaluate(
        self,
        env: environments.Given | None = None,
        episodes: int = 100,
        *,
        seed: int = 0,
        sampled: bool | None = None,
        max_steps: int = MAX_STEPS,
    ) -> Evaluation:
        """Play whole, fresh episodes in ``env``, without it the run's own. Memory for :meth:`act` stays as it is.

        ``evaluation.returns`` and ``evaluation.lengths`` are lists, ``print(evaluation)`` shows a table.
        """
        if episodes < 1:
            raise UserError(f"evaluate: episodes should be at least 1, got {episodes}")
        env_id, options = self._environment(env)
        sampled = self.config.evaluation_sampled if sampled is None else sampled
        with closing(_make(env_id, options, 1 if environments.is_one(env) else episodes)) as games:
            _check_spaces(self, games)
            player = self._make_player(sampled, FRESH_SEED + seed)
            played = play(player, games, episodes, FRESH_SEED + seed, max_steps=max_steps)
        how = "sampled" if sampled else "greedy"
        return Evaluation(registry.label(env_id), f"{self.name} ({how})", seed, played)

    def _make_player(self, sampled: bool, seed: int) -> PolicyPlayer:
        return PolicyPlayer(self.policy, device=self._device, greedy=not sampled, seed=seed)

    def _environment(self, env: environments.Given | None) -> tuple[str, dict[str, Any]]:
        config = self.config
        env_id = config.env if env is None else environments.name_of(env)
        return env_id, registry.options_for(env_id, config.env, config.env_arguments)

    def _as_arrays(self, observation: Any, mask: Any) -> tuple[Any, Any]:
        """One observation, and its mask, as the environment has them: texts, sequences, graphs become arrays."""
        if self._given is None:
            return observation, mask
        shown, taken = self._given
        known = arrays.as_arrays(shown)
        try:
            observation = arrays.to_arrays(shown, known, observation, "")
        except Fault as fault:  # unless it is of arrays already, or a batch of such
            if not all(isinstance(at(observation, keys), np.ndarray | Mapping) for keys, _ in leaves(known)):
                raise UserError(f"act: {fault}") from None
        return observation, None if mask is None else arrays.mask_of_choices(taken, mask)

    def _is_single(self, observation: Any) -> bool:
        try:
            value, shape = _first_leaf(self.observation_space, self._with_mask(observation, None))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise UserError(f"act: the observation has no part {error} of {self.observation_space}") from error
        more = np.ndim(value) - len(shape)
        if more not in (0, 1):
            raise UserError(
                f"act: expected an observation of {self.observation_space}, or a batch of them; a part of shape "
                f"{shape} has the shape {np.shape(value)}"
            )
        return more == 0

    def _with_mask(self, observation: Any, mask: Any) -> Any:
        """As the policy reads it: with the mask that the environment gives apart."""
        space = self.observation_space
        if not isinstance(space, spaces.Dict) or ACTION_MASK not in space.spaces:
            return observation
        if isinstance(observation, Mapping) and ACTION_MASK in observation:
            return observation
        if set(space.spaces) == {"observation", ACTION_MASK} and not (
            isinstance(observation, Mapping) and set(observation) == {"observation"}
        ):
            observation = {"observation": observation}
        return observation if mask is None else {**observation, ACTION_MASK: mask}

    def _batch_of_one(self, observation: Any, mask: Any) -> Any:
        space = self.observation_space
        shown = self._with_mask(observation, None)
        try:
            if isinstance(space, spaces.Dict) and ACTION_MASK in space.spaces and ACTION_MASK not in shown:
                if mask is None:
                    raise UserError(
                        "act: this policy was trained with masks of what may be chosen: give mask=info['action_mask']"
                    )
                whole = masks.complete(self.action_space, space[ACTION_MASK], masks.compact(self.action_space, mask))
                shown = {**shown, ACTION_MASK: whole}
            return read(space, [shown], create_empty_array(space, 1))
        except Fault as fault:
            raise UserError(f"act: {fault}") from None


def load(
    run: Run | str | Path,
    *,
    env: environments.Given | None = None,
    device: str = "auto",
    seed: int = 0,
    trust: bool = False,
) -> Agent:
    """The newest policy of a run, or that of a checkpoint's folder, ready to act.

    ``env``: the environment whose spaces it is for, where the run's own is not to be had. ``trust``: run the code that
    a folder's config.yaml names (an environment module:Class, extensions); a :class:`Run` that was trained here needs
    no such word. Raises UserError where there is no policy, it is for other spaces, or an extension is missing.
    """
    path = run.path if isinstance(run, Run) else Path(run)
    checkpoint = path if folder.STEP.fullmatch(path.name) else None
    run_dir = path.parent.parent if checkpoint else path
    config = experiment.read_run_config(run_dir)
    code = registry.code_named(config.env, config.env_arguments) or next(iter(config.extensions), None)
    if code and not (trust or isinstance(run, Run)) and (env is None or config.extensions):
        raise UserError(f"{run_dir}/config.yaml names code to run, {code}: if you trust it, say so with trust=True")
    experiment.load_extensions(config)
    env_id = config.env if env is None else environments.name_of(env)
    with closing(_make(env_id, registry.options_for(env_id, config.env, config.env_arguments), 1)) as games:
        policy, where = load_policy(run_dir, config, games, device=device, path=checkpoint)
        given = getattr(games, "given", None)
    return Agent(policy, config, name=run_dir.name, device=where, seed=seed, given=given)


def record(
    player: Agent | Callable[[Any], Any] | str,
    env: environments.Given | None = None,
    episodes: int = 100,
    out: str | Path = "demonstrations",
    *,
    seed: int = 0,
    sampled: bool | None = None,
    **options: Any,
) -> demonstrations.Demonstrations:
    """Let somebody play whole episodes, and keep in the folder ``out`` all that was seen and done.

    ``player``: an agent, a function of observations [B, ...] to actions [B, ...], or ``random``, ``scripted`` or
    ``strong``. ``options`` are the environment's. Raises UserError where the folder is not empty.
    """
    demonstrations.check_empty(Path(out))
    if isinstance(player, Agent):
        env_id, own = player._environment(env)
        options = {**own, **options}
    elif env is None:
        raise UserError("record: env: say in which environment to play")
    else:
        env_id = environments.name_of(env)
    if isinstance(player, str):
        options = registry.player_options(env_id, player, options)
    with closing(_make(env_id, options, 1 if environments.is_one(env) else episodes)) as games:
        who, name = _player(player, env_id, games, seed, sampled)
        card = {"environment": env_id, "env_options": plain_options(options), "player": name, "seed": seed}
        found = demonstrations.record(who, games, episodes, seed, card)
    demonstrations.save(found, Path(out))
    return found


def _player(
    player: Agent | Callable[[Any], Any] | str, env_id: str, games: VectorEnv, seed: int, sampled: bool | None
) -> tuple[Player, str]:
    if isinstance(player, Agent):
        _check_spaces(player, games)
        sampled = player.config.evaluation_sampled if sampled is None else sampled
        return player._make_player(sampled, seed), player.name
    if player == "random":
        return RandomPlayer(games.single_action_space, seed), player
    if isinstance(player, str):
        return ScriptedPlayer(registry.scripted(env_id, player, games)), player
    return ScriptedPlayer(player), getattr(player, "__name__", type(player).__name__)


def _make(env_id: str, options: Mapping[str, Any], episodes: int) -> VectorEnv[Any, Any, Any]:
    registry.check(env_id, options)
    most = cores() if registry.is_process(env_id) else LARGEST_VECTOR
    return registry.make(env_id, games_for(episodes, most), **options)


def _check_spaces(agent: Agent, games: VectorEnv[Any, Any, Any]) -> None:
    described = describe_spaces(games)
    own = {"observation_space": describe(agent.observation_space), "action_space": describe(agent.action_space)}
    for name, space in own.items():
        if described[name] != space:
            raise UserError(
                f"{agent.name} was trained with the {name.replace('_', ' ')}\n  {space}\n"
                f"but this environment has\n  {described[name]}"
            )


def _first_leaf(space: spaces.Space[Any], observation: Any) -> tuple[Any, tuple[int, ...]]:
    """A part of an observation, and its shape in one observation."""
    keys, leaf = next((keys, leaf) for keys, leaf in leaves(space) if ACTION_MASK not in keys)
    value = at(observation, keys)
    if isinstance(leaf, Units):
        return value["features"], (leaf.capacity, len(leaf.columns))
    return value, leaf.shape or ()
