"""From Python: what `train`, `load`, `act`, `evaluate`, `record` and `imitate` do, against plain loops and files."""

import json
import subprocess
import sys
import threading

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

import perceiver_rl
from agents.acting.player import PolicyPlayer
from agents.runs import folder
from envs import arrays, registry
from tests.agents.probes import Recall

TINY = {"policy": {"token_width": 8, "latents": 2, "latent_width": 8, "heads": 2, "self_attends": 0}}
QUICK = {**TINY, "num_envs": 4, "total_steps": 128, "ppo": {"unroll": 16, "minibatch": 64, "epochs": 1}, "quiet": True}
ALONE = {**TINY, "total_steps": 64, "ppo": {"unroll": 32, "minibatch": 64, "epochs": 1}, "quiet": True}


def play(env, agent, seed):
    """One episode in one's own loop."""
    observation, _ = env.reset(seed=seed)
    total, over = 0.0, False
    while not over:
        observation, reward, terminated, truncated, _ = env.step(agent.act(observation))
        total, over = total + reward, terminated or truncated
    return total


def test_an_environment_that_is_there_is_trained_on_and_acted_in(tmp_path):
    env = gymnasium.make("CartPole-v1")
    run = perceiver_rl.train(env, run_dir=tmp_path / "run", **ALONE)
    agent = perceiver_rl.load(run)
    returns = [play(env, agent, seed) for seed in range(3)]
    assert all(1 <= total <= 500 for total in returns)
    assert env.reset(seed=0)[0].shape == (4,)  # nobody has closed it
    assert run.config.env == "python/CartPoleEnv"
    assert run.config.num_envs == 1
    evaluation = agent.evaluate(env, 2)
    assert len(evaluation.returns) == 2
    assert "python/CartPoleEnv" in str(evaluation)


def test_a_function_makes_several_side_by_side_and_what_can_be_imported_goes_by_its_name(tmp_path):
    from gymnasium.envs.classic_control import CartPoleEnv

    made = []

    def make():
        made.append(gymnasium.make("CartPole-v1"))
        return made[-1]

    perceiver_rl.train(make, run_dir=tmp_path / "own", **QUICK)
    assert len(made) == 4
    run = perceiver_rl.train(CartPoleEnv, run_dir=tmp_path / "class", **QUICK)
    assert run.config.env == "gymnasium.envs.classic_control.cartpole:CartPoleEnv"


def test_metrics_are_the_records_and_a_run_goes_on(tmp_path):
    run = perceiver_rl.train("CartPole-v1", run_dir=tmp_path / "run", **QUICK)
    table = run.metrics()
    records = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert list(table["step"]) == [record["step"] for record in records] == [64, 128]
    assert list(table["loss/total"]) == [record["loss/total"] for record in records]
    assert run.resume(total_steps=192, quiet=True) is run
    assert list(run.metrics()["step"]) == [64, 128, 192]
    with pytest.raises(perceiver_rl.UserError, match="seed: cannot change when a run goes on"):
        run.resume(seed=3)


def test_a_callback_stops_at_a_return(tmp_path, capsys):
    stop = lambda run, metrics: run.stop() if metrics.get("episode/return", 0) > 5 else None  # noqa: E731
    options = {**QUICK, "total_steps": 10_000}
    run = perceiver_rl.train("CartPole-v1", run_dir=tmp_path / "run", callbacks=[stop], **options)
    assert run.metrics()["step"].max() < 1000
    assert folder.state(run.path)["state"] == "finished"
    assert capsys.readouterr() == ("", "")  # it was asked to be quiet


def test_twice_at_once_in_threads_and_what_the_process_had_set_stays(tmp_path):
    before = torch.get_num_threads()
    found = {}

    def go(seed):
        run = perceiver_rl.train("CartPole-v1", run_dir=tmp_path / str(seed), seed=seed, **QUICK)
        assert (torch.full((1,), 1e-38) / 10).any()  # as numbers are by themselves: this one is not taken for 0
        found[seed] = perceiver_rl.load(run).evaluate(episodes=2).returns

    threads = [threading.Thread(target=go, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert sorted(found) == [1, 2]
    assert torch.get_num_threads() == before


def test_one_observation_is_acted_on_as_in_a_batch_and_memory_is_kept(tmp_path):
    options = {**QUICK, "policy": {**TINY["policy"], "memory": "latents"}}
    run = perceiver_rl.train(Recall, run_dir=tmp_path / "run", **options)
    agent = perceiver_rl.load(run, trust=True)
    space = agent.observation_space
    space.seed(0)
    seen = [space.sample() for _ in range(6)]
    player = PolicyPlayer(agent.policy, device=torch.device("cpu"), greedy=True, seed=0)
    batched = [player.act(np.asarray(observation)[None], np.array([t in (0, 3)])) for t, observation in enumerate(seen)]
    ours = []
    for t, observation in enumerate(seen):
        if t == 3:
            agent.reset()
        ours.append(agent.act(observation))
    assert [int(action) for action in ours] == [int(action[0]) for action in batched]
    assert agent.action_space.contains(ours[0])


class Told(gymnasium.Env):
    """Shows a text and a sequence, and lets choose between a number and a push: values that are no arrays."""

    observation_space = spaces.Dict({"text": spaces.Text(8), "seen": spaces.Sequence(spaces.Discrete(3))})
    action_space = spaces.OneOf((spaces.Discrete(4), spaces.Box(-1, 1, (2,))))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return {"text": "go", "seen": (1, 2)}, {}

    def step(self, action):
        assert self.action_space.contains(action)
        return {"text": "stop", "seen": ()}, 1.0, bool(self.np_random.random() < 0.5), False, {}


def test_what_is_no_array_is_acted_on_as_the_environment_gives_it(tmp_path):
    agent = perceiver_rl.load(perceiver_rl.train(Told, run_dir=tmp_path / "run", env_processes=2, **QUICK))
    env = Told()
    observation, _ = env.reset(seed=0)
    actions = [agent.act(observation, sampled=True) for _ in range(20)]
    assert {action[0] for action in actions} == {0, 1}
    assert all(env.action_space.contains(action) for action in actions)
    as_arrays = arrays.to_arrays(env.observation_space, agent.observation_space, observation, "")
    assert agent.act(as_arrays, sampled=False)[0] == agent.act(observation, sampled=False)[0]
    with pytest.raises(perceiver_rl.UserError, match="observation 'text' is a int"):
        agent.act({"text": 3, "seen": ()})


def test_a_batch_gives_as_many_actions(tmp_path):
    agent = perceiver_rl.load(perceiver_rl.train("CartPole-v1", run_dir=tmp_path / "run", **QUICK))
    observations = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    actions = agent.act(observations, sampled=False)
    assert actions.shape == (5,)
    assert [agent.act(one, sampled=False) for one in observations] == list(actions)
    drawn = {int(agent.act(observations[0], sampled=True)) for _ in range(50)}
    assert drawn == {0, 1}
    with pytest.raises(perceiver_rl.UserError, match=r"expected an observation of .*Box.* has the shape \(2, 5, 4\)"):
        agent.act(np.zeros((2, 5, 4)))
    with pytest.raises(perceiver_rl.UserError, match="act: this policy was trained without masks"):
        agent.act(observations[0], mask=[0, 1])
    with pytest.raises(perceiver_rl.UserError, match="episodes should be at least 1, got 0"):
        agent.evaluate("CartPole-v1", episodes=0)


def test_a_checkpoint_of_its_own_and_what_is_none(tmp_path):
    run = perceiver_rl.train("CartPole-v1", run_dir=tmp_path / "run", checkpoint_interval=64, **QUICK)
    first, last = sorted(folder.checkpoints(run.path))
    old, new = (perceiver_rl.load(path).policy.state_dict() for path in (first, last))
    assert any(not torch.equal(old[name], new[name]) for name in old)
    newest = perceiver_rl.load(run).policy.state_dict()
    assert all(torch.equal(newest[name], new[name]) for name in new)
    (first / "state.pt").write_bytes(b"")
    with pytest.raises(perceiver_rl.UserError, match=r"is damaged: state.pt"):
        perceiver_rl.load(first)


def test_demonstrations_are_recorded_and_imitated(tmp_path):
    def lean(observation):  # push to where the pole falls
        return (observation[:, 2] > 0).astype(np.int64)

    found = perceiver_rl.record(lean, "CartPole-v1", 12, tmp_path / "shown")
    assert (found.action == (found.observation[:, 2] > 0)).all()
    clone = perceiver_rl.imitate(
        tmp_path / "shown", run_dir=tmp_path / "clone", imitation={"epochs": 60, "minibatch": 64}, **TINY
    )
    agent = perceiver_rl.load(clone)
    same = [agent.act(seen, sampled=False) == did for seen, did in zip(found.observation, found.action, strict=True)]
    assert np.mean(same) > 0.9
    again = perceiver_rl.record(agent, None, 2, tmp_path / "again")
    assert again.card["environment"] == "CartPole-v1"


def test_what_is_wrong_is_said_in_words(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for options, words in (
        ({"total_stepz": 5}, "train: unknown key 'total_stepz'; did you mean 'total_steps'"),
        ({"lr": 1e-3}, "ppo.learning_rate"),
        ({"env": 5}, "env: expected an environment's id"),
        ({"env": gymnasium.make("CartPole-v1"), "num_envs": 4}, "hand over a function"),
        ({"env": lambda: None, "workers": 2}, "is known to this process alone"),
        ({"config": "cartpool"}, "did you mean cartpole|did you mean 'cartpole'"),
    ):
        with pytest.raises(perceiver_rl.UserError, match=words):
            perceiver_rl.train(**options)
    assert not list(tmp_path.iterdir())
    with pytest.raises(perceiver_rl.UserError, match=r"no run folder|not a run folder"):
        perceiver_rl.load(tmp_path)
    with pytest.raises(ValueError, match="Python code handed over this environment, and is not running here"):
        registry.check("python/Nowhere")


CODE = """
import sys
{first}
import perceiver_rl
assert "torch" not in sys.modules
import gymnasium
env = gymnasium.make("perceiver_rl/MoveToBeacon")
print(env.spec.id, "torch" in sys.modules)
"""


@pytest.mark.parametrize("first", ["", "import gymnasium"])
def test_the_mini_games_are_gymnasiums_whichever_is_imported_first(first):
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(first=first)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.split() == ["perceiver_rl/MoveToBeacon", "False"], done.stderr


def test_another_package_of_our_name_that_came_first_is_named(tmp_path):
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "__init__.py").write_text("")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import agents, perceiver_rl; perceiver_rl.train"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert "ImportError: 'agents' has been imported from" in done.stderr
