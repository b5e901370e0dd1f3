"""The melee: who wins, what the computer player does, what is seen of it."""

import numpy as np
import pytest

from envs.standin.contest import contest
from envs.standin.players.roster import interface_for_player, make_player
from envs.standin.rules import catalog as c
from envs.standin.rules import world as w
from envs.standin.scenarios.plans import BARRACKS_WANTED, MACRO, MORE_BARRACKS, PEACE, PLANS
from envs.standin.vector_env import make
from envs.starcraft.maps import CLIFFS, MELEE
from envs.starcraft.opponents import DIFFICULTIES, Opponent
from tests.envs.standin.test_fuzz import play
from tests.envs.standin.test_vector_env import copy, course, equal, random_actions, take
from tests.envs.standin.tricks import outcomes

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
    rewards, terminated, loops = results("random", "terran:elite", 4)
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


def worth(env):
    """Minerals that the computer player's units have cost, those that it began with aside; what is begun counts."""
    u = env.units[0]
    theirs = u[(u["kind"] > 0) & (u["owner"] == w.ENEMY)]
    types = c.type_table()
    training = sum(int(types[k]["minerals"]) for b in theirs for k in b["product"][: b["producing"]])
    return sum(int(types[k]["minerals"]) for k in theirs["kind"]) + training - 400 - 12 * 50


def test_harder_opponents_have_more_marines_and_pay_for_all_but_the_cheats():
    trained = {}
    for name in DIFFICULTIES:
        env = melee(1, f"{name}:macro")
        wait(env, 3400)  # before anybody attacks
        u, g = env.units[0], env.games[0]
        trained[name] = int(((u["kind"] == c.MARINE) & (u["owner"] == w.ENEMY)).sum())
        extra = worth(env) + g["other_minerals"] - 50 - g["other_collected_minerals"]
        assert (extra > 300) if name in ("cheat_money", "cheat_insane") else (extra == 0), name
    # In between, the better ones have more workers and barracks first.
    few, some, many, most = (trained[name] for name in ("very_easy", "medium", "cheat_money", "cheat_insane"))
    assert few < some < many < most


def test_a_computer_without_workers_and_minerals_trains_nobody():
    env = melee(1, "very_hard")
    env.units["hp"][(env.units["kind"] == c.SCV) & (env.units["owner"] == w.ENEMY)] = 0
    env.games["other_minerals"] = 0
    env.games["dying"] = 1
    wait(env, 4000)
    assert (env.units["owner"][0][env.units["kind"][0] == c.MARINE] != w.ENEMY).all()


def test_what_is_destroyed_is_built_again():
    env = melee(1, "hard:macro")
    wait(env, 2400)
    lost = (env.units["owner"] == w.ENEMY) & np.isin(env.units["kind"], (c.BARRACKS, c.SUPPLY_DEPOT))
    assert lost.sum() >= 2
    tags = env.units["tag"][lost]
    env.units["hp"][lost] = -1e6  # those that are being built gain some
    env.games["dying"] = 1
    wait(env, 8)
    assert not np.isin(tags, env.units["tag"][env.units["kind"] > 0]).any()
    there = lambda: (env.units["owner"] == w.ENEMY) & np.isin(env.units["kind"], (c.BARRACKS, c.SUPPLY_DEPOT))  # noqa: E731
    wait(env, 3000)
    assert set(env.units["kind"][there()]) == {c.BARRACKS, c.SUPPLY_DEPOT}


def test_a_computer_whose_sites_are_all_taken_goes_on_training_soldiers():
    env = melee(1, "cheat_insane:macro")
    env.games["other_pace"][:, PEACE] = 1e9  # its marines stay at home
    theirs = lambda kind: int(((env.units["kind"] == kind) & (env.units["owner"] == w.ENEMY)).sum())  # noqa: E731
    counts = []
    for _ in range(12):
        wait(env, 600)
        counts.append((theirs(c.BARRACKS), theirs(c.MARINE)))
    built = [barracks for barracks, _ in counts]
    wanted = env.games["other_pace"][0, BARRACKS_WANTED] * PLANS[MACRO, MORE_BARRACKS]
    assert built[-1] == built[-3] < int(wanted)  # it has no ground for the others
    assert counts[-1][1] > counts[-2][1] > counts[-3][1]


def test_a_building_that_its_builder_left_is_finished():
    env = melee(1, "hard")
    while not (env.units["build_left"] > 0).any():
        wait(env, 8)
    builder = (env.units["order"][0] >= w.BUILD).nonzero()[0]
    env.units["hp"][0, builder] = 0
    env.games["dying"] = 1
    wait(env, 900)
    assert (env.units["kind"][env.units["build_left"] <= 0] == c.SUPPLY_DEPOT).sum() >= 1


def test_a_build_of_chance_is_drawn_anew_each_game():
    env = melee(64, "hard")
    assert set(env.games["other_plan"]) == {2, 3, 4, 5}
    before = env.games["other_plan"].copy()
    env.reset()
    assert (env.games["other_plan"] != before).any()
    assert set(env.games["other_build"]) == {1}
    assert set(melee(4, "hard:rush").games["other_plan"]) == {2}


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
    assert set(MELEE) == {*melee_maps.melee_maps, CLIFFS}
    assert {m.loops for m in MELEE.values()} == {melee_maps.Melee.game_steps_per_episode}


def test_only_a_melee_has_an_opponent():
    with pytest.raises(ValueError, match="opponent: MoveToBeacon has no computer player"):
        make("MoveToBeacon", 1, opponent="easy")
    with pytest.raises(ValueError, match="'hard'"):
        make("Simple64", 1, opponent="zerg:hart")


@pytest.mark.parametrize(
    ("opponent", "words"), [("zerg:hard", "plays Terran, not Zerg"), ("hard:air", "no build 'air'")]
)
def test_what_is_not_played_is_refused_in_words(opponent, words):
    with pytest.raises(ValueError, match=words):
        make("Simple64", 1, opponent=opponent)


LADDER = list(DIFFICULTIES)


@pytest.mark.parametrize("level", [3, 5])
def test_a_difficulty_beats_the_one_two_below_it_in_few_games(level):
    outcome, _ = contest(Opponent("terran", LADDER[level]), Opponent("terran", LADDER[level - 2]), 5)
    assert outcome.sum() >= 3


@pytest.mark.slow
@pytest.mark.parametrize("level", range(2, 10))
def test_each_difficulty_beats_the_one_two_below_it(level):
    outcome, _ = contest(Opponent("terran", LADDER[level]), Opponent("terran", LADDER[level - 2]), 200, seed=level)
    assert (outcome == 1).mean() >= 0.7


def test_a_rush_of_workers_is_beaten_by_workers():
    assert outcomes("rush", "medium", 6).count(1) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("level", ["medium", "hard", "very_hard"])
@pytest.mark.parametrize(("trick", "most"), [("rush", 2), ("hide", 2), ("one by one", 2), ("random", 1)])
def test_cheap_tricks_do_not_work(trick, most, level):
    assert outcomes(trick, level, 20).count(1) <= most
