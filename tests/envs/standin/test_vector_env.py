"""The vector environment's contract, determinism, saving, and what it refuses."""

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.standin.rules import catalog as c
from envs.standin.rules import world as w
from envs.standin.rules.catalog import type_table
from envs.standin.vector_env import make
from envs.starcraft.maps import MAPS

FIGHT = "DefeatZerglingsAndBanelings"


def equal(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    return np.array_equal(a, b)


def copy(nest):
    return {k: copy(v) for k, v in nest.items()} if isinstance(nest, dict) else np.array(nest)


def take(nest, index):
    return {k: take(v, index) for k, v in nest.items()} if isinstance(nest, dict) else nest[index]


def random_actions(env, seed, steps):
    env.action_space.seed(seed)
    return [env.action_space.sample() for _ in range(steps)]


@pytest.mark.parametrize("name", MAPS)
def test_spaces_and_metadata(name):
    env = make(name, 3)
    observation, info = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    assert info == {}
    for action in random_actions(env, 0, 5):
        observation, reward, terminated, truncated, info = env.step(action)
        assert env.observation_space.contains(observation)
        assert reward.shape == terminated.shape == truncated.shape == info["refused"].shape == (3,)
        assert (reward.dtype, terminated.dtype, truncated.dtype) == (np.float32, bool, bool)
    assert env.metadata["autoreset_mode"] == gym.vector.AutoresetMode.SAME_STEP


def test_a_time_limit_truncates_and_the_last_observation_is_told():
    env = make("MoveToBeacon", 2, max_loops=24, step_mul=8)
    env.reset(seed=0)
    for action in random_actions(env, 0, 2):
        assert "final_obs" not in env.step(action)[-1]
    observation, _, terminated, truncated, info = env.step(random_actions(env, 1, 1)[0])
    assert truncated.all()
    assert not terminated.any()
    assert info["_final_obs"].tolist() == [True, True]
    for i in range(2):
        assert env.single_observation_space.contains(info["final_obs"][i])
        last = info["final_obs"][i]["player"][env.interface.numbers.index("game_loop")]
        assert last == 24
        assert observation["player"][i][env.interface.numbers.index("game_loop")] == 0
    assert info["final_info"]["loop"].tolist() == [24, 24]


def test_an_episode_that_ends_is_followed_by_another_one():
    """The same that a reset would have begun, and not the one before again."""
    env, other = (make("MoveToBeacon", 2, max_loops=8, step_mul=8) for _ in range(2))
    first = copy(env.reset(seed=0)[0])
    second = copy(env.step(random_actions(env, 0, 1)[0])[0])
    other.reset(seed=0)
    assert equal(second, other.reset()[0])
    assert not equal(second["units"], first["units"])


def test_the_loss_of_all_units_terminates():
    env = make("DefeatRoaches", 2)
    env.reset(seed=0)
    env.units["hp"][1][env.units["kind"][1] == 1] = 0
    env.games["dying"] = 1
    *_, reward, terminated, truncated, info = env.step({k: v * 0 for k, v in env.action_space.sample().items()})
    assert terminated.tolist() == [False, True]
    assert not truncated.any()
    assert reward[1] == -9
    assert info["final_obs"][0] is None


def course(env, seed, actions):
    """Observations, rewards and ends of a run."""
    observation, _ = env.reset(seed=seed)
    seen = [copy(observation)]
    for action in actions:
        observation, reward, terminated, truncated, _ = env.step(action)
        seen.append({**copy(observation), "ends": np.stack([reward, terminated, truncated], 1)})
    return seen


@pytest.mark.parametrize("name", MAPS)
def test_a_course_depends_on_seed_and_choices_alone(name):
    steps = 60
    big = make(name, 7, threads=2, max_loops=320)
    actions = random_actions(big, 5, steps)
    seen = course(big, list(range(7)), actions)
    order = [4, 2]
    small = make(name, 2, max_loops=320)
    alone = course(small, order, [take(a, order) for a in actions])
    for one, other in zip(seen, alone, strict=True):
        assert equal(take(one, order), other)
    big.close()


def test_games_of_one_seed_differ_and_do_not_depend_on_their_number():
    few, many = make("MoveToBeacon", 2), make("MoveToBeacon", 9)
    a, b = copy(few.reset(seed=11)[0]), copy(many.reset(seed=11)[0])
    assert equal(a, take(b, slice(0, 2)))
    places = b["units"]["features"][:, 0, 2]
    assert len(np.unique(places)) == 9
    again = copy(many.reset(seed=12)[0])
    assert not np.isin(again["units"]["features"][:, 0, 2], places).any()
    assert not equal(again, copy(many.reset()[0]))  # the next episode is another one


@settings(max_examples=8, deadline=None)
@given(name=st.sampled_from(sorted(MAPS)), seed=st.integers(0, 2**31), before=st.integers(0, 30))
def test_a_saved_game_goes_on_as_if_it_had_not_been(name, seed, before):
    env, other = make(name, 3, max_loops=200), make(name, 3, max_loops=200)
    actions = random_actions(env, seed % 1000, before + 20)
    env.reset(seed=seed)
    for action in actions[:before]:
        observation = env.step(action)[0]
    state = env.save_state()
    assert all(isinstance(v, np.ndarray) and v.dtype == np.uint8 for v in state.values())
    observation = other.load_state(state)
    if before:
        assert equal(observation, env._observation)
    for action in actions[before:]:
        a, b = env.step(action), other.step(action)
        assert all(equal(x, y) for x, y in zip(a[:4], b[:4], strict=True))


def test_a_state_of_another_batch_is_refused():
    with pytest.raises(ValueError, match="not of 3 games of MoveToBeacon"):
        make("MoveToBeacon", 3).load_state(make("MoveToBeacon", 2).save_state())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_envs": 0}, "num_envs"),
        ({"step_mul": 0}, "step_mul"),
        ({"max_loops": 0}, "max_loops"),
        ({"render_mode": "human"}, "render_mode"),
        ({"screeen": 3}, "screen"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        make("MoveToBeacon", **{"num_envs": 1, **options})


def test_unavailable_functions_do_nothing_and_are_counted():
    env = make("MoveToBeacon", 1)
    before = copy(env.reset(seed=0)[0])
    action = {k: v * 0 for k, v in env.action_space.sample().items()}
    action["function"][:] = env.interface.functions.index("Move_screen")
    assert before["action_mask"]["function"][0, action["function"][0]] == 0
    after, *_, info = env.step(action)
    assert info["refused"].tolist() == [1]
    assert np.array_equal(before["units"]["features"], after["units"]["features"])


def test_gymnasium_wrappers_work_on_it():
    env = gym.wrappers.vector.RecordEpisodeStatistics(make("MoveToBeacon", 2, max_loops=16))
    env.reset(seed=0)
    env.step(env.action_space.sample())
    info = env.step(env.action_space.sample())[-1]
    assert info["episode"]["l"].tolist() == [2, 2]


def test_frames_show_every_map():
    for name in MAPS:
        env = make(name, 2, render_mode="rgb_array", render_games=1)
        env.reset(seed=0)
        frames = env.render()
        assert len(frames) == 1
        assert frames[0].dtype == np.uint8
        assert frames[0].shape[1:] == (560, 3)
        assert len(np.unique(frames[0].reshape(-1, 3), axis=0)) > 50


def test_a_changed_rule_is_compiled_anew(monkeypatch, tmp_path):
    """The stamp of cached kernels covers every file with a rule or a constant of theirs."""
    import shutil
    from pathlib import Path

    from envs.standin.rules import compiled

    root = Path(compiled.__file__).parents[2]
    for part in ("standin", "starcraft"):
        shutil.copytree(root / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(compiled, "__file__", str(tmp_path / "standin/rules/compiled.py"))
    stamps = {compiled._digest()}
    changed = (
        "rules/combat.py",
        "rules/catalog.py",
        "scenarios/economies.py",
        "rules/scenario_ids.py",
        "../starcraft/interface.py",
    )
    for name in changed:
        with (tmp_path / "standin" / name).open("a") as file:
            file.write("\n")
        stamps.add(compiled._digest())
    assert len(stamps) == 1 + len(changed)
    with (tmp_path / "standin/render.py").open("a") as file:
        file.write("\n")
    assert compiled._digest() in stamps


def test_staggered_games_end_their_first_episode_at_evenly_spread_loops_and_no_other():
    env = make("MoveToBeacon", 4, max_loops=80, step_mul=1)
    env.reset(seed=0, options={"stagger": True})
    ends = {i: [] for i in range(4)}
    for loop in range(1, 161):
        *_, truncated, _ = env.step({k: np.zeros(4, np.int64) for k in env.single_action_space})
        for i in np.flatnonzero(truncated):
            ends[i].append(loop)
    assert ends == {0: [20, 100], 1: [40, 120], 2: [60, 140], 3: [80, 160]}


@pytest.mark.parametrize("players", [1, 2])
def test_games_at_rest_stand_still_and_the_others_do_not_notice(players):
    options = {"players": 2, "style": "orders", "step_mul": 32} if players == 2 else {}
    env, whole = (make("Simple64" if players == 2 else FIGHT, 4, max_loops=400, **options) for _ in range(2))
    env.reset(seed=3)
    whole.reset(seed=3)
    env.rest(np.array([True, True, False, False]))
    before, ends = copy(take(env.step(random_actions(env, 0, 1)[0])[0], slice(2))), 0
    whole.step(random_actions(whole, 0, 1)[0])
    for action in random_actions(env, 1, 60 // players):
        (mine, reward, *over, _), (theirs, all_rewards, *all_over, _) = env.step(action), whole.step(action)
        assert equal(take(mine, slice(2)), before)
        assert not reward[:2].any()
        assert not np.any([part[:2] for part in over])
        assert equal(take(mine, slice(2, 4)), take(theirs, slice(2, 4)))
        assert equal([reward[2:], *(part[2:] for part in over)], [all_rewards[2:], *(part[2:] for part in all_over)])
        ends += over[0][2:].sum() + over[1][2:].sum()
    assert ends
    assert equal(env.reset(seed=3)[0], whole.reset(seed=3)[0])
    action = random_actions(env, 2, 1)[0]
    assert equal(env.step(action)[0], whole.step(action)[0])


def test_shaping_in_fog_rewards_what_is_seen_for_the_first_time():
    plain, shaped = (make("FindAndDefeatZerglings", 2, style="orders", shaping=s) for s in (0.0, 10.0))
    left, bottom, right, top = map(int, plain.map.layout().places[0])
    y, x = np.mgrid[bottom:top, left:right] + 0.5
    known = np.zeros((2, *y.shape), bool)

    def look():
        for k, units in enumerate(shaped.units):
            for u in units[(units["owner"] == w.OWN) & (units["kind"] == c.MARINE)]:
                known[k] |= (x - u["x"]) ** 2 + (y - u["y"]) ** 2 < 9**2  # a marine sees nine units far
        return known.mean((1, 2))

    assert all(equal(a, b) for a, b in zip(plain.reset(seed=3), shaped.reset(seed=3), strict=True))
    begun, more = look(), np.zeros(2)
    for action in random_actions(plain, 4, 15):
        action["function"][:] = np.where(action["function"] > 0, plain.interface.functions.index("Move_pt"), 0)
        more += shaped.step(action)[1] - plain.step(action)[1]
        told = look()
    assert (told > begun + 0.03).all()
    np.testing.assert_allclose(more, 10 * (told - begun), atol=1e-4)


def test_shaping_of_an_economy_rewards_what_is_built():
    plain, shaped = (make("BuildMarines", 1, style="orders", shaping=s) for s in (0.0, 2.0))
    for env in (plain, shaped):
        env.reset(seed=3)
        env.games["minerals"] = 1000
    action = {name: np.zeros(space.shape, space.dtype) for name, space in plain.action_space.items()}
    center = np.flatnonzero(shaped.units["kind"][0, shaped.slots[0]] == c.COMMAND_CENTER)
    action["function"][0, center] = plain.interface.functions.index("Train_SCV_quick")
    more = 0.0
    for _ in range(40):
        more += float((shaped.step(action)[1] - plain.step(action)[1])[0])
        action["function"][:] = 0
    assert more == pytest.approx(2 * 50 / 1000)  # one worker


def test_a_head_start_gives_both_sides_of_a_melee_something_to_begin_with():
    ahead = make("Simple64", 400, style="orders", players=2, head_start=0.75)
    ahead.reset(seed=3)
    u = ahead.units
    sides = [(u["owner"] == owner) & (u["kind"] > 0) for owner in (w.OWN, w.ENEMY)]
    built = [{kind: ((u["kind"] == kind) & own).sum(1) for kind in START} for own in sides]
    plain = [(side[c.SCV] == 12) & (side[c.SUPPLY_DEPOT] == 0) for side in built]
    assert 0.2 < (plain[0] & plain[1]).mean() < 0.4  # a quarter, and those that drew no depots
    assert (built[0][c.MARINE] != built[1][c.MARINE]).any()
    for side, own, purse in zip(built, sides, ("minerals", "other_minerals"), strict=True):
        assert side[c.COMMAND_CENTER].max() == 1
        assert (side[c.BARRACKS][side[c.SUPPLY_DEPOT] == 0] == 0).all()
        assert (side[c.MARINE][side[c.BARRACKS] == 0] == 0).all()
        assert side[c.MARINE].max() > 12
        assert len(np.unique(ahead.games[purse])) > 10
        assert (side[c.SCV] + side[c.MARINE] <= 15 + 8 * side[c.SUPPLY_DEPOT]).all()
        middle = u["x"].sum(1, where=own) / own.sum(1), u["y"].sum(1, where=own) / own.sum(1)
        far = np.hypot(u["x"] - middle[0][:, None], u["y"] - middle[1][:, None])
        assert (far[own] < 20).all()  # at home
    assert_apart(u[:50])


START = (c.COMMAND_CENTER, c.SUPPLY_DEPOT, c.BARRACKS, c.SCV, c.MARINE)


def assert_apart(games):
    """No building is on another, nor on minerals."""
    wide, high = type_table()["plot_w"] / 2, type_table()["plot_h"] / 2
    for units in games:
        there = units[(units["kind"] > 0) & (wide[units["kind"]] > 0)]
        x, y = (abs(there[axis][:, None] - there[axis]) for axis in ("x", "y"))
        x, y = (d - (s[:, None] + s) for d, s in ((x, wide[there["kind"]]), (y, high[there["kind"]])))
        assert (np.maximum(x, y)[~np.eye(len(there), dtype=bool)] >= 0).all()


@pytest.mark.parametrize("name", ["BuildMarines", "CollectMineralsAndGas"])
def test_a_head_start_gives_some_games_some_of_what_is_to_be_built(name):
    games = 400
    plain, ahead = (make(name, games, style="orders", head_start=share) for share in (0.0, 0.75))
    plain.reset(seed=3)
    ahead.reset(seed=3)
    u, first = ahead.units, plain.units
    own = u["owner"] == w.OWN
    built = {kind: ((u["kind"] == kind) & own).sum(1) for kind in (c.SUPPLY_DEPOT, c.BARRACKS, c.SCV, c.COMMAND_CENTER)}
    untouched = (ahead.games["minerals"] == 50) & (built[c.SUPPLY_DEPOT] == 0) & (built[c.COMMAND_CENTER] == 1)
    assert 0.15 < untouched.mean() < 0.35
    assert equal(take(u, untouched), take(first, untouched))
    assert (built[c.BARRACKS][built[c.SUPPLY_DEPOT] == 0] == 0).all()  # as the tree of what needs what has it
    assert built[c.COMMAND_CENTER].max() == (1 if name == "BuildMarines" else 2)
    assert built[c.SCV].min() == 12
    assert all(len(np.unique(built[kind])) > 4 for kind in (c.SUPPLY_DEPOT, c.SCV))
    assert len(np.unique(built[c.BARRACKS])) > 4 or name != "BuildMarines"
    used, room = 2 * built[c.SCV], 30 + 16 * built[c.SUPPLY_DEPOT]
    assert (used <= room).all()
    assert (u["build_left"][own] == 0).all()
    assert_apart(u[:50])
    again = make(name, games, style="orders", head_start=0.75)
    again.reset(seed=3)
    assert equal(again.units, u)
