"""Two participants of one game, each with a process of its own: joined by ports, in step, with own sight and result."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("websockets")

from s2clientprotocol import debug_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb

from envs.standin.protocol.dispatch import respond
from envs.standin.protocol.session import Session
from envs.standin.protocol.shared.peers import Relay
from envs.standin.vector_env import make

FUNCTIONS = ("no_op", "Attack_pt", "Train_SCV_quick")
ATTACK, TRAIN_SCV = 23, 524


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def tell(session: Session, **request: Any) -> sc_pb.Response:
    return sc_pb.Response.FromString(respond(session, sc_pb.Request(**request).SerializeToString()))


def ask(session: Session, **request: Any) -> sc_pb.Response:
    response = tell(session, **request)
    assert not response.error, response.error
    return response


class Two:
    """Two processes' sessions, which talk to each other over a socket."""

    def __init__(self, **create: Any) -> None:
        self.sessions = Session(), Session()
        setup = sc_pb.RequestCreateGame(local_map=sc_pb.LocalMap(map_path="Simple64.SC2Map"), **create)
        for _ in range(2):
            setup.player_setup.add(type=sc_pb.Participant)
        ask(self.sessions[0], create_game=setup)
        join = sc_pb.RequestJoinGame(race=1, options=sc_pb.InterfaceOptions(raw=True, score=True))
        join.server_ports.game_port = free_port()
        joined = self.each(lambda session: ask(session, join_game=join))
        assert [told.join_game.player_id for told in joined] == [1, 2]

    def each(self, call: Callable[[Session], Any]) -> list[Any]:
        """Ask both at once, as two programs would."""
        told: list[Any] = [None, None]

        def one(i: int) -> None:
            told[i] = call(self.sessions[i])

        threads = [threading.Thread(target=one, args=(i,)) for i in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        return told

    def step(self, count: int = 8) -> None:
        self.each(lambda session: tell(session, step=sc_pb.RequestStep(count=count)))

    def see(self, player: int) -> sc_pb.ResponseObservation:
        return ask(self.sessions[player - 1], observation=sc_pb.RequestObservation()).observation

    def command(self, player: int, ability: int, kind: int, place: tuple[float, float] | None = None) -> None:
        action = sc_pb.Action()
        order = action.action_raw.unit_command
        order.ability_id = ability
        units = self.see(player).observation.raw_data.units
        order.unit_tags.extend(u.tag for u in units if u.alliance == 1 and u.unit_type == kind)
        if place is not None:
            order.target_world_space_pos.x, order.target_world_space_pos.y = place
        assert ask(self.sessions[player - 1], action=sc_pb.RequestAction(actions=[action])).action.result == [1]


@pytest.fixture
def two() -> Iterator[Two]:
    playing = Two(random_seed=7)
    yield playing
    for session in playing.sessions:
        session.leave()


def test_the_game_is_the_native_one_step_by_step(two: Two) -> None:
    env = make(
        "Simple64", 2, players=2, style="raw", functions=FUNCTIONS, max_units=200, minimap=64,
        unit_features=("unit_type", "alliance", "x", "y", "health", "order"), numbers=("game_loop", "minerals"),
    )  # fmt: skip
    observation, _ = env.reset(seed=7)
    for turn in range(60):
        action = {name: np.zeros(space.shape, np.int64) for name, space in env.action_space.spaces.items()}
        for player in (1, 2):
            row = player - 1
            own = observation["units"]["features"][row][:, 1] == 1
            kinds = observation["units"]["features"][row][:, 0]
            if turn == 0:
                two.command(player, TRAIN_SCV, 18)
                action["function"][row], action["unit_tags"][row] = 2, own & (kinds == 6)
            elif turn == 10:
                # Both send all workers: one half as far as the other, so that they meet somewhere.
                place = (31.5, 31.5) if player == 1 else (40.5, 22.5)
                two.command(player, ATTACK, 45, place)
                action["function"][row], action["unit_tags"][row] = 1, own & (kinds == 2)
                action["world"][row] = int(63 - (place[1] - 0.5)) * 64 + int(place[0])
        two.step()
        observation, *_ = env.step(action)
        for player in (1, 2):
            told, row = two.see(player).observation, player - 1
            assert told.player_common.player_id == player
            assert told.player_common.minerals == observation["player"][row][1]
            units = observation["units"]
            rows = units["features"][row][units["mask"][row] > 0]
            mine = sorted((4 if u.alliance == 4 else u.alliance, u.pos.x / 64, 1 - u.pos.y / 64, u.health)
                          for u in told.raw_data.units)  # fmt: skip
            np.testing.assert_allclose(mine, sorted(map(tuple, rows[:, [1, 2, 3, 4]].tolist())), atol=1e-4)


def test_time_passes_when_both_have_asked_for_it(two: Two) -> None:
    done = threading.Event()

    def first() -> None:
        ask(two.sessions[0], step=sc_pb.RequestStep(count=5))
        done.set()

    thread = threading.Thread(target=first)
    thread.start()
    assert not done.wait(0.2)
    assert two.see(2).observation.game_loop == 0
    assert ask(two.sessions[1], step=sc_pb.RequestStep(count=2)).step.simulation_loop == 2
    assert not done.wait(0.2)
    two.sessions[0].status  # noqa: B018 still in its step
    assert ask(two.sessions[1], step=sc_pb.RequestStep(count=3)).step.simulation_loop == 5
    thread.join(10)
    assert done.is_set()


def test_who_leaves_has_lost(two: Two) -> None:
    two.step()
    ask(two.sessions[1], leave_game=sc_pb.RequestLeaveGame())
    deadline = time.monotonic() + 10
    while not (told := two.see(1)).player_result and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [(r.player_id, r.result) for r in told.player_result] == [(1, sc_pb.Victory), (2, sc_pb.Defeat)]
    assert tell(two.sessions[0], step=sc_pb.RequestStep()).error == ["Game has already ended"]


def test_who_waits_hears_that_the_other_is_gone(two: Two) -> None:
    told: list[sc_pb.Response] = []
    thread = threading.Thread(target=lambda: told.append(ask(two.sessions[0], step=sc_pb.RequestStep())))
    thread.start()
    time.sleep(0.1)
    assert two.sessions[1].relay is not None
    two.sessions[1].relay._link.close()  # as if its process had been killed
    thread.join(10)
    assert told[0].status == sc_pb.ended
    assert two.see(1).player_result[0].result == sc_pb.Victory


def test_the_second_wins_if_the_firsts_process_dies(two: Two) -> None:
    two.step()
    seen = two.see(2).observation.game_loop
    assert two.sessions[1].relay is not None
    two.sessions[1].relay._link.close()
    assert tell(two.sessions[1], step=sc_pb.RequestStep()).status == sc_pb.ended
    told = two.see(2)
    assert told.observation.game_loop == seen
    assert {r.player_id: r.result for r in told.player_result} == {1: sc_pb.Defeat, 2: sc_pb.Victory}
    assert ask(two.sessions[1], leave_game=sc_pb.RequestLeaveGame()).status == sc_pb.launched


def lose_everything(two: Two, player: int) -> None:
    """That one's last units die in the step that both ask for next."""
    units = two.see(player).observation.raw_data.units
    kill = debug_pb2.DebugKillUnit(tag=[u.tag for u in units if u.alliance == 1])
    ask(two.sessions[0], debug=sc_pb.RequestDebug(debug=[debug_pb2.DebugCommand(kill_unit=kill)]))


def test_the_second_knows_how_it_ended_when_the_first_is_gone(two: Two) -> None:
    two.step()
    lose_everything(two, 2)
    two.step()
    assert two.sessions[1].relay is not None
    two.sessions[1].relay._link.close()
    for _ in range(2):
        told = tell(two.sessions[1], id=7, observation=sc_pb.RequestObservation())
        assert (told.id, told.status) == (7, sc_pb.ended)
        assert {r.player_id: r.result for r in told.observation.player_result} == {1: sc_pb.Victory, 2: sc_pb.Defeat}


@pytest.mark.parametrize("how", ["leave_game", "quit"])
def test_the_firsts_process_stays_until_the_second_knows_how_it_ended(
    two: Two, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_everything(two, 2)
    looks_later = threading.Event()
    exchange = Relay._exchange

    def late(relay: Relay, message: bytes) -> bytes:
        if sc_pb.Request.FromString(message).HasField("observation"):
            looks_later.wait(10)
        return exchange(relay, message)

    monkeypatch.setattr(Relay, "_exchange", late)
    second = threading.Thread(target=lambda: tell(two.sessions[1], step=sc_pb.RequestStep()))
    second.start()
    tell(two.sessions[0], step=sc_pb.RequestStep())
    goes = threading.Thread(target=lambda: tell(two.sessions[0], **{how: getattr(sc_pb.Request(), how)}))
    goes.start()
    goes.join(0.3)
    assert goes.is_alive()
    looks_later.set()
    goes.join(10)
    assert not goes.is_alive()
    second.join(10)
    assert {r.player_id: r.result for r in two.see(2).player_result} == {1: sc_pb.Victory, 2: sc_pb.Defeat}


def test_in_real_time_it_goes_on_by_itself() -> None:
    two = Two(random_seed=1, realtime=True)
    loops = [told.observation.observation.game_loop for told in
             two.each(lambda s: ask(s, observation=sc_pb.RequestObservation(game_loop=12)))]  # fmt: skip
    assert min(loops) >= 12
    for session in two.sessions:
        session.leave()


def test_a_replay_shows_what_each_has_seen(two: Two) -> None:
    two.command(2, TRAIN_SCV, 18)
    two.step(300)
    two.command(1, ATTACK, 45, (31.5, 31.5))
    two.step(40)
    seen = [two.see(player).observation for player in (1, 2)]
    data = ask(two.sessions[1], save_replay=sc_pb.RequestSaveReplay()).save_replay.data
    info = ask(Session(), replay_info=sc_pb.RequestReplayInfo(replay_data=data)).replay_info
    assert [p.player_info.player_id for p in info.player_info] == [1, 2]
    for player in (1, 2):
        session = Session()
        watch = sc_pb.RequestStartReplay(replay_data=data, observed_player_id=player)
        watch.options.raw = watch.options.score = True
        ask(session, start_replay=watch)
        ask(session, step=sc_pb.RequestStep(count=340))
        told = ask(session, observation=sc_pb.RequestObservation()).observation.observation
        assert told.player_common == seen[player - 1].player_common
        assert told.raw_data.units == seen[player - 1].raw_data.units


def test_two_cannot_take_back_or_start_again(two: Two) -> None:
    for request in ("quick_save", "restart_game"):
        kind = {"quick_save": sc_pb.RequestQuickSave, "restart_game": sc_pb.RequestRestartGame}[request]
        assert "two play this game" in tell(two.sessions[0], **{request: kind()}).error[0]


def test_without_ports_or_with_nobody_there_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envs.standin.protocol.shared.peers.JOIN_SECONDS", 0.2)
    session = Session()
    setup = sc_pb.RequestCreateGame(local_map=sc_pb.LocalMap(map_path="Simple64.SC2Map"))
    for _ in range(2):
        setup.player_setup.add(type=sc_pb.Participant)
    ask(session, create_game=setup)
    join = sc_pb.RequestJoinGame(race=1, options=sc_pb.InterfaceOptions(raw=True))
    assert tell(session, join_game=join).join_game.error == sc_pb.ResponseJoinGame.MissingPorts
    join.server_ports.game_port = free_port()
    assert "no second player has come" in tell(session, join_game=join).error[0]
    assert "no game that was created waits" in tell(Session(), join_game=join).error[0]


@pytest.mark.parametrize(("watched", "enemies"), [(0, True), (2, False)])
def test_an_observer_sees_two_computers_play(watched: int, enemies: bool) -> None:
    session = Session()
    setup = sc_pb.RequestCreateGame(random_seed=2, local_map=sc_pb.LocalMap(map_path="Simple64.SC2Map"))
    for difficulty in (sc_pb.VeryEasy, sc_pb.VeryHard):
        setup.player_setup.add(type=sc_pb.Computer, race=1, difficulty=difficulty)
    setup.player_setup.add(type=sc_pb.Observer)
    ask(session, create_game=setup)
    told = ask(
        session, join_game=sc_pb.RequestJoinGame(observed_player_id=watched, options=sc_pb.InterfaceOptions(raw=True))
    ).join_game
    assert told.player_id == 0
    ask(session, step=sc_pb.RequestStep(count=16))
    units = ask(session, observation=sc_pb.RequestObservation()).observation.observation.raw_data.units
    assert {u.owner for u in units} == ({1, 2, 16} if enemies else {2, 16})
    assert "gives no orders" in tell(session, action=sc_pb.RequestAction()).error[0]
    if watched == 0:
        while not (seen := ask(session, observation=sc_pb.RequestObservation()).observation).player_result:
            ask(session, step=sc_pb.RequestStep(count=2000))
        assert {r.player_id: r.result for r in seen.player_result} == {1: sc_pb.Defeat, 2: sc_pb.Victory}
