"""How each mini-game begins and what it pays, against what its map says (``envs/starcraft/maps.py``)."""

import numpy as np
import pytest

from envs.standin.rules import catalog as c
from envs.standin.rules import world as w
from envs.standin.vector_env import make
from envs.starcraft.maps import MAPS

GAMES = 64


def begun(name, games=GAMES, **options):
    env = make(name, games, step_mul=1, **options)
    env.reset(seed=5)
    return env, [np.array(row) for row in MAPS[name].written.places]


def wait(env):
    return env.step({key: value * 0 for key, value in env.action_space.sample().items()})


def away(units, i, j):
    return np.hypot(units["x"][:, i] - units["x"][:, j], units["y"][:, i] - units["y"][:, j])


def in_rectangle(x, y, rectangle):
    left, bottom, right, top = rectangle
    return (left <= x) & (x <= right) & (bottom <= y) & (y <= top)


@pytest.mark.parametrize("name", MAPS)
def test_the_screen_shows_the_middle_of_the_map_from_three_below(name):
    env, places = begun(name, 1)
    left, bottom, right, top = places[0]
    assert env.games["camera_x"][0] == pytest.approx((left + right) / 2, abs=1e-3)
    assert env.games["camera_y"][0] == pytest.approx((bottom + top) / 2 - 3, abs=1e-3)


def test_a_beacon_is_where_the_map_allows_it_and_five_from_the_marine():
    env, places = begun("MoveToBeacon")
    u = env.units
    assert (u["kind"][:, :2] == [c.MARINE, c.BEACON]).all()
    assert (u["owner"][:, :2] == [w.OWN, w.NEUTRAL]).all()
    assert not u["selected"].any()
    for _ in range(3):
        assert (away(u, 0, 1) >= 5).all()
        x, y = u["x"][:, 1], u["y"][:, 1]
        assert in_rectangle(x, y, places[1]).all()
        assert (np.hypot(x - places[2][0], y - places[2][1]) >= places[2][2]).all()
        u["x"][:, 0], u["y"][:, 0] = x, y
        wait(env)


def test_a_beacon_pays_a_point_when_the_marine_is_within_its_radius():
    env, places = begun("MoveToBeacon")
    u, radius = env.units, places[3][0]
    inside = np.arange(GAMES) % 2 == 0
    u["x"][:, 0], u["y"][:, 0] = u["x"][:, 1] + np.where(inside, radius - 0.01, radius + 0.01), u["y"][:, 1]
    before = u["x"][:, 1].copy()
    assert (wait(env)[1] == inside).all()
    assert ((u["x"][:, 1] != before) == inside).all()


def test_shards_are_twenty_in_their_area_and_two_from_the_marines():
    env, places = begun("CollectMineralShards")
    u = env.units
    assert (u["kind"][:, :22] == [c.MARINE] * 2 + [c.SHARD] * 20).all()
    assert not (u["kind"][:, 22:] > 0).any()
    for slot in range(2, 22):
        assert in_rectangle(u["x"][:, slot], u["y"][:, slot], places[1]).all()
        assert (np.minimum(away(u, slot, 0), away(u, slot, 1)) >= 2).all()
    assert min((away(u, slot, i)).min() for slot in range(2, 22) for i in range(2)) < 2.2


def test_a_shard_pays_a_point_and_a_hundred_minerals_within_reach():
    """A marine's edge comes within 1 of it: its center within 1.375."""
    env, _ = begun("CollectMineralShards")
    u = env.units
    u["x"][:, 2:22] = 40
    u["x"][:, :2] = 25
    u["y"][:, 1] = 35
    u["y"][:, 0] = 25
    inside = np.arange(GAMES) % 2 == 0
    u["x"][:, 2], u["y"][:, 2] = 25 + np.where(inside, 1.37, 1.38), 25
    u["x"][:, 3], u["y"][:, 3] = 25, 35 - np.where(inside, 1.38, 1.37)
    reward = wait(env)[1]
    assert (reward == 1).all()
    assert (env.games["minerals"] == 100).all()
    assert ((u["kind"][:, 2] == 0) == inside).all()
    assert ((u["kind"][:, 3] == 0) == ~inside).all()
    assert (u["kind"] == c.SHARD).sum() == 19 * GAMES
    u["x"][:, 2:22], u["y"][:, 2:22] = 25, 25
    assert (wait(env)[1] == 19).all()
    assert ((u["kind"] == c.SHARD).sum(1) == 20).all()  # the last one gone, there are twenty more
    assert (env.games["minerals"] == 2000).all()


@pytest.mark.parametrize(("name", "harvest"), [("CollectMineralsAndGas", False), ("BuildMarines", True)])
def test_a_base_begins_with_twelve_workers_fifty_minerals_and_its_resources(name, harvest):
    env, places = begun(name)
    u, g = env.units, env.games
    assert (g["minerals"] == 50).all()
    assert (g["vespene"] == 0).all()
    assert (u["kind"][:, 0] == c.COMMAND_CENTER).all()
    assert (u["x"][:, 0] == places[1][0]).all()
    assert (u["y"][:, 0] == places[1][1]).all()
    workers = u["kind"] == c.SCV
    assert (workers.sum(1) == 12).all()
    x, y = u["x"][workers].reshape(GAMES, 12), u["y"][workers].reshape(GAMES, 12)
    side = np.sign(x[:, 0] - places[2][0])
    assert 16 < (side > 0).sum() < 48
    assert np.allclose(np.sort(np.abs(x - places[2][0]), 1), [3.5] * 6 + [4.5] * 6)
    assert np.allclose(np.sort(y - places[2][1], 1), np.repeat(np.arange(-2.5, 3), 2))
    written = MAPS[name].written.resources
    for kind, gas in ((c.MINERAL_FIELD, False), (c.GEYSER, True)):
        wanted = sorted((px, py) for is_gas, px, py in written if bool(is_gas) == gas)
        found = u["kind"][0] == kind
        assert sorted(zip(u["x"][0][found].tolist(), u["y"][0][found].tolist(), strict=True)) == wanted
    first = int(np.argmax(u["kind"][0] == c.MINERAL_FIELD))
    orders = u["order"][workers].reshape(GAMES, 12)
    assert (orders == (w.GATHER if harvest else w.IDLE)).all()
    if harvest:
        assert (u["order_slot"][workers] == first).all()
        assert (u["rally"][:, 0] == 2).all()
        assert (u["rally_slot"][:, 0] == first).all()


def test_zerglings_are_hidden_and_two_are_to_be_found():
    """One eight to nine from the center, one in the ring around it, the rest outside the inner disc; five apart."""
    env, places = begun("FindAndDefeatZerglings", 32)
    u = env.units
    left, bottom, right, top = places[0]
    cx, cy = (left + right) / 2, (bottom + top) / 2
    assert (u["kind"][:, :28] == [c.MARINE] * 3 + [c.ZERGLING] * 25).all()
    for i in range(3):
        assert np.allclose(np.hypot(u["x"][:, i] - cx, u["y"][:, i] - cy), 1, atol=1e-4)
        assert (u["selected"][:, i] == 1).all()
    assert np.allclose(away(u, 0, 1), np.sqrt(3), atol=1e-4)
    x, y = u["x"][:, 3:28], u["y"][:, 3:28]
    near = np.hypot(x[:, 0] - cx, y[:, 0] - cy)
    assert ((near >= 8 - 1e-4) & (near <= 9 + 1e-4)).all()
    ring = np.hypot(x[:, 1] - places[3][0], y[:, 1] - places[3][1])
    assert ((ring >= places[3][2]) & (ring <= places[3][3])).all()
    rest = np.hypot(x[:, 2:] - places[2][0], y[:, 2:] - places[2][1])
    assert (rest >= places[2][2]).all()
    assert in_rectangle(x[:, 2:], y[:, 2:], places[1]).all()
    apart = np.hypot(x[:, :, None] - x[:, None], y[:, :, None] - y[:, None]) + 99 * np.eye(25)
    assert apart.min() >= 5 - 1e-4


@pytest.mark.parametrize(
    ("name", "kill", "loss"),
    [("DefeatRoaches", 10, 1), ("DefeatZerglingsAndBanelings", 5, 1), ("FindAndDefeatZerglings", 1, 1)],
)
def test_what_a_kill_pays_and_a_loss_costs(name, kill, loss):
    env, _ = begun(name, 2)
    u = env.units
    kinds, owner = u["kind"][0], u["owner"][0]
    own = np.flatnonzero((owner == w.OWN) & (kinds > 0))
    foes = np.flatnonzero((owner == w.ENEMY) & (kinds != c.BANELING))
    u["hp"][0, own[:2]] = 0
    u["hp"][0, foes[:3]] = 0
    env.games["dying"] = 1
    _, reward, terminated, _, _ = wait(env)
    assert reward.tolist() == [3 * kill - 2 * loss, 0]
    assert not terminated.any()
    u["hp"][0, own] = 0
    env.games["dying"] = 1
    _, reward, terminated, _, info = wait(env)
    assert reward[0] == -loss * (len(own) - 2)
    assert terminated.tolist() == [True, False]
    assert info["final_info"]["score"][0] == 3 * kill - loss * len(own)
