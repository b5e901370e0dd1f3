"""Hostile messages to a live process: it answers each, keeps its memory, and then plays a game as ever."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

psutil = pytest.importorskip("psutil")
pytest.importorskip("websockets")

from google.protobuf.message import DecodeError  # noqa: E402
from s2clientprotocol import sc2api_pb2 as sc_pb  # noqa: E402

from tests.envs.standin.protocol.conftest import Process  # noqa: E402
from tests.envs.standin.protocol.hostile.messages import Hostile, enter  # noqa: E402

SLOWEST = 30.0
"""Seconds that the answer to any message may take, on a machine that has much else to do."""


def harass(process: Process, messages: int, seed: int) -> tuple[Counter[str], float]:
    """Send so many messages; the kinds of answers, and how long the slowest took."""
    source = Hostile(seed)
    told: Counter[str] = Counter()
    slowest = 0.0
    with process.connect() as client:

        def ask(request: sc_pb.Request) -> sc_pb.Response:
            client.send(request.SerializeToString())
            return sc_pb.Response.FromString(client.recv(SLOWEST))

        status = sc_pb.launched
        for i in range(messages):
            if i % 500 == 0 or (status != sc_pb.in_game and source.random.random() < 0.2):
                enter(ask, seed + i)
                status = sc_pb.in_game
            if i % 20 == 0 and status == sc_pb.in_game:
                seen = ask(sc_pb.Request(observation=sc_pb.RequestObservation())).observation.observation
                source.tags = [unit.tag for unit in seen.raw_data.units] or source.tags
            began = time.monotonic()
            message = source.message()
            if waits(message):
                continue
            client.send(message)
            try:
                response = sc_pb.Response.FromString(client.recv(SLOWEST))
            except TimeoutError:
                pytest.fail(f"message {i} has no answer: {sc_pb.Request.FromString(message)}")
            slowest = max(slowest, time.monotonic() - began)
            status = response.status
            assert status != sc_pb.quit
            told["error" if response.error else str(response.WhichOneof("response"))] += 1
            assert not any("failed" in error for error in response.error), response.error
        client.send(sc_pb.Request(leave_game=sc_pb.RequestLeaveGame()).SerializeToString())
        client.recv(SLOWEST)
    return told, slowest


def waits(message: bytes) -> bool:
    """Does the game wait for another process, as long as it takes, before it answers?"""
    try:
        return sc_pb.Request.FromString(message).join_game.HasField("server_ports")
    except DecodeError:
        return False


def memory(process: Process) -> float:
    """Megabytes that the process has."""
    return float(psutil.Process(process.process.pid).memory_info().rss) / 2**20


def test_a_process_answers_hostile_messages(process: Process) -> None:
    told, _ = harass(process, 3_000, seed=1)
    # Not all of them are turned down at the door.
    assert told["error"] < 2_000
    assert set(told) >= {"action", "debug", "query", "step", "observation", "create_game", "start_replay"}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_hundred_thousand_hostile_messages(
    process: Process, monkeypatch: pytest.MonkeyPatch, installation: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = scripted_score(process, installation, monkeypatch)
    harass(process, 5_000, seed=0)  # after which everything has been used once
    at_first, began = memory(process), time.monotonic()
    told, slowest = harass(process, 120_000, seed=1_000_000)
    seconds, at_last = time.monotonic() - began, memory(process)
    with capsys.disabled():
        print(
            f"\n{sum(told.values())} messages in {seconds:.0f} s, the slowest {slowest:.2f} s; memory {at_first:.0f} "
            f"MB before, {at_last:.0f} MB after; scripted score before: {before}; answers: {dict(told.most_common())}"
        )
    assert at_last - at_first < 32
    assert scripted_score(process, installation, monkeypatch) == before


def scripted_score(process: Process, installation: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """What PySC2's scripted agent gets on MoveToBeacon in this process, which it takes for one that it has started."""
    pytest.importorskip("pysc2_evolved.env.sc2_env")
    from pysc2_evolved.agents import scripted_agent
    from pysc2_evolved.env import run_loop, sc2_env
    from pysc2_evolved.lib import features, remote_controller
    from pysc2_evolved.run_configs import lib as run_configs

    monkeypatch.setenv("SC2PATH", str(installation))

    def start(self: object, **options: object) -> SimpleNamespace:
        controller = remote_controller.RemoteController(
            "127.0.0.1", process.port, SimpleNamespace(running=True), timeout_seconds=60
        )
        return SimpleNamespace(controller=controller, close=lambda: None)

    with monkeypatch.context() as patch:
        patch.setattr(remote_controller.RemoteController, "quit", remote_controller.RemoteController.close)
        for kind in run_configs.RunConfig.all_subclasses():
            if "start" in vars(kind):
                patch.setattr(kind, "start", start)
        agent = scripted_agent.MoveToBeacon()
        with sc2_env.SC2Env(
            map_name="MoveToBeacon",
            players=[sc2_env.Agent(sc2_env.Race.terran)],
            agent_interface_format=features.AgentInterfaceFormat(
                feature_dimensions=features.Dimensions(screen=84, minimap=64), use_feature_units=True
            ),
            step_mul=8,
            random_seed=1,
        ) as env:
            run_loop.run_loop([agent], env, max_episodes=1)
    assert 21 <= agent.reward <= 31  # published: 26 on average
    return int(agent.reward)
