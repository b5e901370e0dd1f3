"""Selecting and commanding, in both styles."""

import numpy as np
import pytest

from envs.standin.rules import catalog as c
from envs.standin.rules import world as w
from envs.standin.vector_env import make
from envs.starcraft.interface import ARGUMENTS, FUNCTIONS
from tests.envs.standin.arena import ENEMY, NEUTRAL, Arena

ALL = {"functions": tuple(FUNCTIONS), "arguments": tuple(a for a, n in ARGUMENTS.items() if n)}


class Hand:
    """One game in the feature style: functions by name, places in world coordinates."""

    def __init__(self, scenario, seed=0, **options):
        self.env = make(scenario, 1, screen=96, screen_planes=(), minimap=64, step_mul=1, **ALL, **options)
        self.env.reset(seed=seed)

    @property
    def units(self):
        return self.env.units[0]

    def do(self, function, at=None, to=None, minimap=None, **arguments):
        env, g = self.env, self.env.games[0]
        action = {k: np.zeros(1, np.int64) for k in env.single_action_space.spaces}
        action["function"][:] = env.interface.functions.index(function)
        for name, place in (("screen", at), ("screen2", to)):
            if place is not None:
                column = (place[0] - g["camera_x"] + 12) / 24 * 96
                row = (g["camera_y"] + 12 - place[1]) / 24 * 96
                action[name][:] = int(row) * 96 + int(column)
        if minimap is not None:
            action["minimap"][:] = int(64 - minimap[1]) * 64 + int(minimap[0])
        for name, value in arguments.items():
            action[name][:] = value
        return env.step(action)

    def selected(self, kind=None):
        u = self.units
        return sorted(np.flatnonzero((u["selected"] > 0) & (u["kind"] > 0)).tolist())


def test_selecting_by_click_box_army_and_panel():
    hand = Hand("DefeatRoaches")
    u = hand.units
    assert hand.selected() == list(range(9))
    at = (u["x"][3], u["y"][3])
    hand.do("select_point", at)
    assert hand.selected() == [3]
    hand.do("select_point", (u["x"][4], u["y"][4]), select_point_act=1)
    assert hand.selected() == [3, 4]
    hand.do("select_point", (u["x"][4], u["y"][4]), select_point_act=1)
    assert hand.selected() == [3]
    hand.do("select_point", (33, 20.5))  # nothing there: no change
    assert hand.selected() == [3]
    hand.do("select_point", at, select_point_act=2)
    assert hand.selected() == list(range(9))
    low, high = np.sort(u["y"][:9])[[1, 3]]
    hand.do("select_rect", (u["x"][0] - 1, low), (u["x"][0] + 1, high))
    assert sorted(u["y"][hand.selected()]) == pytest.approx(np.sort(u["y"][:9])[1:4])
    three = hand.selected()
    hand.do("select_unit", select_unit_id=1, select_unit_act=1)
    assert hand.selected() == [three[0], three[2]]
    hand.do("select_unit", select_unit_id=0)
    assert hand.selected() == [three[0]]
    hand.do("select_army", select_add=0)
    assert hand.selected() == list(range(9))


def test_control_groups_are_set_recalled_appended_and_stolen():
    hand = Hand("DefeatRoaches")
    u = hand.units
    hand.do("select_point", (u["x"][0], u["y"][0]))
    hand.do("select_control_group", control_group_act=1, control_group_id=4)
    hand.do("select_point", (u["x"][1], u["y"][1]))
    hand.do("select_control_group", control_group_act=2, control_group_id=4)
    hand.do("select_army")
    hand.do("select_control_group", control_group_act=0, control_group_id=4)
    assert hand.selected() == [0, 1]
    hand.do("select_point", (u["x"][1], u["y"][1]))
    hand.do("select_control_group", control_group_act=3, control_group_id=5)
    hand.do("select_control_group", control_group_act=0, control_group_id=4)
    assert hand.selected() == [0]
    hand.do("select_control_group", control_group_act=0, control_group_id=9)  # empty: no change
    assert hand.selected() == [0]


def test_orders_are_queued_and_carried_out_in_turn():
    hand = Hand("MoveToBeacon")
    hand.do("select_army")
    places = [(30.125, 28.125), (30.125, 30.125), (32.125, 30.125)]
    for k, place in enumerate(places):
        hand.do("Move_screen", place, queued=int(k > 0))
    passed = []
    for _ in range(400):
        hand.do("no_op")
        here = (float(hand.units["x"][0]), float(hand.units["y"][0]))
        for place in places:
            if place not in passed and np.hypot(here[0] - place[0], here[1] - place[1]) < 0.05:
                passed.append(place)
    assert passed == places
    assert hand.units["order"][0] == w.IDLE


def test_patrol_comes_back_and_stop_stops():
    hand = Hand("MoveToBeacon")
    hand.do("select_army")
    hand.do("Move_screen", (28.125, 30.125))
    for _ in range(200):
        hand.do("no_op")
    hand.do("Patrol_screen", (31.125, 30.125))
    xs = []
    for _ in range(120):
        hand.do("no_op")
        xs.append(float(hand.units["x"][0]))
    assert max(xs) == pytest.approx(31.125, abs=0.2)
    assert min(xs[30:]) == pytest.approx(28.125, abs=0.2)
    hand.do("Stop_quick")
    x = float(hand.units["x"][0])
    hand.do("no_op")
    assert hand.units["x"][0] == pytest.approx(x)


def test_hold_position_shoots_but_does_not_chase():
    arena = Arena().clear()
    marine = arena.add(c.MARINE, 30, 28)
    enemy = arena.add(c.ZERGLING, 30 + 5 + 0.75 + 0.3, 28, owner=ENEMY, cooldown=1e6)
    arena.order(marine, w.HOLD)
    arena.order(enemy, w.HOLD)
    arena.run(40)
    assert arena.unit(enemy)["hp"] == 35  # out of range, though within sight
    assert arena.unit(marine)["x"] == 30
    arena.order(marine, w.IDLE)
    arena.run(60)
    assert arena.unit(enemy)["hp"] < 35  # an idle marine goes for what it sees


def test_move_does_not_fight_and_attack_move_does():
    for function, fights in (("Move_pt", False), ("Attack_pt", True)):
        arena = Arena().clear()
        marine = arena.add(c.MARINE, 26, 28)
        enemy = arena.add(c.ROACH, 32, 33, owner=ENEMY, cooldown=1e6)
        arena.order(enemy, w.HOLD)
        arena.tell(function, [marine], at=(40, 28))
        arena.run(60)
        assert (arena.unit(enemy)["hp"] < 145) == fights


def test_smart_means_what_it_is_aimed_at():
    arena = Arena("CollectMineralsAndGas").clear()
    worker = arena.add(c.SCV, 28, 24)
    base = arena.add(c.COMMAND_CENTER, 29.5, 28.5)
    patch = arena.add(c.MINERAL_FIELD, 24, 25.5, owner=NEUTRAL)
    arena.tell("Smart_unit", [worker], target=patch)
    assert arena.unit(worker)["order"] == w.GATHER
    arena.tell("Smart_pt", [worker], at=(30.5, 22.5))
    assert arena.unit(worker)["order"] == w.MOVE
    arena.tell("Smart_unit", [worker], target=base)
    assert arena.unit(worker)["order"] == w.FOLLOW  # it has nothing to bring
    arena.env.units["cargo"][0, worker], arena.env.units["cargo_amount"][0, worker] = w.MINERALS, 5
    arena.tell("Smart_unit", [worker], target=base)
    assert arena.unit(worker)["order"] == w.RETURN
    arena.tell("Smart_unit", [base], target=patch)
    assert arena.unit(base)["rally"] == 2


def test_smart_of_a_soldier_is_to_attack_enemies_and_to_follow_all_others():
    arena = Arena("CollectMineralsAndGas").clear()
    marine, friend = arena.add(c.MARINE, 28, 24), arena.add(c.SCV, 30, 24)
    patch = arena.add(c.MINERAL_FIELD, 24, 25.5, owner=NEUTRAL)
    foe = arena.add(c.ROACH, 44, 34, owner=ENEMY)
    for target, order in ((friend, w.FOLLOW), (patch, w.FOLLOW), (foe, w.ATTACK)):
        arena.tell("Smart_unit", [marine], target=target)
        assert (arena.unit(marine)["order"], arena.unit(marine)["order_slot"]) == (order, target)


def mixed(*who):
    """Units of these kinds side by side in the middle of the screen, 1.5 apart."""
    hand = Hand("CollectMineralsAndGas")
    blank = hand.units[1].copy()
    hand.units["kind"][:] = 0
    for i, kind in enumerate(who):
        hand.units[i] = blank
        hand.units["kind"][i], hand.units["tag"][i] = kind, 50 + i
        hand.units["x"][i], hand.units["y"][i] = 28.125 + 1.5 * i, 24.125
    hand.env.games["top"] = len(who)
    hand.env.games["obstacles"] = 0
    return hand


def test_a_click_means_the_unit_whose_center_is_nearest():
    hand = mixed(c.ROACH, c.ROACH)
    for at, chosen in ((28.25, [0]), (28.55, [1]), (29.1, [1]), (27.7, [0])):
        hand.units["x"][:2] = 28, 28.8  # they push each other apart
        hand.do("select_point", (at, 24.125))
        assert hand.selected() == chosen, at


@pytest.mark.parametrize(("function", "order"), [("Move_screen", w.MOVE), ("Smart_screen", w.FOLLOW)])
def test_a_move_means_a_unit_only_where_it_points_at_it_exactly(function, order):
    """A cell is a quarter wide: its center is a tenth beside the unit, but the unit's disc reaches into it."""
    hand = mixed(c.MARINE, c.ROACH)
    center = float(hand.env.games["camera_x"][0]) - 12 + (30 + 0.5) / 4
    hand.units["x"][0], hand.units["x"][1] = center - 4, center - 0.6
    hand.do("select_point", (center - 4, 24.125))
    assert hand.selected() == [0]
    hand.do(function, (center, 24.125))
    assert hand.units["order"][0] == order
    hand.units["x"][1] = center - 0.4
    hand.do(function, (center, 24.125))
    assert hand.units["order"][0] == w.FOLLOW


def test_a_box_takes_buildings_only_where_there_is_nobody_else():
    hand = mixed(c.SCV, c.MARINE, c.SUPPLY_DEPOT)
    hand.do("select_rect", (27, 22), (33, 26))
    assert hand.selected() == [0, 1]
    hand.do("select_rect", (31, 22), (33, 26))
    assert hand.selected() == [2]
    hand.do("select_rect", (22, 32), (26, 36))  # nobody: no change
    assert hand.selected() == [2]
    hand.do("select_rect", (27, 22), (28.5, 26), select_add=1)
    assert hand.selected() == [0, 2]
    hand.do("select_rect", (33, 26), (27, 22))  # drawn the other way
    assert hand.selected() == [0, 1]


@pytest.mark.parametrize(("act", "left"), [(0, [2]), (1, [0, 1, 3]), (2, [0, 2]), (3, [1, 3])])
def test_the_panel_picks_one_or_its_type_or_all_the_others(act, left):
    hand = mixed(c.SCV, c.MARINE, c.SCV, c.MARINE)
    hand.do("select_rect", (26, 22), (36, 26))
    assert hand.selected() == [0, 1, 2, 3]
    hand.do("select_unit", select_unit_act=act, select_unit_id=2)
    assert hand.selected() == left


def test_a_unit_follows_another():
    arena = Arena("BuildMarines").clear()
    leader, follower = arena.add(c.MARINE, 30, 30), arena.add(c.MARINE, 26, 30)
    arena.tell("Move_unit", [follower], target=leader)
    arena.tell("Move_pt", [leader], at=(40.5, 22.5))
    arena.run(200)
    gap = np.hypot(*(arena.unit(leader)[k] - arena.unit(follower)[k] for k in ("x", "y")))
    assert 1.25 - 0.15 < gap <= 1.25  # half a unit from edge to edge, or up to a step nearer


def test_idle_workers_are_selected_in_turn_and_all_at_once():
    hand = Hand("CollectMineralsAndGas")
    seen = []
    for _ in range(12):
        hand.do("select_idle_worker")
        seen += hand.selected()
    assert len(set(seen)) == 12
    hand.do("select_idle_worker", select_worker=2)
    assert len(hand.selected()) == 12
    hand.do("Harvest_Gather_screen", (23, 28.5))
    observation = hand.do("no_op")[0]
    functions = hand.env.interface.functions
    assert observation["action_mask"]["function"][0, functions.index("select_idle_worker")] == 0
    assert observation["action_mask"]["function"][0, functions.index("Harvest_Return_quick")] == 0


def test_the_camera_moves_only_where_the_map_lets_it():
    hand = Hand("FindAndDefeatZerglings")
    hand.do("move_camera", minimap=(20.5, 40.5))
    assert (hand.env.games["camera_x"][0], hand.env.games["camera_y"][0]) == (20.5, 40.5)
    hand = Hand("DefeatRoaches")
    before = hand.env.games["camera_x"][0]
    hand.do("move_camera", minimap=(20.5, 40.5))
    assert hand.env.games["camera_x"][0] == before


def test_build_marines_cuts_the_command_cards():
    hand = Hand("BuildMarines")
    hand.env.games["minerals"] = 1000
    names = hand.env.interface.functions

    def available(at):
        mask = hand.do("select_point", at)[0]["action_mask"]["function"][0]
        return {n for n, m in zip(names, mask, strict=True) if m}

    worker = available((hand.units["x"][1], hand.units["y"][1]))
    assert {"Harvest_Gather_screen", "Build_SupplyDepot_screen"} <= worker
    assert not worker & {
        "Build_Refinery_screen",
        "Build_CommandCenter_screen",
        "Attack_screen",
        "Build_Barracks_screen",
    }
    assert "Train_SCV_quick" in available((29.5, 28.5))


def test_production_can_be_cancelled_for_its_full_cost_and_a_building_for_three_quarters():
    arena = Arena("CollectMineralsAndGas").clear()
    base, worker = arena.add(c.COMMAND_CENTER, 29.5, 28.5), arena.add(c.SCV, 34, 22)
    arena.env.games["minerals"] = 200
    arena.tell("Train_SCV_quick", [base])
    arena.tell("Train_SCV_quick", [base])
    assert arena.game["minerals"] == 100
    arena.tell("Cancel_Last_quick", [base])
    assert (arena.game["minerals"], arena.unit(base)["producing"]) == (150, 1)
    arena.tell("Build_SupplyDepot_pt", [worker], at=(36.5, 22.5))
    for _ in range(60):
        arena.run(1)
    depot = int(np.argmax(arena.env.units["kind"][0] == c.SUPPLY_DEPOT))
    assert arena.game["minerals"] == 50
    arena.tell("Cancel_quick", [depot])
    assert arena.game["minerals"] == 125
    assert not (arena.env.units["kind"][0] == c.SUPPLY_DEPOT).any()


def test_a_halted_building_is_taken_up_again():
    arena = Arena("CollectMineralsAndGas").clear()
    arena.add(c.COMMAND_CENTER, 29.5, 28.5)
    first, second = arena.add(c.SCV, 35, 22), arena.add(c.SCV, 34, 25)
    arena.env.games["minerals"] = 100
    arena.tell("Build_SupplyDepot_pt", [first], at=(36.5, 22.5))
    arena.run(100)
    depot = int(np.argmax(arena.env.units["kind"][0] == c.SUPPLY_DEPOT))
    arena.tell("Move_pt", [first], at=(34.5, 30.5))
    left = float(arena.unit(depot)["build_left"])
    arena.run(50)
    assert arena.unit(depot)["build_left"] == left > 0
    arena.tell("Smart_unit", [second], target=depot)
    arena.run(600)
    assert arena.unit(depot)["build_left"] == 0


@pytest.mark.parametrize(
    ("kind", "function", "at", "accepted"),
    [
        (c.SUPPLY_DEPOT, "Build_SupplyDepot_pt", (38.5, 30.5), True),
        (c.SUPPLY_DEPOT, "Build_SupplyDepot_pt", (29.5, 28.5), False),  # on the command center
        (c.SUPPLY_DEPOT, "Build_SupplyDepot_pt", (24.5, 29.5), False),  # on minerals
        (c.SUPPLY_DEPOT, "Build_SupplyDepot_pt", (45.5, 18.5), False),  # outside
        (c.COMMAND_CENTER, "Build_CommandCenter_pt", (34.5, 27.5), True),
        (c.COMMAND_CENTER, "Build_CommandCenter_pt", (36.5, 27.5), False),  # too near to minerals
    ],
)
def test_buildings_stand_only_where_they_fit(kind, function, at, accepted):
    arena = Arena("CollectMineralsAndGas")
    arena.env.games["minerals"] = 1000
    info = arena.tell(function, [1], at=at)[-1]
    assert info["refused"][0] == (not accepted)
    arena.run(100)
    assert (arena.env.units["kind"][0] == kind).sum() == accepted + (kind == c.COMMAND_CENTER)


def test_a_refinery_takes_the_geysers_place_and_its_builder_draws_gas():
    arena = Arena("CollectMineralsAndGas")
    arena.env.games["minerals"] = 100
    geyser = int(np.argmax(arena.env.units["kind"][0] == c.GEYSER))
    arena.tell("Build_Refinery_pt", [1], target=geyser)
    arena.run(800)
    kinds = arena.env.units["kind"][0]
    assert (kinds == c.GEYSER).sum() == 3
    assert (kinds == c.REFINERY).sum() == 1
    assert arena.game["collected_vespene"] > 0
    refinery = int(np.argmax(kinds == c.REFINERY))
    carried = int((arena.env.units["cargo"][0] == w.VESPENE).sum()) * 4
    assert arena.unit(refinery)["contents"] == 2250 - arena.game["collected_vespene"] - carried


def test_own_units_are_not_selected_together_with_others():
    hand = Hand("CollectMineralsAndGas")
    hand.do("select_point", (23, 28.5))
    kinds = hand.env.units["kind"][0]
    assert kinds[hand.env.units["selected"][0] > 0].tolist() == [c.MINERAL_FIELD]
    hand.do("select_idle_worker", select_worker=3)
    assert kinds[hand.env.units["selected"][0] > 0].tolist() == [c.SCV] * 12
