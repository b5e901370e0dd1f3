"""The whole interface as an environment: natively and through PySC2 the same, and what its options do."""

import numpy as np
import pytest

from agents.runs.experiment import CONFIGS, read_config
from envs import registry
from envs.spaces import ACTION_MASK
from envs.starcraft.interface import Interface, InterfaceError
from tests.envs.starcraft.conftest import copy, equal, take

MELEE = ("melee_clicks", "melee_terran", "melee_whole")


def options(name):
    return read_config(CONFIGS / f"{name}.yaml").env_options


def legal(env, observation, game=0):
    """A legal action of one game at random, those that do something rather than nothing."""
    mask = take(observation[ACTION_MASK], game)
    return env.single_action_space.sample(mask)


@pytest.mark.parametrize("name", MELEE)
def test_experiments_observe_what_they_say(name):
    env = registry.make("sim/Simple64", 2, **options(name))
    observation, _ = env.reset(seed=0)
    env.single_action_space.seed(0)
    for _ in range(4):
        each = [legal(env, observation, game) for game in range(2)]
        observation, *_ = env.step({key: np.stack([one[key] for one in each]) for key in each[0]})
        assert env.observation_space.contains(observation)


@pytest.mark.slow
@pytest.mark.parametrize("name", MELEE)
def test_the_melee_through_pysc2_is_the_native_one(sc2, name):
    chosen = {**options(name), "opponent": "terran:medium"}
    ours = registry.make("sc2/Simple64", 1, launch_interval=0.0, **chosen)
    native = registry.make("sim/Simple64", 1, **chosen)
    native.single_action_space.seed(1)
    rng, used = np.random.default_rng(0), set()
    try:
        observation, expected = copy(ours.reset(seed=5)[0]), copy(native.reset(seed=5)[0])
        for step in range(150):
            different = [k for k in expected if not equal(take(expected, 0)[k], take(observation, 0)[k])]
            assert not different, (step, different)
            action = {key: np.asarray(value)[None] for key, value in legal(native, expected).items()}
            if rng.random() < 0.2:  # what is not offered is refused by the game, natively as through PySC2
                action["function"][0] = rng.integers(len(native.interface.functions))
            used.add(native.interface.functions[int(action["function"][0])])
            observation, reward, ended, *_, told = ours.step(action)
            expected, wanted, over, *_, info = native.step(action)
            assert (reward[0], told["refused"][0]) == (wanted[0], info["refused"][0]), (step, used)
            assert ended[0] == over[0]
            if ended[0]:
                break  # the next one has another seed
            observation, expected = copy(observation), copy(expected)
        assert len(used) > 30
    finally:
        ours.close()
        native.close()


def test_a_delay_is_the_loops_to_the_next_decision_of_each_game():
    env = registry.make("sim/MoveToBeacon", 3, style="raw", max_delay=50, minimap=16, fineness=4)
    env.reset(seed=0)
    loop = env.interface.numbers.index("game_loop")
    action = {key: np.zeros((3, *space.shape), space.dtype) for key, space in env.single_action_space.items()}
    for delays, loops in (([0, 7, 49], [1, 8, 50]), ([2, 2, 2], [4, 11, 53])):
        action["delay"][:] = delays
        assert env.step(action)[0]["player"][:, loop].tolist() == loops


def test_of_two_players_the_one_who_wants_to_decide_sooner_does():
    env = registry.make("sim/Simple64", 4, players=2, style="raw", max_delay=50)
    env.reset(seed=0)
    action = {key: np.zeros((4, *space.shape), space.dtype) for key, space in env.single_action_space.items()}
    action["delay"][:] = [9, 19, 29, 4]
    loops = env.step(action)[0]["player"][:, env.interface.numbers.index("game_loop")]
    assert loops.tolist() == [10, 10, 5, 5]


def test_a_place_is_as_fine_as_asked_for():
    """A marine that is sent to a cell of 1/4 world unit stops in it."""
    env = registry.make(
        "sim/MoveToBeacon", 1, style="raw", minimap=32, fineness=8, step_mul=160, unit_features=["x", "y"]
    )
    env.reset(seed=0)
    action = {key: np.zeros((1, *space.shape), space.dtype) for key, space in env.single_action_space.items()}
    action["function"][0] = env.interface.functions.index("Move_pt")
    action["unit_tags"][0, 0] = 1
    for column, row in ((101, 133), (162, 119)):  # of 256
        action["world"][0] = row // 8 * 32 + column // 8
        action["world_part"][0] = row % 8 * 8 + column % 8
        x, y = env.step(action)[0]["units"]["features"][0, 0] * 256
        assert (x, y) == pytest.approx((column + 0.5, row + 0.5), abs=0.5)


def test_groups_stand_for_their_names():
    face = Interface(
        style="raw", functions=["terran"], vocabulary=["terran", "SCV", "neutral"], upgrades=["zerg"], buffs=["named"]
    )
    assert face.functions[0] == "no_op"
    assert len(set(face.functions)) == len(face.functions) == 141
    assert len(set(face.vocabulary)) == len(face.vocabulary)
    assert {"Marine", "Thor", "MineralField750"} <= set(face.vocabulary)
    assert not {"Zergling", "Probe"} & set(face.vocabulary)
    assert "Burrow" in face.upgrades
    assert "Stimpack" not in face.upgrades
    whole = Interface(style="raw", functions=["all"], vocabulary=["all"], upgrades=["all"], buffs=["all"])
    assert (len(whole.functions), len(whole.vocabulary), len(whole.upgrades), len(whole.buffs)) == (564, 383, 296, 289)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"vocabulary": ["Marin"]}, "vocabulary: unknown name 'Marin'; did you mean 'Marine'"),
        ({"functions": ["teran"]}, "functions: unknown name 'teran'; did you mean 'terran'"),
        ({"upgrades": ["Stimpak"]}, "did you mean 'Stimpack'"),
        ({"fineness": 0}, "fineness: expected"),
        ({"fineness": 2}, "only the raw style"),
        ({"max_delay": -1}, "max_delay: expected"),
        ({"style": "orders", "functions": ["no_op"], "max_delay": 4}, "max_delay: in the style orders"),
        ({"max_effects": 513}, "max_effects"),
    ],
)
def test_refusals_name_the_option_and_the_way_out(wrong, said):
    with pytest.raises(InterfaceError, match=said):
        Interface(**{"functions": ["no_op"], **wrong})
