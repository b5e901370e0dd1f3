"""Games that hang, crash, answer slowly or in garbage, grow, do not start: play and training go on through each."""

import dataclasses
import os
import socket
import threading
import time
from collections import Counter

import numpy as np
import pytest
import torch

from agents.acting import evaluate
from agents.config import Config, PPOConfig
from agents.placement import local
from envs import registry
from envs.starcraft import supervise
from envs.starcraft.game import GameGaveUp
from perceiver_policy.policy.config import PolicyConfig
from tests.agents.placement.test_resume import Recorder
from tests.envs.starcraft.conftest import copy, equal, games, take

STEPS = 20
"""Of an episode."""
FACE = {"screen": 16, "minimap": 16, "max_loops": 8 * STEPS}
QUICK = {"launch_interval": 0, "backoff": 0.05, "request_seconds": 3, "launch_seconds": 60, "memory_limit": 350}
AT = 10
"""The request at which a game fails."""


@pytest.fixture(scope="module")
def pair(installation):
    """Two games for all tests of this file: launching one takes a second."""
    pytest.importorskip("pysc2_evolved")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SC2PATH", str(installation))
        env = registry.make("sc2/MoveToBeacon", 2, **FACE, **QUICK)
        env.reset(seed=0)
        yield env
        env.close()
        assert not games(installation)


@pytest.fixture
def play(pair, sc2, monkeypatch):
    """Plays the first game of the two with a fault, beside the second: what was seen and counted, in a dict."""

    def run(fault="", steps=3 * STEPS, once=None):
        first, second = pair.games
        first.close()  # the fault is for the process that is started next
        if fault:
            monkeypatch.setenv("PERCEIVER_RL_FAULT", fault)
        if once is not None:
            monkeypatch.setenv("PERCEIVER_RL_FAULT_ONCE", str(once))
        failures, aborted, launches = pair.failures, pair.aborted, [game.launches for game in pair.games]
        start = time.monotonic()
        pair.reset(seed=[3, 5])
        monkeypatch.delenv("PERCEIVER_RL_FAULT", raising=False)
        neighbour = second.session.process.pid
        native = registry.make("sim/MoveToBeacon", 1, **FACE)
        native.reset(seed=5)
        pair.action_space.seed(1)
        told = {"aborted": [], "truncated": [], "slowest": 0.0}
        for step in range(1, steps + 1):
            action = pair.action_space.sample()
            asked = time.monotonic()
            before = take(copy(pair._observation), 0)
            observation, reward, terminated, truncated, info = pair.step(action)
            told["slowest"] = max(told["slowest"], time.monotonic() - asked)
            assert not terminated.any()
            if truncated[0]:
                told["truncated"].append(step)
            if info["aborted"][0]:
                told["aborted"].append(step)
                assert truncated[0]
                assert reward[0] == 0
                assert equal(info["final_obs"][0], before), "the last observation that was received"
            # The other game is, step by step, the one that is played natively.
            assert not info["aborted"][1]
            expected, expected_reward, *_ = native.step({name: values[1:] for name, values in action.items()})
            assert equal(take(expected, 0), take(observation, 1))
            assert (reward[1], truncated[1]) == (expected_reward[0], step % STEPS == 0)
        told["seconds"] = time.monotonic() - start
        told["failures"] = pair.failures - failures
        assert pair.aborted - aborted == len(told["aborted"])
        told["launches"] = first.launches - launches[0]
        assert second.launches == launches[1]
        assert second.session.process.pid == neighbour
        assert len(games(sc2)) == 2, "no process is left of the one that failed"
        return told

    return run


# ---- in the middle of an episode


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("hang@step", "hang"),
        ("crash@observation", "crash"),
        ("garbage@step", "garbled"),
        ("truncate@observation", "garbled"),
        ("wrong-size@observation", "garbled"),
    ],
)
def test_an_episode_is_aborted_once_and_play_goes_on(play, fault, kind):
    told = play(f"{fault}:{AT}")
    assert told["failures"] == Counter({kind: 1})
    failed = AT if "step" in fault else AT - 1  # the first observation is the reset's
    assert told["aborted"] == [failed]
    assert told["truncated"] == [failed, failed + STEPS, failed + 2 * STEPS], "then whole episodes follow"
    assert told["launches"] == 2
    limit = QUICK["request_seconds"] if kind == "hang" else 0
    assert limit <= told["slowest"] < limit + 12


def test_memory(play, pair, monkeypatch):
    monkeypatch.setattr(supervise, "WEIGH_EVERY", 0.0)
    # Under load a process may be slow to grow, and so may the look at it be: neither decides what is seen.
    patient = dataclasses.replace(pair.games[0].supervision, request_seconds=120.0)
    monkeypatch.setattr(pair.games[0], "supervision", patient)
    told = play(f"leak=700@step:{AT},slow=0.2@step:{AT}+")
    assert told["failures"] == Counter({"memory": 1})
    assert len(told["aborted"]) == 1
    assert told["aborted"][0] >= AT
    assert told["launches"] == 2


def test_memory_above_the_limit_is_replaced_between_episodes(play):
    told = play(f"leak=300@step:{AT}")
    assert not told["failures"]
    assert told["aborted"] == []
    assert told["truncated"] == [STEPS, 2 * STEPS, 3 * STEPS]
    assert told["launches"] == 2


def test_a_slow_answer_is_no_failure(play):
    told = play(f"slow=1@step:{AT}")
    assert not told["failures"]
    assert told["aborted"] == []
    assert told["launches"] == 1
    assert told["slowest"] >= 1


def test_an_answer_that_makes_no_sense(play, pair, monkeypatch):
    # It is well formed and of the right size: what cannot be is a type of unit that no table has.
    from envs.starcraft.pysc2 import load

    protocol = load().protocol.StarcraftProtocol
    read, asked = protocol._read, []
    neighbour = pair.games[1].session.env._controllers[0]._client

    def spoilt(self):
        response = read(self)
        if response.HasField("observation") and self is not neighbour:
            asked.append(1)
            if len(asked) == AT:
                response.observation.observation.raw_data.units[0].unit_type = 100_000
        return response

    monkeypatch.setattr(protocol, "_read", spoilt)
    told = play()
    assert told["failures"] == Counter({"garbled": 1})
    assert told["aborted"] == [AT - 1]


# ---- at launch, when no episode is under way


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        ("exit@launch", "launch", "exit code 1 during launch"),
        ("port-taken@launch", "launch", "Address already in use"),
        ("crash@create_game", "crash", "SIGKILL during launch"),
    ],
)
def test_a_game_that_does_not_start_aborts_nothing(play, tmp_path, caplog, fault, kind, says):
    told = play(fault, STEPS, once=tmp_path / "fired")
    assert told["failures"] == Counter({kind: 1})
    assert told["aborted"] == []
    assert told["launches"] == 1
    assert told["truncated"] == [STEPS]
    (line,) = caplog.messages
    assert f"sc2/MoveToBeacon, game 0: {kind}: " in line
    assert says in line
    assert "no episode was under way" in line


def test_a_game_that_does_not_listen(sc2, monkeypatch, tmp_path):
    monkeypatch.setenv("PERCEIVER_RL_FAULT", "hang@launch")
    monkeypatch.setenv("PERCEIVER_RL_FAULT_ONCE", str(tmp_path / "fired"))
    before = len(games(sc2))
    env = registry.make("sc2/MoveToBeacon", 1, **FACE, **{**QUICK, "launch_seconds": 5, "first_attempts": 10})
    try:
        env.reset(seed=0)
        assert set(env.failures) == {"launch"}
        assert env.aborted == 0
    finally:
        env.close()
    assert len(games(sc2)) == before


@pytest.fixture
def ports(monkeypatch):
    """Makes the next port that a game is given one where another program is."""
    import portpicker

    pick, given = portpicker.pick_unused_port, []
    monkeypatch.setattr(portpicker, "pick_unused_port", lambda *args, **options: given.pop() if given else pick())
    taken = []

    def take_one(answer):
        listener = socket.create_server(("127.0.0.1", 0))
        taken.append(listener)
        given.append(listener.getsockname()[1])

        def serve():
            while True:
                try:
                    line, _ = listener.accept()
                except OSError:
                    return
                taken.append(line)
                if answer is not None:
                    line.recv(4096)
                    line.sendall(answer)
                    line.close()

        threading.Thread(target=serve, daemon=True).start()

    yield take_one
    for one in taken:
        one.close()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(None, "launch"), (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "refused")],
    ids=["silent", "forbids"],
)
def test_another_program_at_the_port(play, ports, answer, kind):
    # One that accepts and never answers is no reason to wait for it: our own game could not listen, and has ended.
    ports(answer)
    told = play("", STEPS)
    assert told["failures"] == Counter({kind: 1})
    assert told["aborted"] == []
    assert told["seconds"] < 30


def test_no_free_port(play, monkeypatch):
    import portpicker

    pick, refusals = portpicker.pick_unused_port, [portpicker.NoFreePortFoundError()]

    def none_at_first(*args, **options):
        if refusals:
            raise refusals.pop()
        return pick()

    monkeypatch.setattr(portpicker, "pick_unused_port", none_at_first)
    told = play("", STEPS)
    assert told["failures"] == Counter({"ports": 1})
    assert told["aborted"] == []


# ---- giving up


@pytest.mark.parametrize(
    ("fault", "options", "says"),
    [
        (
            "exit@launch",
            {"first_attempts": 2},
            r"game 0: launch: exit code 1 during launch.*; gave up after 2 failures in a row",
        ),
        (
            f"crash@step:{AT}",  # it plays in between, but never to an end
            {"attempts": 2},
            rf"game 0: crash: SIGKILL .*fault: crash at step {AT}'; gave up after 2 failures in a row",
        ),
    ],
)
def test_giving_up_says_so(sc2, monkeypatch, fault, options, says):
    monkeypatch.setenv("PERCEIVER_RL_FAULT", fault)
    before = len(games(sc2))
    env = registry.make("sc2/MoveToBeacon", 1, **FACE, **QUICK, **options)
    try:
        with pytest.raises(GameGaveUp, match=says):
            evaluate.play(evaluate.RandomPlayer(env.single_action_space, 0), env, 1, 0)
    finally:
        env.close()
    assert len(games(sc2)) == before


# ---- evaluating and training


def test_an_evaluation_counts_it_and_plays_another(sc2, monkeypatch, tmp_path):
    monkeypatch.setenv("PERCEIVER_RL_FAULT", f"crash@step:{AT}")
    monkeypatch.setenv("PERCEIVER_RL_FAULT_ONCE", str(tmp_path / "fired"))
    env = registry.make("sc2/MoveToBeacon", 1, **FACE, **QUICK)
    try:
        played = evaluate.play(evaluate.RandomPlayer(env.single_action_space, 0), env, 3, 0)
    finally:
        env.close()
    assert played.aborted == 1
    assert played.lengths == [STEPS] * 3
    assert len(played.returns) == 3


def test_training_loses_no_step_and_no_update(sc2, monkeypatch, tmp_path):
    monkeypatch.setenv("PERCEIVER_RL_FAULT", f"crash@step:{AT}")
    monkeypatch.setenv("PERCEIVER_RL_FAULT_ONCE", str(tmp_path / "fired"))
    before, threads = len(games(sc2)), torch.get_num_threads()
    config = Config(
        env="sc2/MoveToBeacon", num_envs=2, env_options={**FACE, **QUICK}, total_steps=5 * 2 * 16, threads=1,
        policy=PolicyConfig(token_width=16, latents=2, latent_width=16, heads=2, self_attends=0),
        ppo=PPOConfig(unroll=16, minibatch=16, epochs=1),
    )  # fmt: skip
    report = Recorder()
    try:
        local.train(config, tmp_path, report, resume=False)
    finally:
        torch.set_num_threads(threads)
    assert os.path.exists(tmp_path / "fired")
    assert [metrics["step"] for metrics in report.metrics] == [32, 64, 96, 128, 160]
    last = report.metrics[-1]
    assert last["episode/aborted"] == 1
    # Of 80 steps each, one game ends four episodes; the other loses one at its tenth step and ends three more.
    assert last["episode/count"] == 80 // STEPS + (80 - AT) // STEPS
    assert last["episode/length"] == STEPS, "the one that was cut off is in no mean"
    assert all(np.isfinite(value) for metrics in report.metrics for value in metrics.values())
    assert len(games(sc2)) == before
