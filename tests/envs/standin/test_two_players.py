"""Both sides of a melee in one environment: each sees, commands, pays and wins for itself."""

import numpy as np
import pytest

from envs.standin import game
from envs.standin.rules import catalog as c
from envs.standin.rules import world as w
from envs.standin.vector_env import make
from tests.envs.standin.test_vector_env import copy, course, equal, random_actions, take

FUNCTIONS = ("no_op", "Attack_pt", "Train_SCV_quick", "Move_pt", "Harvest_Gather_unit")


def both(rows=2, **options):
    env = make("Simple64", rows, players=2, style="raw", functions=FUNCTIONS, max_units=96, **options)
    env.reset(seed=0)
    return env


def nothing(env):
    return {name: np.zeros(space.shape, np.int64) for name, space in env.action_space.spaces.items()}


def shown(env, row):
    units = env._observation["units"]
    rows = units["features"][row][units["mask"][row] > 0]
    return {name: rows[:, k] for k, name in enumerate(env.interface.unit_features)}


def test_each_sees_its_own_base_from_its_own_place():
    env = both(4)
    for row in range(4):
        seen = shown(env, row)
        own = seen["alliance"] == 1
        assert (own.sum(), (seen["alliance"] == 4).sum()) == (13, 0)
    first, second = shown(env, 0), shown(env, 1)
    home, other = (s["x"][(s["alliance"] == 1) & (s["unit_type"] == c.COMMAND_CENTER)] for s in (first, second))
    assert abs(home - other) > 0.4


def test_each_commands_and_pays_for_itself():
    env = both()
    action = nothing(env)
    action["function"][1] = FUNCTIONS.index("Train_SCV_quick")
    action["unit_tags"][1] = shown(env, 1)["unit_type"][: env.interface.max_units].size > 0
    env.step(action)
    numbers = env._observation["player"][:, env.interface.numbers.index("minerals")]
    assert numbers.tolist() == [50, 0]
    assert shown(env, 1)["queue"].sum() == 1
    assert shown(env, 0)["queue"].sum() == 0


def test_what_one_loses_the_other_wins():
    env = both(4)
    center = (env.units["owner"][1] == w.OWN) & (env.units["kind"][1] == c.COMMAND_CENTER)
    env.units["hp"][1, center] = 0
    env.games["dying"] = 1
    _, reward, terminated, truncated, info = env.step(nothing(env))
    assert reward.tolist() == [0, 0, -1, 1]
    assert terminated.tolist() == [False, False, True, True]
    assert not truncated.any()
    assert info["final_info"]["outcome"].tolist() == [0, 0, -1, 1]
    assert info["final_info"]["score"].tolist() == [0, 0, -1, 1]
    assert env.games["loop"].tolist() == [8, 0]  # the second game has begun anew


def test_shaping_rewards_a_change_in_who_holds_how_much():
    env = both(4, shaping=2.0)
    workers = np.flatnonzero((env.units["owner"][1] == w.OWN) & (env.units["kind"][1] == c.SCV))[:4]
    env.units["hp"][1, workers] = 0
    env.games["dying"] = 1
    _, reward, *_ = env.step(nothing(env))
    # Both began with a command center (400) and twelve workers (50 each): 800 against 1,000 now.
    assert np.allclose(reward, [0, 0, -2 * 200 / 1800, 2 * 200 / 1800])
    center = (env.units["owner"][1] == w.OWN) & (env.units["kind"][1] == c.COMMAND_CENTER)
    env.units["hp"][1, center] = 0
    env.games["dying"] = 1
    _, reward, *_, info = env.step(nothing(env))
    assert info["final_info"]["outcome"].tolist() == [0, 0, -1, 1]
    assert np.allclose(reward, [0, 0, *(np.array([-1, 1]) * (1 + 2 * (600 / 1400 - 200 / 1800)))])
    _, reward, *_ = env.step(nothing(env))  # the second game has begun anew, as even as the first
    assert reward.tolist() == [0, 0, 0, 0]


def test_time_up_is_a_draw_for_both():
    env = both(2, max_loops=16)
    env.step(nothing(env))
    _, reward, terminated, truncated, _ = env.step(nothing(env))
    assert (reward.tolist(), terminated.tolist(), truncated.tolist()) == ([0, 0], [False] * 2, [True] * 2)


def test_turning_the_table_twice_changes_nothing():
    env = make("Simple64", 3, opponent="hard")
    env.reset(seed=1)
    for action in random_actions(env, 3, 60):
        env.step(action)
    games, units = env.games.copy(), env.units.copy()
    game.turn_table(env.games, env.units)
    assert env.games[0]["turned"] == 1
    assert (env.games[0]["minerals"], env.games[0]["other_minerals"]) == (
        games[0]["other_minerals"],
        games[0]["minerals"],
    )
    moved = units[0]["owner"] != env.units[0]["owner"]
    assert (moved == (units[0]["owner"] != w.NEUTRAL) | (units[0]["kind"] == 0) & moved).all()
    game.turn_table(env.games, env.units)
    for name in games.dtype.names:  # there are bytes between the fields that nobody sets
        assert games[name].tobytes() == env.games[name].tobytes(), name
    there = units["kind"] > 0
    assert (units[there] == env.units[there]).all()


def test_a_game_depends_on_its_seed_and_on_what_both_do_alone():
    actions = random_actions(both(6), 1, 60)
    seen = course(both(6, threads=2), list(range(6)), actions)
    order = [2, 3]
    alone = course(both(2), [2, 2], [take(a, order) for a in actions])
    for one, other in zip(seen, alone, strict=True):
        assert equal(take(one, order), other)


def test_a_saved_game_goes_on():
    env, other = both(), both()
    for action in random_actions(env, 5, 30):
        env.step(action)
    other.load_state(env.save_state())
    for action in random_actions(env, 6, 20):
        a, b = env.step(action), other.step(action)
        assert all(equal(copy(x), y) for x, y in zip(a[:4], b[:4], strict=True))


@pytest.mark.parametrize(
    ("map_name", "rows", "options", "words"),
    [
        ("MoveToBeacon", 2, {"players": 2}, "MoveToBeacon is for one"),
        ("Simple64", 3, {"players": 2}, "even number of environments, got 3"),
        ("Simple64", 2, {"players": 2, "opponent": "hard"}, "leave opponent out"),
        ("Simple64", 2, {"players": 3}, "players"),
        ("MoveToBeacon", 2, {"shaping": 1.0}, "shaping: MoveToBeacon rewards"),
        ("MoveToBeacon", 2, {"head_start": 0.5}, "head_start: MoveToBeacon has no such beginnings"),
        ("Cliffs64", 2, {"head_start": 0.5}, "head_start: Cliffs64 has no such beginnings"),
        ("BuildMarines", 2, {"head_start": 2}, "head_start: expected a number from 0 to 1, got 2"),
        ("Simple64", 2, {"players": 2, "shaping": -1.0}, "shaping: expected a number of at least 0, got -1.0"),
        ("Simple64", 2, {"players": 2, "shaping": "much"}, "shaping: expected a number"),
    ],
)
def test_what_cannot_be_is_refused(map_name, rows, options, words):
    with pytest.raises(ValueError, match=words):
        make(map_name, rows, **options)
