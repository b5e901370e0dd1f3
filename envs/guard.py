"""An environment that misbehaves is named: which one, at which step, and what its own code was doing there."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.errors import EnvFailure
from envs.spaces import ACTION_MASK

LONGEST_MESSAGE = 2000  # characters of what an environment raised
_HERE, _GYMNASIUM = Path(__file__).parent, Path(gymnasium.__file__).parent
_NOT_ITS_OWN = (_HERE, _GYMNASIUM / "wrappers", _GYMNASIUM / "core.py", _GYMNASIUM / "envs" / "registration.py")
_log = logging.getLogger(__name__)


class Guarded(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Raises EnvFailure for whatever an environment raises, for ``sys.exit()``, and for answers that are none.

    A space that all environments of a class share becomes the environment's own: so does what is drawn from it.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], name: str, number: int, of: int = 1) -> None:
        """The game ``number``, from 0, ``of`` so many, which messages call ``name``."""
        super().__init__(env)
        self.name, self.number, self.of = name, number, of
        self.episode = self.steps = 0
        self.asks = callable(getattr(env.unwrapped, "action_masks", None))
        for space in ("action_space", "observation_space"):
            if space not in vars(env.unwrapped) and isinstance(vars(type(env.unwrapped)).get(space), spaces.Space):
                setattr(env.unwrapped, space, deepcopy(getattr(env.unwrapped, space)))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the environment; a seed is its action space's and its observation space's too."""
        self.episode, self.steps = (self.episode + 1 if seed is None else 1), 0
        try:
            if seed is not None:
                self.env.action_space.seed(seed)
                self.env.observation_space.seed(seed)
            answer: Any = self.env.reset(seed=seed, options=options)
        except (Exception, SystemExit) as error:
            raise self.failure(said(error), own_trace(error)) from None
        if not isinstance(answer, tuple) or len(answer) != 2 or not isinstance(answer[1], Mapping):
            raise self.failure(f"reset() returned {_kind(answer)}; expected an observation and a dict")
        return answer[0], self._with_mask(answer[1])

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take a step."""
        self.steps += 1
        try:
            answer: Any = self.env.step(action)
        except (Exception, SystemExit) as error:
            raise self.failure(said(error), own_trace(error)) from None
        if not isinstance(answer, tuple) or len(answer) != 5 or not isinstance(answer[4], Mapping):
            raise self.failure(
                f"step() returned {_kind(answer)}; expected observation, reward, terminated, truncated and a dict"
            )
        observation, reward, terminated, truncated, info = answer
        reward = self._number("reward", reward, float)
        terminated = self._number("terminated", terminated, bool)
        truncated = self._number("truncated", truncated, bool)
        return observation, reward, terminated, truncated, info if terminated or truncated else self._with_mask(info)

    def close(self) -> None:
        """Close the environment; what it raises then is logged: nothing is lost by it."""
        try:
            self.env.close()
        except (Exception, SystemExit) as error:
            _log.warning("%s could not be closed: %s", self.name, said(error))

    def failure(self, what: str, trace: str = "") -> EnvFailure:
        """What went wrong in the latest reset or step."""
        at = f"step {self.steps}" if self.steps else "at its reset"
        where = f"game {self.number + 1} of {self.of}, episode {self.episode}, {at}"
        return EnvFailure(f"{self.name}, {where}: {what}" + (f"\n{trace}" if trace else ""))

    def _with_mask(self, info: Mapping[str, Any]) -> Any:
        """``info`` with what ``action_masks()`` says, as sb3-contrib's environments tell their masks."""
        if not self.asks or ACTION_MASK in info:
            return info
        try:
            mask = np.asarray(self.env.get_wrapper_attr("action_masks")())
        except (Exception, SystemExit) as error:
            raise self.failure(f"action_masks(): {said(error)}", own_trace(error)) from None
        space = self.env.action_space
        if isinstance(space, spaces.MultiBinary) and mask.size == 2 * int(np.prod(space.shape)):
            may_be_0, may_be_1 = mask.reshape(*space.shape, 2).astype(bool).transpose(-1, *range(len(space.shape)))
            mask = np.where(may_be_0 & may_be_1, 2, may_be_1).astype(np.int8)
        return {**info, ACTION_MASK: mask}

    def _number(self, name: str, value: Any, kind: type) -> Any:
        if isinstance(value, float | int | np.number | np.bool_):
            return value
        array = np.asarray(value)
        if array.size != 1 or array.dtype.kind not in "biuf":
            expected = "a number" if kind is float else "true or false"
            raise self.failure(f"{name} is {_kind(value)}; expected {expected}")
        return kind(array.item())


def said(error: BaseException) -> str:
    """What was raised, in words."""
    if isinstance(error, SystemExit):
        return f"called sys.exit({'' if error.code is None else repr(error.code)})"
    return f"{type(error).__name__}: {str(error)[:LONGEST_MESSAGE] or 'no message'}"


def own_trace(error: BaseException) -> str:
    """The frames of an error that are the environment's own, as Python prints them; all below it if none is."""
    frames = own_frames(error) or traceback.extract_tb(error.__traceback__)[1:]
    return "".join(traceback.StackSummary.from_list(frames).format()).rstrip()


def own_frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Those in the environment's own code, and in what it calls."""
    return [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not any(Path(frame.filename).is_relative_to(path) for path in _NOT_ITS_OWN)
        and "importlib" not in frame.filename
    ]


def _kind(value: Any) -> str:
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return "None" if value is None else f"a {type(value).__name__}"
