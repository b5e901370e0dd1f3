"""Demonstrations and clones: what is recorded, what is learned from it, and how training goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from agents.acting import demonstrations
from agents.acting.demonstrations import Demonstrations
from agents.acting.evaluate import RandomPlayer, ScriptedPlayer
from agents.acting.player import PolicyPlayer
from agents.config import Config
from agents.errors import UserError
from agents.learning import imitation
from agents.learning.imitation import imitate
from agents.learning.imitation_config import ImitationConfig
from agents.placement.local import Training
from agents.runs import checkpoint, experiment
from envs import registry
from envs.spaces import describe_spaces
from perceiver_policy.policy.config import PolicyConfig
from perceiver_policy.policy.outputs import from_environment, to_environment
from perceiver_policy.policy.policy import PerceiverPolicy
from tests.agents.probes import Squad

TINY = PolicyConfig(token_width=16, latents=2, latent_width=16, heads=2, position_bands=2)
CPU = torch.device("cpu")


def squad_leader(observation: Any) -> Any:
    """The best play of the probe, from what it shows."""
    features = observation["units"]["features"]
    function = features[..., 0].astype(int) * observation["units"]["mask"]
    marked = features[..., 1].argmax(1)[:, None]
    side = features[..., 2].astype(int)
    return {"function": function, "who": np.where(function == 1, marked, 0), "side": np.where(function == 2, side, 0)}


def shown(episodes: int, seed: int = 0, probe: str = "Squad") -> Demonstrations:
    env = registry.make(f"tests.agents.probes:{probe}", 8)
    player = ScriptedPlayer(squad_leader) if probe == "Squad" else RandomPlayer(env.single_action_space, seed)
    return demonstrations.record(player, env, episodes, seed, {"environment": probe})


def test_a_recording_is_whole_episodes_and_comes_back_from_disk(tmp_path: Path) -> None:
    found = shown(21, probe="TwoStepCredit")
    assert found.card["episodes"] == 21 == found.first.sum()
    assert found.first.tolist() == [True, False] * 21  # two steps each
    assert found.observation.tolist() == [0, 1] * 21
    paid = found.reward[1::2]
    np.testing.assert_array_equal(paid, found.action[::2] == 1)  # the first action of an episode decides
    assert found.card["mean_return"] == pytest.approx(paid.mean())
    demonstrations.save(found, tmp_path / "it")
    again = demonstrations.load(tmp_path / "it")
    for name in ("observation", "action", "reward", "first"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    assert again.card == found.card


def test_nests_come_back_from_disk(tmp_path: Path) -> None:
    nest = {"a": {"b": np.arange(3)}, "t": (np.ones(3), {"c": np.zeros((3, 2))})}
    one = Demonstrations(nest, np.arange(3), np.ones(3, np.float32), np.array([True, False, True]), {"x": 1})
    demonstrations.save(one, tmp_path / "it")
    again = demonstrations.load(tmp_path / "it")
    assert isinstance(again.observation["t"], tuple)
    np.testing.assert_array_equal(again.observation["t"][1]["c"], nest["t"][1]["c"])
    np.testing.assert_array_equal(again.observation["a"]["b"], nest["a"]["b"])
    np.testing.assert_array_equal(again.action, one.action)
    with pytest.raises(UserError, match="is not empty"):
        demonstrations.save(one, tmp_path / "it")
    (tmp_path / "it" / "reward.npy").unlink()
    with pytest.raises(UserError, match="holds no demonstrations"):
        demonstrations.load(tmp_path / "it")
    np.save(tmp_path / "it" / "reward.npy", np.ones(2))
    with pytest.raises(UserError, match=r"arrays are of \[2, 3\] steps"):
        demonstrations.load(tmp_path / "it")


def test_returns_to_go_follow_their_formula() -> None:
    rng = np.random.default_rng(0)
    first = rng.random(50) < 0.2
    first[0] = True
    data = Demonstrations(np.zeros(50), np.zeros(50), rng.normal(size=50).astype(np.float32), first, {})
    for start in range(50):
        expected, discount = 0.0, 1.0
        for i in range(start, 50):
            if i > start and first[i]:
                break
            expected += discount * float(data.reward[i])
            discount *= 0.9
        assert data.returns_to_go(0.9)[start] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    "space",
    [
        spaces.Discrete(5, start=-2),
        spaces.MultiDiscrete([3, 4]),
        spaces.Box(np.array([-1, 0], np.float32), np.array([3, 7], np.float32)),
        spaces.Dict({"a": spaces.Discrete(3), "b": spaces.Tuple((spaces.MultiBinary(4), spaces.Box(-2, 2, (1,))))}),
        Squad.action_space,
    ],
    ids=str,
)
def test_what_an_environment_takes_goes_back_to_what_the_policy_chose(space: Any) -> None:
    space.seed(0)
    for _ in range(20):
        sample = space.sample()
        batch = _map(lambda x: np.asarray(x)[None], sample)
        again = _map(lambda x: x[0], to_environment(space, from_environment(space, batch)))
        for a, b in zip(_flat(again), _flat(sample), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)


def _map(change: Any, nest: Any) -> Any:
    if isinstance(nest, dict):
        return {key: _map(change, part) for key, part in nest.items()}
    return tuple(_map(change, part) for part in nest) if isinstance(nest, tuple) else change(nest)


def _flat(nest: Any) -> list[Any]:
    parts = nest.values() if isinstance(nest, dict) else nest if isinstance(nest, tuple) else None
    return [nest] if parts is None else [leaf for part in parts for leaf in _flat(part)]


def test_a_clone_does_what_was_shown_and_training_goes_on_from_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    data = shown(3000)
    env = registry.make("tests.agents.probes:Squad", 20)
    policy = PerceiverPolicy(env.single_observation_space, env.single_action_space, TINY)
    seen: list[float] = []
    config = ImitationConfig(epochs=25, minibatch=128, learning_rate=1e-2)
    metrics = imitate(policy, data, config, seed=0, on_epoch=lambda _, m: seen.append(m["imitation/held_out"]))
    assert seen[-1] < 0.3 < seen[0]
    assert metrics["imitation/held_out"] == seen[-1]
    player = PolicyPlayer(policy, device=CPU, greedy=True, seed=0)
    observation, _ = env.reset(seed=5)
    rewards = []
    for _ in range(20):
        observation, reward, *_ = env.step(player.act(observation, np.ones(20, bool)))
        rewards.append(reward.mean())
    assert np.mean(rewards) > 0.95

    spaces_of = describe_spaces(env)
    checkpoint.save(tmp_path, 0, {"learner": {"policy": policy.state_dict()}}, spaces=spaces_of, keep=1)
    experiment.write_config(Config(policy=TINY), tmp_path / "config.yaml")
    options: Any = {"env": "tests.agents.probes:Squad", "num_envs": 16, "policy": TINY, "init": tmp_path}
    options["ppo"] = {"unroll": 8, "minibatch": 64, "value_warmup": 2, "learning_rate": 1e-2}
    training = Training(Config.model_validate(options), registry.make("tests.agents.probes:Squad", 16), CPU)
    value = {"outputs.value_query", "outputs.value_head.layer.weight", "outputs.value_head.layer.bias"}
    for update in range(3):
        before = {name: p.detach().clone() for name, p in training.policy.named_parameters()}
        if update == 0:
            start = policy.state_dict()
            assert all(torch.equal(p, start[name]) for name, p in before.items())
        training.step()
        changed = {n for n, p in training.policy.named_parameters() if not torch.equal(p, before[n])}
        assert changed & value
        assert (changed <= value) == (update < 2)


@pytest.mark.parametrize("option", ["latents", "heads"])
def test_another_network_is_refused_by_name(tmp_path: Path, option: str) -> None:
    """Also where its parameters would fit: of two numbers of heads they are alike, what they do is not."""
    env = registry.make("tests.agents.probes:Squad", 2)
    policy = PerceiverPolicy(env.single_observation_space, env.single_action_space, TINY)
    checkpoint.save(tmp_path, 0, {"learner": {"policy": policy.state_dict()}}, spaces=describe_spaces(env), keep=1)
    experiment.write_config(Config(policy=TINY), tmp_path / "config.yaml")
    other = TINY.model_copy(update={option: 2 * getattr(TINY, option)})
    squad: dict[str, Any] = {"env": "tests.agents.probes:Squad", "num_envs": 2, "init": tmp_path}
    config = Config.model_validate(squad | {"policy": other})
    with pytest.raises(UserError, match=f"its network is another one: policy.{option}"):
        Training(config, env, CPU)


def test_a_reference_whose_weight_falls_to_zero(tmp_path: Path) -> None:
    env = registry.make("tests.agents.probes:Bandit", 4)
    policy = PerceiverPolicy(env.single_observation_space, env.single_action_space, TINY)
    checkpoint.save(tmp_path, 0, {"learner": {"policy": policy.state_dict()}}, spaces=describe_spaces(env), keep=1)
    ppo = {"unroll": 8, "reference": tmp_path, "reference_coefficient": 0.5, "reference_schedule": "linear"}
    config = Config.model_validate(
        {"env": "tests.agents.probes:Bandit", "num_envs": 4, "total_steps": 128, "ppo": ppo, "policy": TINY}
    )
    experiment.write_config(config, tmp_path / "config.yaml")
    training = Training(config, env, CPU)
    weights = []
    for _ in range(4):
        training.step()
        weights.append(training.learner.options.reference_coefficient)
    assert weights == pytest.approx([0.5, 0.375, 0.25, 0.125])


def test_a_minibatch_in_parts_is_one_minibatch(monkeypatch: pytest.MonkeyPatch) -> None:
    found, data = [], shown(8)
    for part in (1000, 5):
        monkeypatch.setattr("agents.learning.imitation.PART", part)
        torch.manual_seed(0)
        env = registry.make("tests.agents.probes:Squad", 1)
        policy = PerceiverPolicy(env.single_observation_space, env.single_action_space, TINY)
        found.append(imitate(policy, data, ImitationConfig(epochs=2, minibatch=16), seed=0))
    assert found[1] == pytest.approx(found[0], rel=1e-3)


def test_rare_choices_are_drawn_as_often_as_asked() -> None:
    data, config = shown(300), ImitationConfig(minibatch=50)
    env = registry.make("tests.agents.probes:Squad", 8)
    policy = PerceiverPolicy(env.single_observation_space, env.single_action_space, TINY)
    action = {name: torch.as_tensor(part) for name, part in data.action.items()}
    action["function"][:] = 0
    action["function"][1, 0] = 1
    action["function"][10:40, 3] = 2
    scarcity = imitation._scarcity(policy, action)
    expected = [max(300 / n for f, n in enumerate((300, 1, 30)) if f in row) for row in action["function"].tolist()]
    torch.testing.assert_close(scarcity, torch.tensor(expected))
    observation = {"units": {name: torch.as_tensor(x) for name, x in data.observation["units"].items()}}
    mask = {"function": torch.as_tensor(data.observation["action_mask"]["function"])}
    steps = {"observation": {**observation, "action_mask": mask}, "first": torch.ones(300), "row": torch.arange(300)}
    generator, drawn = torch.Generator().manual_seed(0), np.zeros(300)
    for _ in range(40):
        for batch in imitation._batches(steps, policy, config, generator, scarcity**0.5):
            for part, _ in batch:
                np.add.at(drawn, part["row"].numpy(), 1)
    weights = np.sqrt(expected) / np.sqrt(expected).sum()
    np.testing.assert_allclose(drawn[1] / drawn.sum(), weights[1], rtol=0.15)
    np.testing.assert_allclose(drawn[10:40].sum() / drawn.sum(), weights[10:40].sum(), rtol=0.05)


def test_what_the_mask_forbids_is_left_out() -> None:
    data = shown(8)
    masks = data.observation["action_mask"]["function"]
    wrong = np.arange(0, len(data), 10)
    masks[wrong, 0], data.action["function"][wrong, 0] = 0, 2
    masks[wrong, 0, 0] = 1
    torch.manual_seed(0)
    env = registry.make("tests.agents.probes:Squad", 1)
    policy = PerceiverPolicy(env.single_observation_space, env.single_action_space, TINY)
    found = imitate(policy, data, ImitationConfig(epochs=1, held_out=0), seed=0)
    assert found["imitation/left_out"] == pytest.approx(len(wrong) / len(data))
    assert 0 < found["imitation/loss"] < 100
