"""The melee: who wins, what the computer player does, what is seen of it."""

import numpy as np
import pytest

from envs.standin.players.roster import interface_for_player, make_player
from envs.standin.rules import catalog as c
from envs.standin.rules import world as w
from envs.standin.vector_env import make
from envs.starcraft.maps import MELEE
from envs.starcraft.opponents import DIFFICULTIES
from tests.envs.standin.test_fuzz import play
from tests.envs.standin.test_vector_env import copy, course, equal, random_actions, take

MINUTE = 1344
"""Game loops at the speed "faster"."""


def melee(games=1, opponent=None, **options):
    env = make("Simple64", games, opponent=opponent, **options)
    env.reset(seed=0)
    return env


def wait(env, loops):
    """Do nothing for so long; the last step's returns."""
    nothing = {name: np.zeros(space.shape, np.int64) for name, space in env.action_space.spaces.items()}
    for _ in range(0, loops, env.step_mul):
        told = env.step(nothing)
    return told


def results(player, opponent, games, **options):
    """Each game's reward in all, whether it terminated, and its length in loops."""
    face = interface_for_player(player, "Simple64")
    env = make("Simple64", games, interface=face, opponent=opponent, **options)
    observation, _ = env.reset(seed=3)
    choose = make_player(player, "Simple64", face)
    total, ended = np.zeros(games), [None] * games
    while None in ended:
        observation, reward, terminated, truncated, info = env.step(choose(observation))
        total += [r if e is None else 0 for r, e in zip(reward, ended, strict=True)]
        for i in np.flatnonzero(terminated | truncated):
            ended[i] = ended[i] or (total[i], bool(terminated[i]), int(info["final_info"]["loop"][i]))
    return list(zip(*ended, strict=True))


def test_random_play_loses_to_elite():
    rewards, terminated, loops = results("random", "zerg:elite", 4)
    assert rewards == (-1,) * 4
    assert all(terminated)
    assert max(loops) < 15 * MINUTE
    _, _, slow = results("random", "very_easy", 4)
    assert np.median(slow) > 1.5 * np.median(loops)


def test_a_plain_plan_beats_the_easy_ones_and_loses_to_the_cheats():
    rewards, terminated, _ = results("scripted", "easy:macro", 2)
    assert rewards == (1, 1)
    assert all(terminated)
    rewards, _, _ = results("scripted", "cheat_insane:timing", 2)
    assert rewards == (-1, -1)


def test_the_time_limit_is_a_draw():
    env = melee(2, "very_easy", max_loops=64)
    *_, reward, terminated, truncated, info = wait(env, 64)
    assert (reward == 0).all()
    assert truncated.all()
    assert not terminated.any()
    assert info["final_info"]["loop"].tolist() == [64, 64]
    assert info["final_info"]["outcome"].tolist() == [0, 0]


@pytest.mark.parametrize(("loser", "reward"), [(w.OWN, -1), (w.ENEMY, 1)])
def test_who_has_no_building_left_has_lost_whatever_else_lives(loser, reward):
    env = melee()
    buildings = (env.units["owner"] == loser) & (env.units["kind"] == c.COMMAND_CENTER)
    assert buildings.sum() == 1
    env.units["hp"][buildings] = 0
    env.games["dying"] = 1
    _, rewards, terminated, truncated, info = wait(env, 8)
    assert rewards.tolist() == [reward]
    assert info["final_info"]["outcome"].tolist() == [reward]
    assert terminated.all()
    assert not truncated.any()


def test_both_sides_begin_alike_and_where_is_drawn():
    env = melee(32)
    for owner in (w.OWN, w.ENEMY):
        mine = env.units["owner"] == owner
        assert ((env.units["kind"] == c.COMMAND_CENTER) & mine).sum(1).tolist() == [1] * 32
        assert ((env.units["kind"] == c.SCV) & mine).sum(1).tolist() == [12] * 32
    first = env.units[:, 0]
    assert set(first["kind"]) == {c.COMMAND_CENTER}
    corners = {(float(x), float(y)) for x, y in zip(first["x"], first["y"], strict=True)}
    assert corners == {(14.5, 14.5), (49.5, 49.5)}
    assert (env.games["camera_x"] == first["x"]).all()


def test_twelve_workers_bring_in_what_recorded_games_show():
    # 29 recorded ladder games: about .039 minerals a loop a worker, those that build or scout among them.
    env = melee()
    wait(env, 1600)
    assert env.games["collected_minerals"][0] == pytest.approx(0.039 * 12 * 1600, rel=0.12)


def test_harder_opponents_have_more_marines_and_spend_no_more_than_workers_earn_but_the_cheats():
    trained = {}
    loops = 3400  # before anybody attacks
    for name in DIFFICULTIES:
        env = melee(1, f"{name}:macro")
        wait(env, loops)
        u = env.units[0]
        enemies = u[(u["kind"] > 0) & (u["owner"] == w.ENEMY)]
        costs = np.array([c.type_table()[k]["minerals"] for k in enemies["kind"]])
        trained[name] = int((enemies["kind"] == c.MARINE).sum())
        spent = costs.sum() - 400 - 12 * 50
        assert name.startswith("cheat_") or spent <= 50 + 0.039 * 18 * loops
    counts = list(trained.values())
    assert counts == sorted(counts)
    assert trained["cheat_insane"] > trained["very_hard"] > trained["medium"]


def test_a_computer_without_workers_trains_nobody():
    env = melee(1, "cheat_insane")
    env.units["hp"][(env.units["kind"] == c.SCV) & (env.units["owner"] == w.ENEMY)] = 0
    centers = (env.units["kind"] == c.COMMAND_CENTER) & (env.units["owner"] == w.ENEMY)
    env.units["timer"][centers] = -1e6  # nor makes new ones
    env.games["dying"] = 1
    wait(env, 4000)
    assert (env.units["owner"][0][env.units["kind"][0] == c.MARINE] != w.ENEMY).all()


def test_a_build_of_chance_is_drawn_anew_each_game():
    env = melee(64, "hard")
    assert set(env.games["plan"]) == {2, 3, 4, 5, 6}
    before = env.games["plan"].copy()
    env.reset()
    assert (env.games["plan"] != before).any()
    assert set(env.games["build"]) == {1}
    assert set(melee(4, "hard:rush").games["plan"]) == {2}


def test_fog_hides_the_other_base_but_not_its_minerals():
    env = melee(1, style="raw", max_units=96, functions=("no_op",))
    rows = env._observation["units"]["features"][0][env._observation["units"]["mask"][0] > 0]
    alliance = rows[:, env.interface.unit_features.index("alliance")]
    assert (alliance == 4).sum() == 0
    assert (alliance == 1).sum() == 13
    assert (alliance == 3).sum() == 20
    env.units["x"][0][1], env.units["y"][0][1] = 64 - env.units["x"][0][0], 64 - env.units["y"][0][0]
    env.step({"function": np.zeros(1, np.int64)})
    rows = env._observation["units"]["features"][0][env._observation["units"]["mask"][0] > 0]
    assert (rows[:, env.interface.unit_features.index("alliance")] == 4).sum() >= 10


def test_a_destroyed_refinery_leaves_its_geyser_and_free_ground():
    env = melee()
    u = env.units[0]
    slot = int(np.flatnonzero(u["kind"] == c.GEYSER)[0])
    x, y = u["x"][slot], u["y"][slot]
    u["kind"][slot], u["owner"][slot], u["contents"][slot], u["hp"][slot] = c.REFINERY, w.OWN, 777, 0
    version = int(env.games["obstacles"][0])
    env.games["dying"] = 1
    wait(env, 8)
    again = np.flatnonzero((u["kind"] == c.GEYSER) & (u["x"] == x) & (u["y"] == y))
    assert u["contents"][again].tolist() == [777]
    assert u["owner"][again].tolist() == [w.NEUTRAL]
    assert env.games["obstacles"][0] > version


def test_a_melee_depends_on_seed_and_choices_alone():
    big = make("Simple64", 5, opponent="elite:rush", threads=2, max_loops=640)
    actions = random_actions(big, 1, 100)
    seen = course(big, list(range(5)), actions)
    order = [4, 2]
    alone = course(make("Simple64", 2, opponent="elite:rush", max_loops=640), order, [take(a, order) for a in actions])
    for one, other in zip(seen, alone, strict=True):
        assert equal(take(one, order), other)
    big.close()


def test_a_saved_melee_goes_on_as_if_it_had_not_been():
    env, other = melee(2, "elite"), melee(2, "elite")
    wait(env, 3600)
    other.load_state(env.save_state())
    for action in random_actions(env, 2, 40):
        a, b = env.step(action), other.step(action)
        assert all(equal(copy(x), y) for x, y in zip(a[:4], b[:4], strict=True))


@pytest.mark.parametrize("style", ["feature", "raw"])
def test_nothing_impossible_comes_about(style):
    play("Simple64", style, 16, 600)


def test_every_melee_map_of_pysc2_is_known():
    melee_maps = pytest.importorskip("pysc2_evolved.maps.melee")
    assert set(MELEE) == set(melee_maps.melee_maps)
    assert {m.loops for m in MELEE.values()} == {melee_maps.Melee.game_steps_per_episode}


def test_only_a_melee_has_an_opponent():
    with pytest.raises(ValueError, match="opponent: MoveToBeacon has no computer player"):
        make("MoveToBeacon", 1, opponent="easy")
    with pytest.raises(ValueError, match="'hard'"):
        make("Simple64", 1, opponent="zerg:hart")
