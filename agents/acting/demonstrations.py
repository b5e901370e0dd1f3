"""Demonstrations: whole episodes of whoever plays, as arrays on disk.

A folder holds `card.json` (who played what, spaces, returns, the number of steps) and one `.npy` array a leaf: in
`observation/` and `action/` under the leaf's path with "/" written as "~" (the environment's own values, [N, ...]),
`reward.npy` [N] and `first.npy` [N], True where an episode begins. Episodes come one after the other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optree
from gymnasium.vector import VectorEnv

from agents.acting.evaluate import Player
from agents.errors import UserError
from envs.spaces import describe_spaces

CARD = "card.json"
NESTS = ("observation", "action")


@dataclass(frozen=True)
class Demonstrations:
    """N steps of whole episodes, one after the other."""

    observation: Any
    """Nest of arrays [N, ...]."""
    action: Any
    """Nest of arrays [N, ...], as the environment took them."""
    reward: np.ndarray
    """[N]."""
    first: np.ndarray
    """[N], True where an episode begins."""
    card: dict[str, Any]

    def __len__(self) -> int:
        return len(self.reward)

    def returns(self) -> list[float]:
        """Each episode's undiscounted return."""
        return [float(part.sum()) for part in np.split(self.reward, np.flatnonzero(self.first)[1:])]

    def returns_to_go(self, gamma: float) -> np.ndarray:
        """What was earned from each step on, discounted, up to its episode's end: [N] float32."""
        found, total = np.zeros(len(self), np.float32), 0.0
        for i in range(len(self) - 1, -1, -1):
            total = self.reward[i] + gamma * total
            found[i] = total
            if self.first[i]:
                total = 0.0
        return found


def record(
    player: Player,
    env: VectorEnv[Any, Any, Any],
    episodes: int,
    seed: int,
    card: Mapping[str, Any],
    on_episode: Callable[[], None] = lambda: None,
    demonstrator: Player | None = None,
) -> Demonstrations:
    """Let ``player`` play ``episodes`` whole episodes from a reset with ``seed``.

    With a ``demonstrator``, the actions kept are what it would have done where ``player`` has led.

    Each game plays a number of episodes that is fixed beforehand (as in an evaluation: the first to end are the short
    ones). Episodes that a failing game cuts short are left out and played anew.
    """
    games = env.num_envs
    quota = np.full(games, episodes // games)
    quota[: episodes % games] += 1
    done: list[list[list[Any]]] = [[] for _ in range(games)]
    now: list[list[Any]] = [[] for _ in range(games)]
    observation, _ = env.reset(seed=seed)
    first = np.ones(games, bool)
    while any(len(one) < wanted for one, wanted in zip(done, quota, strict=True)):
        seen = optree.tree_map(np.copy, observation)
        action = optree.tree_map(np.asarray, player.act(observation, first))
        shown = action if demonstrator is None else optree.tree_map(np.asarray, demonstrator.act(observation, first))
        observation, reward, terminated, truncated, info = env.step(action)
        ended = np.asarray(terminated) | np.asarray(truncated)
        aborted = info.get("aborted", np.zeros(games, bool))
        for game in range(games):
            if len(done[game]) == quota[game]:
                continue
            now[game].append((_row(seen, game), _row(shown, game), float(reward[game]), not now[game]))
            if ended[game]:
                if not aborted[game]:
                    done[game].append(now[game])
                    on_episode()
                now[game] = []
        first = ended
    steps = [step for one in done for episode in one for step in episode]
    nests = [optree.tree_map(lambda *x: np.stack(x), *(step[k] for step in steps)) for k in (0, 1)]
    rewards, firsts = np.array([s[2] for s in steps], np.float32), np.array([s[3] for s in steps])
    found = Demonstrations(nests[0], nests[1], rewards, firsts, {})
    returns = found.returns()
    about = {
        **card,
        "episodes": len(returns),
        "steps": len(found),
        "mean_return": float(np.mean(returns)),
        "spaces": describe_spaces(env),
    }
    return Demonstrations(nests[0], nests[1], rewards, firsts, about)


def joined(parts: Sequence[Demonstrations]) -> Demonstrations:
    """One after the other, with the last one's card."""
    nests = [optree.tree_map(lambda *x: np.concatenate(x), *(getattr(p, name) for p in parts)) for name in NESTS]
    reward, first = (np.concatenate([getattr(p, name) for p in parts]) for name in ("reward", "first"))
    return Demonstrations(nests[0], nests[1], reward, first, parts[-1].card)


def check_empty(folder: Path) -> None:
    """Raises UserError where there is something in the way of a new folder."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: is not empty; choose another folder")


def save(demonstrations: Demonstrations, folder: Path) -> None:
    """Write them. Raises UserError where the folder is not empty or cannot be written."""
    check_empty(folder)
    try:
        for name in NESTS:
            (folder / name).mkdir(parents=True)
            for path, array in _leaves(getattr(demonstrations, name)):
                np.save(folder / name / f"{path}.npy", array)
        np.save(folder / "reward.npy", demonstrations.reward)
        np.save(folder / "first.npy", demonstrations.first)
        (folder / CARD).write_text(json.dumps(demonstrations.card, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error})") from error


def load(folder: Path) -> Demonstrations:
    """Read them. Raises UserError for a folder that holds none, or not all."""
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        nests = [_nest(folder / name) for name in NESTS]
        reward, first = (np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("reward", "first"))
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: holds no demonstrations ({error}); perceiver-rl record makes them") from error
    lengths = {len(array) for nest in nests for array in optree.tree_leaves(nest)} | {len(reward), len(first)}
    if len(lengths) != 1:
        raise UserError(f"{folder}: its arrays are of {sorted(lengths)} steps, which must be equally many")
    return Demonstrations(nests[0], nests[1], reward, first, card)


def _row(nest: Any, game: int) -> Any:
    return optree.tree_map(lambda x: x[game], nest)


def _leaves(nest: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, np.ndarray]]:
    """Every array with its path: dict keys, and tuple places as "#0"."""
    if isinstance(nest, Mapping):
        for key, part in nest.items():
            yield from _leaves(part, (*path, str(key)))
    elif isinstance(nest, tuple):
        for i, part in enumerate(nest):
            yield from _leaves(part, (*path, f"#{i}"))
    else:
        yield "~".join(path) or "value", nest


def _nest(folder: Path) -> Any:
    """The reverse of :func:`_leaves`."""
    root: dict[str, Any] = {}
    for file in sorted(folder.glob("*.npy")):
        array = np.load(file, allow_pickle=False)
        if file.stem == "value":
            return array
        *parents, last = file.stem.split("~")
        at = root
        for parent in parents:
            at = at.setdefault(parent, {})
        at[last] = array
    return _tuples(root)


def _tuples(nest: Any) -> Any:
    if not isinstance(nest, dict):
        return nest
    inner = {key: _tuples(part) for key, part in nest.items()}
    if inner and all(key.startswith("#") for key in inner):
        return tuple(inner[f"#{i}"] for i in range(len(inner)))
    return inner
