"""A policy that `perceiver-rl export` wrote plays with ONNX Runtime and numpy alone.

    perceiver-rl export runs/NAME policy.onnx
    python examples/play_onnx.py policy.onnx CartPole-v1

What makes the environment (Gymnasium) is needed to play, not PyTorch and not this project: copy this file.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np


class OnnxAgent:
    """Acts for observations in their nests of dicts and tuples; carries the memory of a policy that has one."""

    def __init__(self, path: Any = None, *, session: Any = None, about: dict[str, Any] | None = None) -> None:
        """From a file; or from a session, and what such a file says of itself."""
        if session is None:
            import onnxruntime

            session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
            about = json.loads(session.get_modelmeta().custom_metadata_map["perceiver_rl"])
        assert about is not None
        self.session, self.about = session, about
        self.memory: np.ndarray | None = None

    def act(self, observation: Any, first: np.ndarray) -> Any:
        """Actions for observations [B, ...]; ``first`` [B]: which are an episode's first."""
        feed = {}
        for name, is_ in self.about["inputs"].items():
            shape = [len(first), *is_["shape"][1:]]
            if name == "memory":
                value = np.zeros(shape) if self.memory is None or len(self.memory) != len(first) else self.memory
            else:
                value = first if name == "first" else _part(observation, name.split("/")[1:])
            feed[name] = np.asarray(value).astype(is_["dtype"]).reshape(shape)
        found = dict(zip(self.about["outputs"], self.session.run(None, feed), strict=True))
        self.memory = found.get("next_memory")
        return _nest({name: value for name, value in found.items() if name.partition("/")[0] == "action"})

    def act_single(self, observation: Any, first: bool) -> Any:
        """The action for one observation."""
        return _map(lambda x: x[0], self.act(_map(lambda x: np.asarray(x)[None], observation), np.array([first])))


def _part(value: Any, words: list[str]) -> Any:
    for word in words:
        value = value[word] if isinstance(value, dict) else value[int(word)]
    return value


def _nest(parts: dict[str, Any]) -> Any:
    """{"action/a": x, "action/b/0": y} -> {"a": x, "b": (y,)}."""
    if list(parts) == ["action"]:
        return parts["action"]
    tree: dict[str, Any] = {}
    for name, value in parts.items():
        *words, last = name.split("/")[1:]
        here = tree
        for word in words:
            here = here.setdefault(word, {})
        here[last] = value
    return _tuples(tree)


def _tuples(tree: Any) -> Any:
    """Dicts whose keys are 0, 1, 2, ... are tuples."""
    if not isinstance(tree, dict):
        return tree
    inner = {key: _tuples(value) for key, value in tree.items()}
    return tuple(inner.values()) if list(inner) == [str(i) for i in range(len(inner))] else inner


def _map(function: Any, nest: Any) -> Any:
    if isinstance(nest, dict):
        return {key: _map(function, part) for key, part in nest.items()}
    return tuple(_map(function, part) for part in nest) if isinstance(nest, tuple) else function(nest)


def main() -> None:
    """Play whole episodes and print their returns."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("model", help="the .onnx file")
    parser.add_argument("env", help="the id of a Gymnasium environment")
    parser.add_argument("--episodes", type=int, default=10)
    asked = parser.parse_args()

    import gymnasium

    agent, env = OnnxAgent(asked.model), gymnasium.make(asked.env)
    for episode in range(asked.episodes):
        observation, _ = env.reset(seed=episode)
        score, first, done = 0.0, True, False
        while not done:
            observation, reward, terminated, truncated, _ = env.step(agent.act_single(observation, first))
            score, first, done = score + float(reward), False, terminated or truncated
        print(f"episode {episode}: return {score:g}")


if __name__ == "__main__":
    main()
