"""The rules of moving, fighting and building against arithmetic."""

import math

import numpy as np
import pytest

from envs.standin.rules import catalog as c
from envs.standin.rules import world as w
from envs.standin.vector_env import make
from envs.starcraft.maps import MAPS
from tests.envs.standin.arena import ENEMY, NEUTRAL, Arena

MARINE, SCV, ZERGLING, BANELING, ROACH = c.MARINE, c.SCV, c.ZERGLING, c.BANELING, c.ROACH


@pytest.mark.parametrize("kind", [MARINE, ZERGLING, BANELING, ROACH])
def test_travel_time_is_distance_over_speed(kind):
    arena = Arena().clear()
    slot = arena.add(kind, 25, 28, face_x=1.0, face_y=0.0)
    arena.add(ZERGLING, 43, 35, owner=ENEMY, hp=1e6)
    arena.order(slot, w.MOVE, 35.0, 28.0)
    loops = math.ceil(10 / arena.types[kind]["speed"] - 1e-4)
    arena.run(loops - 1)
    assert arena.unit(slot)["order"] == w.MOVE
    arena.run(1)
    assert arena.unit(slot)["order"] == w.IDLE
    assert arena.unit(slot)["x"] == pytest.approx(35)


@pytest.mark.parametrize(("angle", "loops"), [(0, 0), (70, 0), (80, 1), (135, 1), (140, 2), (180, 2)])
def test_a_unit_turns_before_it_goes_from_rest(angle, loops):
    """62.5 degrees a loop (``TurningRate`` 999.84 a second); it goes when it faces within 11.25 of its way."""
    arena = Arena().clear()
    turn = math.radians(angle)
    slot = arena.add(MARINE, 30, 28, face_x=math.cos(turn), face_y=math.sin(turn))
    arena.add(ZERGLING, 43, 35, owner=ENEMY, hp=1e6)
    arena.order(slot, w.MOVE, 35.0, 28.0)
    arena.run(10)
    assert arena.unit(slot)["x"] == pytest.approx(30 + (10 - loops) * 0.140625)
    # One that walks turns as it goes.
    arena.order(slot, w.MOVE, 25.0, 28.0)
    arena.run(5)
    assert arena.unit(slot)["x"] == pytest.approx(30 + (5 - loops) * 0.140625)


def test_a_worker_has_to_accelerate():
    arena = Arena().clear()
    slot = arena.add(SCV, 25, 28, face_x=1.0, face_y=0.0)
    arena.add(ZERGLING, 43, 35, owner=ENEMY, hp=1e6)
    arena.order(slot, w.MOVE, 35.0, 28.0)
    speed, acceleration, gone, now, loops = 2.8125 / 16, 2.5 / 256, 0.0, 0.0, 0
    while gone < 10 - 1e-4:
        now = min(now + acceleration, speed)
        gone += now
        loops += 1
    arena.run(loops - 1)
    assert arena.unit(slot)["order"] == w.MOVE
    arena.run(1)
    assert arena.unit(slot)["order"] == w.IDLE


_FIGHTERS = [MARINE, ZERGLING, ROACH, SCV]


@pytest.mark.parametrize("killer", _FIGHTERS)
@pytest.mark.parametrize("victim", [*_FIGHTERS, BANELING])
def test_time_to_kill_one_on_one(killer, victim):
    """Shots times periods, with the random delay of -1 to 2 loops a shot: mean and bounds over many games."""
    games = 64
    arena = Arena(games=games).clear()
    t, v = arena.types[killer], arena.types[victim]
    gap = 0.5 * float(t["range"])
    a = arena.add(killer, 30, 28, face_x=1.0, face_y=0.0)
    b = arena.add(victim, 30 + gap + t["radius"] + v["radius"], 28, owner=ENEMY, cooldown=1e6)
    arena.add(ZERGLING, 43, 35, owner=ENEMY, cooldown=1e6)
    arena.add(MARINE, 23, 21)  # or the map's script ends the game
    arena.order(a, w.ATTACK, target=b)
    if victim == BANELING:
        arena.order(b, w.FOLLOW, target=b)  # or it comes and bursts
    hit = max(0.5, t["damage"] - v["armor"])
    fewest = math.ceil(v["hp"] / hit)
    # A victim that regenerates may take one more shot than its hit points say.
    regained = float(v["regeneration"]) * (fewest - 1) * (float(t["period"]) + 2)
    most = math.ceil((v["hp"] + regained) / hit)
    dead = np.zeros(games)
    for loop in range(1, 4000):
        arena.run(1)
        gone = (arena.env.units["kind"][:, b] != victim) | (arena.env.units["tag"][:, b] != b + 1)
        dead[(dead == 0) & gone] = loop
        if dead.all():
            break
    assert dead.all()
    # A missile flies from center to center, and does so from the loop in which it is launched.
    flight = (gap + t["radius"] + v["radius"]) / t["missile"] - 1 if t["missile"] else 0.0
    first, period = float(t["damage_point"] + flight), float(t["period"])
    assert dead.min() >= first + (fewest - 1) * (period - 1) - 1
    assert dead.max() <= first + (most - 1) * (period + 2) + 5
    # Loops are whole: a shot leaves up to a loop late, and so does a missile's hit.
    assert first + (fewest - 1) * (period + 0.5) - 1 <= dead.mean() <= first + (most - 1) * (period + 0.5) + 3.5


def test_roach_damage_is_reduced_by_armor_and_marines_focus():
    arena = Arena().clear()
    marines = [arena.add(MARINE, 30, 26 + 0.8 * i) for i in range(4)]
    roach = arena.add(ROACH, 33, 27.2, owner=ENEMY, cooldown=1e6)
    for m in marines:
        arena.order(m, w.ATTACK, target=roach)
    before = 145.0
    losses = []
    for _ in range(60):
        arena.run(1)
        now = float(arena.unit(roach)["hp"])
        if now < before:
            losses.append(before - now)
        before = now
    # Six damage, one armor; the roach regains a sixtieth of a point a loop.
    assert all(abs(loss / 5 - round(loss / 5)) < 0.01 for loss in losses)
    assert 145 - before == pytest.approx(5 * 4 * 5, abs=21)  # five volleys of four in 60 loops, give or take one


def test_delays_between_shots_are_uniform():
    """A period plus -1 to 2 loops a shot: over n periods the mean is n (period + .5), the variance n .75."""
    games, shots = 512, 20
    arena = Arena(games=games).clear()
    marine = arena.add(MARINE, 30, 28, face_x=1.0, face_y=0.0)
    roach = arena.add(ROACH, 33, 28, owner=ENEMY, cooldown=1e6, hp=shots * 5 - 7.0)
    arena.add(MARINE, 23, 21)
    arena.order(marine, w.ATTACK, target=roach)
    first, dead = np.zeros(games), np.zeros(games)
    before = arena.env.units["hp"][:, roach].copy()
    for loop in range(1, 400):
        arena.run(1)
        hp = arena.env.units["hp"][:, roach]
        first[(first == 0) & (hp < before - 1)] = loop
        dead[(dead == 0) & (arena.env.units["tag"][:, roach] != roach + 1)] = loop
        dead[(dead == 0) & (arena.env.units["kind"][:, roach] == 0)] = loop
        if dead.all():
            break
    # It regains five points meanwhile: twenty shots.
    took = dead - first
    n = shots - 1
    assert took.mean() == pytest.approx(n * (0.86083984375 * 16 + 0.5), abs=0.6)
    assert took.std() == pytest.approx(math.sqrt(n * 0.75), rel=0.12)


def test_a_shot_that_is_called_off_costs_only_its_windup():
    """The damage point of a roach is 2.67 loops: a victim that dies in it costs no cooldown, nor does a new order."""
    arena = Arena().clear()
    roach = arena.add(ROACH, 30, 28, face_x=1.0, face_y=0.0)
    a, b = (arena.add(ROACH, 33, y, owner=ENEMY, cooldown=1e6) for y in (27.4, 28.6))
    arena.add(MARINE, 23, 21)
    arena.order(roach, w.ATTACK, target=a)
    arena.run(2)
    assert arena.unit(roach)["windup"] > 0
    arena.tell("Attack_unit", [roach], target=b)
    arena.run(3)
    assert arena.unit(roach)["cooldown"] > 27
    assert int(arena.unit(roach)["target"]) == b
    arena.run(10)
    assert arena.unit(a)["hp"] == 145
    assert arena.unit(b)["hp"] == pytest.approx(145 - 15, abs=0.3)


@pytest.mark.parametrize("victim", [MARINE, SCV, ZERGLING, ROACH])
@pytest.mark.parametrize("enough", [True, False])
def test_how_many_banelings_kill_a_unit(victim, enough):
    """35 points to what is light, 20 to what is not, less armor: two for a marine."""
    arena = Arena().clear()
    t = arena.types[victim]
    points = 35 if t["attributes"] & c.LIGHT else 20 - t["armor"]
    needed = math.ceil(t["hp"] / points)
    assert victim != MARINE or needed == 2
    count = needed if enough else needed - 1
    unit = arena.add(victim, 30, 28, cooldown=1e6)
    arena.add(MARINE, 23, 21)
    for i in range(count):
        arena.add(BANELING, 30 + math.cos(i), 28 + math.sin(i), owner=ENEMY)
    arena.add(ROACH, 43, 35, owner=ENEMY)
    arena.run(40)
    u = arena.unit(unit)
    left = float(u["hp"]) if u["kind"] == victim and u["tag"] == unit + 1 else 0.0
    assert left == pytest.approx(max(0.0, t["hp"] - count * points), abs=0.8)
    if victim == MARINE:
        assert arena.env.games["score"][0] == 10 * count - enough  # this map's script counts 10 a kill


def test_a_killed_baneling_bursts_where_it_dies():
    arena = Arena().clear()
    shooter = arena.add(MARINE, 27, 28, face_x=1.0, face_y=0.0)
    near = arena.add(MARINE, 31, 29.5, cooldown=1e6)
    far = arena.add(MARINE, 31, 33, cooldown=1e6)
    baneling = arena.add(BANELING, 31, 28, owner=ENEMY, hp=5.0)
    arena.add(ROACH, 43, 21, owner=ENEMY)
    arena.env.units["target"][0, baneling] = -1
    arena.order(shooter, w.ATTACK, target=baneling)
    arena.order(baneling, w.MOVE, 31, 28)
    arena.run(6)
    assert arena.unit(baneling)["kind"] == 0
    assert [float(arena.unit(m)["hp"]) for m in (shooter, near, far)] == [45, 10, 45]


def test_units_do_not_overlap_for_long():
    arena = Arena().clear()
    slots = [arena.add(MARINE, 30 + 0.01 * i, 28) for i in range(12)]
    arena.add(ROACH, 43, 35, owner=ENEMY)
    arena.run(200)
    at = np.array([[arena.unit(s)["x"], arena.unit(s)["y"]] for s in slots])
    away = np.hypot(*(at[:, None] - at[None]).transpose(2, 0, 1)) + 9 * np.eye(12)
    assert away.min() > 0.72


def test_two_that_meet_head_on_get_past_each_other():
    arena = Arena().clear()
    a, b = arena.add(MARINE, 28, 28), arena.add(MARINE, 36, 28)
    arena.add(ROACH, 43, 35, owner=ENEMY)
    arena.order(a, w.MOVE, 36.0, 28.0)
    arena.order(b, w.MOVE, 28.0, 28.0)
    arena.run(100)
    assert arena.unit(a)["x"] == pytest.approx(36, abs=0.01)
    assert arena.unit(b)["x"] == pytest.approx(28, abs=0.01)


def test_two_on_their_way_to_one_place_do_not_wait_for_each_other():
    arena = Arena().clear()
    a, b = arena.add(MARINE, 28, 28), arena.add(MARINE, 36, 28)
    arena.add(ROACH, 43, 35, owner=ENEMY)
    for slot in (a, b):
        arena.order(slot, w.MOVE, 32.0, 28.0)
    arena.run(60)
    assert [arena.unit(s)["order"] for s in (a, b)] == [w.IDLE] * 2


def test_a_unit_walks_around_a_building():
    arena = Arena("BuildMarines").clear()
    marine = arena.add(MARINE, 24, 28.5)
    arena.add(c.COMMAND_CENTER, 30.5, 28.5)
    arena.order(marine, w.MOVE, 38, 28.5)
    inside, loops = False, 0
    while arena.unit(marine)["order"] == w.MOVE and loops < 400:
        arena.run(1)
        loops += 1
        inside |= abs(arena.unit(marine)["x"] - 30.5) < 2.5 and abs(arena.unit(marine)["y"] - 28.5) < 2.5
    assert not inside
    assert arena.unit(marine)["x"] == pytest.approx(38)
    shortest = 2 * math.hypot(4.0, 2.9) + 5  # over two corners, a radius away
    assert shortest / 0.140625 <= loops <= 1.35 * shortest / 0.140625


def test_income_is_that_of_the_kinematics():
    """One worker, one patch: the trip's time from speeds, distances and waiting times."""
    arena = Arena("CollectMineralsAndGas").clear()
    arena.add(c.COMMAND_CENTER, 30.5, 28.5)
    patch = arena.add(c.MINERAL_FIELD, 24, 28.5, owner=NEUTRAL)
    worker = arena.add(SCV, 27, 28.5)
    arena.env.games["minerals"] = arena.env.games["collected_minerals"] = 0
    arena.order(worker, w.GATHER, 24, 28.5, target=patch)
    loops = 6000
    arena.run(loops)
    way = (30.5 - 2.75 - 0.375 - 0.1) - (24 + 1 + 0.375 + 0.1)
    speed, acceleration = 2.8125 / 16, 2.5 / 256
    ramp = speed / acceleration
    walk = math.sqrt(2 * way / acceleration) if way < 0.5 * speed * ramp else ramp + (way - 0.5 * speed * ramp) / speed
    turns = 2 * 2  # half around at either end
    trip = 2 * walk + turns + 2.786 * 16 + 8
    assert arena.game["collected_minerals"] / loops == pytest.approx(5 / trip, rel=0.06)


def _standard_base(workers):
    """A base as on a ladder map: the command center where it must keep three cells from the resources."""
    arena = Arena("BuildMarines").clear()
    base = arena.add(c.COMMAND_CENTER, 31.5, 27.5)
    layout = MAPS["BuildMarines"].written.resources
    patches = [arena.add(c.MINERAL_FIELD, x, y, owner=NEUTRAL) for _, x, y in layout]
    for i in range(workers):
        _, x, y = layout[i % 8]
        arena.order(arena.add(SCV, 28.2, 24.7 + 0.5 * i), w.GATHER, x, y, target=patches[i % 8])
    arena.env.units["rally"][:, base] = 2
    arena.env.units["rally_slot"][:, base], arena.env.units["rally_tag"][:, base] = patches[0], patches[0] + 1
    arena.env.games["minerals"], arena.env.games["collected_minerals"] = 50, 0
    return arena, base


def test_income_of_a_standard_base_is_that_of_recorded_games():
    """Minerals gained in 29 recorded ladder games, of 12 workers and those trained without a pause: 120, 195, 285, 372
    and 460 after 320, 480, 640, 800 and 960 loops, which is about .039 a loop a worker. Some of those workers built."""
    arena, base = _standard_base(12)
    told = {320: 120, 480: 195, 640: 285, 800: 372, 960: 460}
    for loop in range(1, 961):
        if loop % 272 == 1:
            arena.tell("Train_SCV_quick", [base])
        else:
            arena.run(1)
        if loop in told:
            # to a load that comes just before or just after
            assert arena.game["collected_minerals"] == pytest.approx(told[loop], abs=0.11 * told[loop] + 5)


def test_two_workers_a_patch_do_not_hinder_each_other_and_the_third_does():
    """A patch feeds one worker every 44.6 loops, so that 8 patches give no more than .897 a loop."""
    income = {}
    for workers in (8, 16, 24):
        arena, _ = _standard_base(workers)
        arena.run(1000)
        before = int(arena.game["collected_minerals"])
        arena.run(2000)
        income[workers] = (int(arena.game["collected_minerals"]) - before) / 2000
    assert income[16] == pytest.approx(2 * income[8], rel=0.05)
    assert income[24] < 1.4 * income[16]
    assert 0.93 * 8 * 5 / (2.786 * 16) < income[24] < 8 * 5 / (2.786 * 16)


def test_build_time_cost_supply_and_the_supply_block():
    arena = Arena("CollectMineralsAndGas").clear()
    base = arena.add(c.COMMAND_CENTER, 29.5, 28.5)
    workers = [arena.add(SCV, 34, 22 + i) for i in range(12)]
    arena.env.games["minerals"] = 300
    arena.tell("Build_SupplyDepot_pt", [workers[0]], at=(36.5, 22.5))
    walked = 0
    while not (arena.env.units["kind"][0] == c.SUPPLY_DEPOT).any():
        arena.run(1)
        walked += 1
        assert walked < 60
    assert arena.game["minerals"] == 200
    depot = int(np.argmax(arena.env.units["kind"][0] == c.SUPPLY_DEPOT))
    assert arena.unit(depot)["hp"] == pytest.approx(40, abs=1)
    for _ in range(3):
        arena.tell("Train_SCV_quick", [base])
    assert arena.game["minerals"] == 50
    arena.run(480 - 3 - 1)
    assert arena.unit(depot)["build_left"] > 0
    arena.run(2)
    assert arena.unit(depot)["build_left"] == 0
    assert arena.unit(depot)["hp"] == pytest.approx(400, abs=1)
    assert arena.unit(workers[0])["order"] == w.IDLE
    arena.run(3 * 272 + 5 - 481)
    assert (arena.env.units["kind"][0] == SCV).sum() == 15
    # 15 supply used of 15 + 8: now take the depot away, and nothing more can be trained
    arena.env.units["kind"][0, depot] = 0
    arena.env.games["minerals"] = 500
    info = arena.tell("Train_SCV_quick", [base])[-1]
    assert info["refused"][0] == 1
    assert arena.game["minerals"] == 500


def test_barracks_need_a_depot_and_marines_take_400_loops():
    arena = Arena("BuildMarines").clear()
    arena.add(c.COMMAND_CENTER, 29.5, 28.5)
    worker = arena.add(SCV, 36, 24)
    arena.env.games["minerals"] = 1000
    assert arena.tell("Build_Barracks_pt", [worker], at=(38.5, 24.5))[-1]["refused"][0] == 1
    arena.add(c.SUPPLY_DEPOT, 42, 22)
    barracks = arena.add(c.BARRACKS, 38.5, 28.5)
    assert arena.tell("Train_Marine_quick", [barracks])[-1]["refused"][0] == 0
    arena.run(398)
    assert arena.game["score"] == 0
    arena.run(1)
    assert arena.game["score"] == 1
    assert (arena.env.units["kind"][0] == MARINE).sum() == 1


@pytest.mark.parametrize(("scenario", "roaches"), [("DefeatRoaches", True), ("DefeatZerglingsAndBanelings", False)])
def test_a_beaten_wave_is_followed_by_the_next(scenario, roaches):
    env = make(scenario, 32, step_mul=1)
    env.reset(seed=3)
    units = env.units
    first = units["kind"].copy()
    assert (first == MARINE).sum(1).tolist() == [9] * 32
    kinds = {ROACH: 4} if roaches else {ZERGLING: 6, BANELING: 4}
    for kind, n in kinds.items():
        assert ((first == kind).sum(1) == n).all()
    _in_their_places(units, scenario)
    offsets = np.sort(units["y"][:, :9] - units["y"][:, :1], 1)
    assert np.allclose(offsets, np.arange(-4, 5), atol=1e-4)
    tags = units["tag"][:, :9].copy()
    units["hp"][:, 2] = 17.0
    units["hp"][units["owner"] == ENEMY] = 0.0
    env.games["dying"] = 1
    # far apart, so that no baneling's burst reaches a marine
    _, rewards, terminated, _, _ = env.step({k: v * 0 for k, v in env.action_space.sample().items()})
    assert (rewards == (40 if roaches else 50)).all()
    assert not terminated.any()
    more = 5 if roaches else 4
    assert ((units["kind"] == MARINE).sum(1) == 9 + more).all()
    assert ((units["hp"] == 17.0) & (units["kind"] == MARINE)).sum(1).tolist() == [1] * 32
    assert not np.isin(units["tag"][:, :9], tags).any()
    assert (units["selected"] == (units["kind"] == MARINE)).all()
    _in_their_places(units, scenario)


def _in_their_places(units, scenario):
    """Marines in a column on one side, by chance left or right, the enemy on the other side."""
    sides = np.array(MAPS[scenario].written.places[1:3])
    own, enemy = units["kind"] == MARINE, units["owner"] == ENEMY
    x = np.stack([np.where(who, units["x"], 0).sum(1) / who.sum(1) for who in (own, enemy)])
    y = np.stack([units["y"][:, 0], np.where(enemy, units["y"], 0).sum(1) / enemy.sum(1)])
    side = (x[0] > 33).astype(int)
    assert 4 < side.sum() < 28
    for at, px, py in ((side, x[0], y[0]), (1 - side, x[1], y[1])):
        left, bottom, right, top = sides[at].T
        assert ((left - 0.01 <= px) & (px <= right + 0.01) & (bottom - 0.01 <= py) & (py <= top + 0.01)).all()
    assert np.allclose(np.where(own, units["x"], units["x"][:, :1]), units["x"][:, :1])  # a column
    if scenario == "DefeatRoaches":
        gaps = np.sort(np.where(enemy, units["y"], np.nan), 1)[:, :4] - y[1][:, None]
        assert np.allclose(gaps, [-1.5, -0.5, 0.5, 1.5], atol=1e-3)


def test_zerglings_that_follow_are_far_from_the_marines_and_from_each_other():
    env = make("FindAndDefeatZerglings", 16, step_mul=1)
    env.reset(seed=0)
    units = env.units
    units["hp"][units["owner"] == ENEMY] = 0.0
    env.games["dying"] = 1
    env.step({k: v * 0 for k, v in env.action_space.sample().items()})
    for game in units:
        zerglings, marines = (game[game["kind"] == kind] for kind in (ZERGLING, MARINE))
        at, own = (np.stack([u["x"], u["y"]], 1) for u in (zerglings, marines))
        assert len(at) == 25
        assert ((at > (10, 12)) & (at < (54, 44))).all()
        assert np.linalg.norm(at[:, None] - own[None], axis=2).min() >= 9
        assert np.linalg.norm(at[:, None] - at[None] + 99 * np.eye(25)[..., None], axis=2).min() >= 5


@pytest.mark.parametrize(("away", "seen"), [(8.98, True), (9.02, False)])
def test_a_marine_sees_nine_units_far(away, seen):
    arena = Arena("FindAndDefeatZerglings").clear()
    arena.add(MARINE, 25, 28)
    for i in range(8):
        angle = i * math.pi / 4 + 0.1
        arena.add(ZERGLING, 25 + away * math.cos(angle), 28 + away * math.sin(angle), owner=ENEMY)
    observation = arena.env.load_state(arena.env.save_state())
    assert observation["units"]["mask"][0].sum() == (9 if seen else 1)


def test_fog_hides_what_is_farther_than_sight():
    env = make("FindAndDefeatZerglings", 16, style="raw", max_units=28, functions=("no_op",))
    obs, _ = env.reset(seed=0)
    kinds = obs["units"]["features"][..., 0] * obs["units"]["mask"]
    x, y = env.units["x"], env.units["y"]
    marines, zerglings = env.units["kind"] == MARINE, env.units["kind"] == ZERGLING
    away = np.hypot(x[:, :, None] - x[:, None, :], y[:, :, None] - y[:, None, :])
    away[~np.broadcast_to(marines[:, None, :], away.shape)] = 1e9
    seen = zerglings & (away.min(2) <= 9.0)
    assert ((kinds == ZERGLING).sum(1) == seen.sum(1)).all()
    assert 0 < seen.sum() < zerglings.sum()
