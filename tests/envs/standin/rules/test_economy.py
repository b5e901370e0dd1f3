"""Harvesting: how long each part of a trip takes, what it brings, and what happens when there is nothing left."""

import math

import pytest

from envs.standin.rules import catalog as c
from envs.standin.rules import world as w
from tests.envs.standin.arena import ENEMY, NEUTRAL, OWN, Arena

SCV, PATCH, REFINERY, BASE = c.SCV, c.MINERAL_FIELD, c.REFINERY, c.COMMAND_CENTER


class Base(Arena):
    """A command center in the middle of an empty map."""

    def __init__(self):
        super().__init__("CollectMineralsAndGas", arguments=("queued",))
        self.clear()
        self.base = self.add(BASE, 33.5, 28.5)
        for stock in ("minerals", "vespene", "collected_minerals", "collected_vespene"):
            self.env.games[stock] = 0

    def harvester(self, source, x, y):
        slot = self.add(SCV, x, y)
        at = self.unit(source)
        self.order(slot, w.GATHER, at["x"], at["y"], target=source)
        return slot

    def until(self, done, most=2000):
        loops = 0
        while not done():
            self.run(1)
            loops += 1
            assert loops < most
        return loops


@pytest.fixture
def base():
    return Base()


def test_the_times_of_a_trip_for_minerals(base):
    """2.786 seconds at the patch and half a second at the command center, of 16 loops each, in whole loops."""
    patch = base.add(PATCH, 26, 28.5, owner=NEUTRAL)
    worker = base.harvester(patch, 28, 28.5)
    base.until(lambda: base.unit(worker)["phase"] == w.MINING)
    assert base.unit(patch)["worker"] == worker
    assert base.until(lambda: base.unit(worker)["phase"] != w.MINING) == math.ceil(2.786 * 16)
    assert (base.unit(worker)["cargo"], base.unit(worker)["cargo_amount"]) == (w.MINERALS, 5)
    assert base.unit(patch)["contents"] == 1795
    assert base.unit(patch)["worker"] == -1
    assert base.unit(worker)["order"] == w.RETURN
    base.until(lambda: base.unit(worker)["cargo"] == w.NO_CARGO)
    away = 33.5 - base.unit(worker)["x"] - float(base.types[BASE]["radius"] + base.types[SCV]["radius"])
    assert 0.1 - 0.18 <= away <= 0.1
    assert (base.game["minerals"], base.game["collected_minerals"], base.game["score"]) == (5, 5, 5)
    assert base.unit(worker)["phase"] == w.DROPPING
    assert base.until(lambda: base.unit(worker)["phase"] != w.DROPPING) == 8
    base.until(lambda: base.unit(worker)["phase"] == w.MINING)
    assert base.unit(worker)["x"] - 26 - 1 - 0.375 <= 0.1


def test_the_times_of_a_trip_for_gas(base):
    refinery = base.add(REFINERY, 26.5, 28.5)
    worker = base.harvester(refinery, 29, 28.5)
    base.env.units["contents"][0, refinery] = 2250
    base.until(lambda: base.unit(worker)["phase"] == w.MINING)
    assert base.until(lambda: base.unit(worker)["phase"] != w.MINING) == math.ceil(1.981 * 16)
    assert (base.unit(worker)["cargo"], base.unit(worker)["cargo_amount"]) == (w.VESPENE, 4)
    base.until(lambda: base.unit(worker)["cargo"] == w.NO_CARGO)
    assert (base.game["vespene"], base.game["collected_vespene"], base.game["minerals"]) == (4, 4, 0)
    assert base.unit(refinery)["contents"] == 2246
    assert base.game["score"] == 4


def test_an_exhausted_geyser_gives_what_is_left_and_no_more(base):
    refinery = base.add(REFINERY, 26.5, 28.5, contents=6)
    worker = base.harvester(refinery, 29, 28.5)
    amounts = []
    for _ in range(2):
        base.until(lambda: base.unit(worker)["cargo"] == w.VESPENE)
        amounts.append(int(base.unit(worker)["cargo_amount"]))
        base.until(lambda: base.unit(worker)["cargo"] == w.NO_CARGO)
    assert amounts == [4, 2]
    base.until(lambda: base.unit(worker)["order"] == w.IDLE)
    base.run(100)
    assert base.game["vespene"] == 6
    assert (base.unit(refinery)["kind"], base.unit(refinery)["contents"]) == (REFINERY, 0)


def test_an_exhausted_patch_disappears_and_its_worker_goes_to_another(base):
    patch = base.add(PATCH, 26, 28.5, owner=NEUTRAL, contents=7)
    other, far = base.add(PATCH, 26, 32.5, owner=NEUTRAL), base.add(PATCH, 26, 38.6, owner=NEUTRAL)
    worker = base.harvester(patch, 28, 28.5)
    layout = int(base.game["obstacles"])
    base.until(lambda: base.unit(patch)["kind"] == 0)
    assert (base.unit(worker)["cargo_amount"], base.game["obstacles"]) == (2, layout + 1)
    base.until(lambda: base.unit(other)["worker"] == worker)
    assert base.game["minerals"] == 7
    base.env.units["contents"][0, other] = 5
    base.env.units["x"][0, far], base.env.units["y"][0, far] = 26, 42.6  # farther than ten
    base.until(lambda: base.unit(worker)["order"] == w.IDLE)
    assert base.game["minerals"] == 12


def test_one_that_comes_to_an_occupied_patch_takes_a_free_one_nearby(base):
    taken, free, far = (base.add(PATCH, 26, y, owner=NEUTRAL) for y in (28.5, 30.5, 38))
    first = base.harvester(taken, 28, 28.5)
    base.until(lambda: base.unit(taken)["worker"] == first)
    second = base.harvester(taken, 28, 28.5)
    base.until(lambda: base.unit(second)["phase"] == w.MINING)
    assert base.unit(free)["worker"] == second
    third = base.harvester(taken, 28, 28.5)  # the only free one within ten is the far one
    base.until(lambda: base.unit(third)["order_slot"] == far)
    base.env.units["y"][0, far] = 39.6
    base.order(third, w.GATHER, 26, 28.5, target=taken)
    base.env.units["phase"][0, third] = w.GOING
    base.run(30)
    assert base.unit(third)["order_slot"] == taken  # it waits


def test_a_patch_that_somebody_is_on_the_way_to_is_not_free(base):
    taken, wanted, free = (base.add(PATCH, 26, y, owner=NEUTRAL) for y in (28.5, 30.5, 33.5))
    first = base.harvester(taken, 28, 28.5)
    base.harvester(wanted, 44, 40)
    base.until(lambda: base.unit(taken)["worker"] == first)
    second = base.harvester(taken, 28, 28.5)
    base.until(lambda: base.unit(second)["order_slot"] != taken)
    assert base.unit(second)["order_slot"] == free


def test_cargo_goes_to_the_nearest_finished_command_center_of_ones_own(base):
    worker = base.add(SCV, 24, 22, cargo=w.MINERALS, cargo_amount=5)
    base.add(BASE, 23.5, 28.5, owner=ENEMY)
    site = base.add(BASE, 27.5, 20.5, build_left=10.0)
    base.order(worker, w.RETURN)
    base.run(2)
    assert base.unit(worker)["order_slot"] == base.base
    base.env.units["build_left"][0, site] = 0
    base.order(worker, w.RETURN)
    base.run(2)
    assert base.unit(worker)["order_slot"] == site


def test_cargo_waits_where_there_is_no_command_center(base):
    worker = base.add(SCV, 24, 22, cargo=w.MINERALS, cargo_amount=5)
    base.env.units["owner"][0, base.base] = ENEMY
    base.order(worker, w.RETURN)
    base.run(30)
    assert (base.unit(worker)["x"], base.unit(worker)["order"], base.unit(worker)["cargo_amount"]) == (24, w.RETURN, 5)
    base.env.units["owner"][0, base.base] = OWN
    base.until(lambda: base.unit(worker)["cargo"] == w.NO_CARGO)
    assert base.game["minerals"] == 5


def test_a_computers_income_is_not_the_players(base):
    base.env.units["owner"][0, base.base] = ENEMY
    patch = base.add(PATCH, 26, 28.5, owner=NEUTRAL)
    worker = base.harvester(patch, 28, 28.5)
    base.env.units["owner"][0, worker] = ENEMY
    base.run(300)
    assert base.unit(patch)["contents"] < 1800
    assert (base.game["minerals"], base.game["collected_minerals"], base.game["score"]) == (0, 0, 0)


def test_one_that_is_called_away_makes_room(base):
    patch = base.add(PATCH, 26, 28.5, owner=NEUTRAL)
    worker = base.harvester(patch, 28, 28.5)
    base.until(lambda: base.unit(patch)["worker"] == worker)
    base.run(20)
    base.tell("Stop_quick", [worker])
    assert base.unit(patch)["worker"] == -1
    assert base.unit(patch)["contents"] == 1800
    base.tell("Harvest_Gather_unit", [worker], target=patch)
    assert base.until(lambda: base.unit(worker)["cargo"] == w.MINERALS) >= 44  # from the beginning


def test_one_that_carries_brings_it_back_before_it_takes_more(base):
    patch = base.add(PATCH, 26, 28.5, owner=NEUTRAL)
    worker = base.harvester(patch, 28, 28.5)
    base.env.units["cargo"][0, worker], base.env.units["cargo_amount"][0, worker] = w.VESPENE, 4
    base.until(lambda: base.unit(worker)["cargo"] == w.NO_CARGO)
    assert base.unit(patch)["contents"] == 1800
    assert (base.game["vespene"], base.game["minerals"]) == (4, 0)


def test_after_delivering_comes_what_waits_in_the_queue(base):
    patch = base.add(PATCH, 26, 28.5, owner=NEUTRAL)
    worker = base.harvester(patch, 28, 28.5)
    base.until(lambda: base.unit(worker)["cargo"] == w.MINERALS)
    base.tell("Move_pt", [worker], at=(42.5, 22.5), queued=1)
    base.until(lambda: base.unit(worker)["cargo"] == w.NO_CARGO)
    assert base.unit(worker)["order"] == w.MOVE
    base.until(lambda: base.unit(worker)["order"] == w.IDLE)
    assert (base.unit(worker)["x"], base.unit(worker)["y"]) == pytest.approx((42.5, 22.5), abs=0.01)


def test_where_a_patch_was_the_nearest_is_next_even_if_somebody_is_on_the_way_to_it(base):
    gone, near = base.add(PATCH, 26, 28.5, owner=NEUTRAL), base.add(PATCH, 26, 30.5, owner=NEUTRAL)
    base.add(PATCH, 26, 33.5, owner=NEUTRAL)
    base.harvester(near, 44, 40)
    worker = base.harvester(gone, 30, 28.5)
    base.env.units["kind"][0, gone] = 0
    base.run(1)
    assert base.unit(worker)["order_slot"] == near


@pytest.mark.parametrize("fields", [{"build_left": 100.0}, {"owner": ENEMY}])
def test_a_refinery_that_is_not_finished_or_not_ones_own_gives_nothing(base, fields):
    refinery = base.add(REFINERY, 26.5, 28.5, **fields)
    worker = base.harvester(refinery, 29, 28.5)
    base.run(3)
    assert base.unit(worker)["order"] == w.IDLE
