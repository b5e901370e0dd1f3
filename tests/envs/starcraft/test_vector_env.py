"""Games through PySC2: the contract, the same game as natively, what is refused, what is left behind."""

import signal
import subprocess
import sys
import time

import gymnasium as gym
import numpy as np
import pytest

from envs import registry
from envs.errors import EnvError
from envs.spaces import ACTION_MASK
from tests.envs.starcraft.conftest import ROOT, copy, equal, games, play_there, take, wait_for

QUICK = {"launch_interval": 0.05, "request_seconds": 10, "launch_seconds": 60}
SMALL = {"screen": 32, "minimap": 32}


@pytest.fixture
def make(sc2):
    made = []

    def make_one(name="MoveToBeacon", num_envs=1, **options):
        made.append(registry.make(f"sc2/{name}", num_envs, **{**QUICK, **options}))
        return made[-1]

    yield make_one
    for env in made:
        env.close()


def actions(env, seed, steps):
    env.action_space.seed(seed)
    return [env.action_space.sample() for _ in range(steps)]


def play(env, seed, steps=12):
    """What is seen, reset included, and the rewards, when the same actions are made."""
    seen = [copy(env.reset(seed=seed)[0])]
    rewards = []
    for action in actions(env, 0, steps):
        observation, reward, *_ = env.step(action)
        seen.append(copy(observation))
        rewards.append(reward)
    return seen, np.array(rewards)


# ---- the contract


@pytest.mark.parametrize("style", ["feature", "raw"])
def test_spaces_and_autoreset(make, style):
    env = make("CollectMineralShards", 2, max_loops=40, style=style, **SMALL)
    assert env.metadata["autoreset_mode"] == gym.vector.AutoresetMode.SAME_STEP
    observation, info = env.reset(seed=1)
    assert env.observation_space.contains(observation)
    assert info == {}
    game_loop = env.interface.numbers.index("game_loop")
    for step, action in enumerate(actions(env, 0, 12), 1):
        observation, reward, terminated, truncated, info = env.step(action)
        assert env.observation_space.contains(observation)
        assert (reward.dtype, terminated.dtype, truncated.dtype) == (np.float32, bool, bool)
        assert reward.shape == terminated.shape == truncated.shape == (2,)
        assert info["refused"].shape == info["aborted"].shape == (2,)
        assert not info["aborted"].any()
        # A step is eight loops, the limit forty: the fifth step ends both games by their limit, and begins the next.
        assert observation["player"][:, game_loop].tolist() == [step % 5 * 8] * 2
        assert truncated.tolist() == [step % 5 == 0] * 2
        assert not terminated.any()
        if step % 5:
            assert "final_obs" not in info
            continue
        assert info["_final_obs"].tolist() == info["_final_info"].tolist() == [True, True]
        assert info["final_info"]["loop"].tolist() == [40, 40]
        for last in info["final_obs"]:
            assert env.single_observation_space.contains(last)
            assert last["player"][game_loop] == 40


def test_a_limit_that_is_no_multiple_of_a_step_is_met_exactly(make):
    env = make(max_loops=20, **SMALL)
    env.reset(seed=0)
    for action in actions(env, 0, 2):
        assert not env.step(action)[3].any()
    _, _, terminated, truncated, info = env.step(actions(env, 1, 1)[0])
    assert truncated.all()
    assert not terminated.any()
    assert info["final_info"]["loop"].tolist() == [20]


def test_a_game_that_ends_by_itself_terminates(make):
    # The scripted player loses its marines to the roaches long before the limit, natively as well.
    ours = make("DefeatRoaches", 1)
    native = registry.make("sim/DefeatRoaches", 1)
    player = registry.scripted("sc2/DefeatRoaches", "scripted", ours)
    observation, _ = ours.reset(seed=4)
    native.reset(seed=4)
    over = False
    while not over:
        action = player(observation)
        observation, _, terminated, truncated, info = ours.step(action)
        *_, native_terminated, native_truncated, native_info = native.step(action)
        assert (terminated[0], truncated[0]) == (native_terminated[0], native_truncated[0])
        over = bool(terminated[0] | truncated[0])
    assert terminated.all()
    assert 0 < info["final_info"]["loop"][0] < 1920
    for name in ("score", "loop"):
        assert info["final_info"][name][0] == native_info["final_info"][name][0]


# ---- the same game


@pytest.mark.parametrize("how", [{"style": "feature"}, {"style": "raw"}, {"style": "raw", "one_unit": True}])
@pytest.mark.parametrize("name", ["MoveToBeacon", "DefeatZerglingsAndBanelings"])
def test_it_is_the_game_that_is_played_natively(make, name, how):
    # The first game of a seed is the native environment's of that seed, over the end of an episode too.
    options = {**how, "max_loops": 160, **SMALL}
    ours = make(name, 2, **options)
    native = registry.make(f"sim/{name}", 1, **options)
    seen, rewards = play(ours, 11, 30)
    for step, observation in enumerate(seen):
        if step == 0:
            expected = native.reset(seed=11)[0]
        else:
            action = {key: values[:1] for key, values in actions(ours, 0, 30)[step - 1].items()}
            expected, reward, *_ = native.step(action)
            assert reward[0] == rewards[step - 1, 0]
        different = [key for key in expected if not equal(take(expected, 0)[key], take(observation, 0)[key])]
        assert not different, f"step {step}"


@pytest.mark.parametrize("by_function", [False, True])
def test_raw_masks_are_as_natively(make, by_function):
    functions = ["no_op", "Harvest_Gather_unit", "Train_SCV_quick", "Build_SupplyDepot_pt", "Build_Barracks_pt"]
    options = {"style": "raw", "one_unit": True, "functions": functions, "max_units": 48, "minimap": 32, "step_mul": 64}
    options["masks_by_function"] = by_function
    ours = make("BuildMarines", 1, **options)
    native = registry.make("sim/BuildMarines", 1, **options)
    seen, expected = ours.reset(seed=3)[0], native.reset(seed=3)[0]
    generator = np.random.default_rng(0)
    free = []
    for _ in range(40):
        masks = expected[ACTION_MASK]
        assert equal(masks, seen[ACTION_MASK])
        free.append(int(masks["world"].sum()))
        function = generator.choice(np.flatnonzero(masks["function"][0]), 1)
        legal = {name: mask[0, function[0]] if mask.ndim == 3 else mask[0] for name, mask in masks.items()}
        choices = {name: generator.choice(np.flatnonzero(mask), 1) for name, mask in legal.items()}
        choices["function"] = function
        if by_function and function[0]:
            unit = expected["units"]["features"][0, choices["unit_tags"][0]]
            assert unit[0] == native.interface.vocabulary.index("CommandCenter" if function[0] == 2 else "SCV") + 1
        seen, expected = ours.step(choices)[0], native.step(choices)[0]
    assert min(free) < free[0]  # something was built


# ---- seeds


def test_the_same_seed_is_the_same_game_and_another_is_not(make):
    env = make("CollectMineralShards", 2, max_loops=64, **SMALL)
    first, again, other = play(env, 5), play(env, 5), play(env, 6)
    assert all(equal(a, b) for a, b in zip(first[0], again[0], strict=True))
    assert not equal(first[0][0]["units"], other[0][0]["units"])
    assert not equal(take(first[0][0]["units"], 0), take(first[0][0]["units"], 1)), "the games of a batch differ"


def test_each_game_can_have_a_seed_of_its_own(make):
    env = make("CollectMineralShards", 2, **SMALL)
    observation = copy(env.reset(seed=[7, 7])[0]["units"])
    assert equal(take(observation, 0), take(observation, 1))
    with pytest.raises(ValueError, match="2 games need as many seeds, got 3"):
        env.reset(seed=[1, 2, 3])


def test_without_a_seed_the_next_episode_begins(make):
    env = make("CollectMineralShards", 1, **SMALL)
    first = copy(env.reset(seed=3)[0]["units"])
    second = copy(env.reset()[0]["units"])
    assert not equal(first, second)
    env.reset(seed=3)
    assert equal(env.reset()[0]["units"], second)


def test_random_seed_holds_for_every_reset(make):
    env = make("CollectMineralShards", 1, random_seed=9, **SMALL)
    first = copy(env.reset(seed=1)[0]["units"])
    assert equal(env.reset(seed=2)[0]["units"], first)


# ---- an opponent


def test_an_opponent_and_the_outcome(make):
    env = make("Simple64", 1, opponent="terran:elite:rush", step_mul=256, **SMALL)
    env.reset(seed=0)
    idle = {name: np.zeros_like(values) for name, values in actions(env, 0, 1)[0].items()}
    for _ in range(113):  # the limit is 28,800 loops
        _, reward, terminated, truncated, info = env.step(idle)
        if (terminated | truncated).any():
            break
        assert reward[0] == 0
    assert terminated.all(), "who does nothing is beaten"
    assert reward[0] == info["final_info"]["outcome"][0] == -1
    assert env.step(idle)[0]["player"][0, env.interface.numbers.index("game_loop")] == 256, "the next game has begun"


def test_an_undecided_game_is_truncated_and_a_draw(make):
    env = make("Simple64", 1, opponent="terran:very_easy", max_loops=32, **SMALL)
    env.reset(seed=0)
    for action in actions(env, 0, 4):
        _, reward, terminated, truncated, info = env.step(action)
    assert truncated.all()
    assert not terminated.any()
    assert reward[0] == info["final_info"]["outcome"][0] == 0


# ---- actions


def test_a_choice_that_is_not_available_is_refused_and_the_game_goes_on(make):
    env = make("MoveToBeacon", 1, **SMALL)
    observation, _ = env.reset(seed=0)
    mask = observation[ACTION_MASK]["function"][0]
    assert not mask.all(), "nothing is selected at the start, so that there is something to refuse"
    action = actions(env, 0, 1)[0]
    action["function"][:] = np.flatnonzero(~mask.astype(bool))[0]
    observation, _, _, _, info = env.step(action)
    assert info["refused"].tolist() == [True]
    assert observation["player"][0, env.interface.numbers.index("game_loop")] == 8


# ---- what is refused, before a process is started


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("MoveToBeacom", {}, "has a map 'MoveToBeacom'; did you mean 'MoveToBeacon'?"),
        ("Simple64", {}, "opponent: Simple64 is played against one; name the built-in AI"),
        ("Simple64", {"opponent": "zork:hard:rush"}, "opponent: no race 'zork'"),
        ("Simple64", {"opponent": "zerg:hard:rash"}, "no build 'rash'; did you mean 'rush'?"),
        ("MoveToBeacon", {"opponent": "zerg:hard"}, "opponent: MoveToBeacon is played alone"),
        ("MoveToBeacon", {"race": "teran"}, "race: no race 'teran'; did you mean 'terran'?"),
        ("MoveToBeacon", {"version": "1.2.3"}, "does not hold 1.2.3"),
        ("MoveToBeacon", {"step_mul": 0}, "step_mul: expected"),
        ("MoveToBeacon", {"save_replay_episodes": 1}, "name the folder for the replays too, replay_dir"),
        ("MoveToBeacon", {"request_second": 4}, "unknown option 'request_second'; did you mean 'request_seconds'?"),
    ],
)
def test_what_is_refused(sc2, name, options, said):
    with pytest.raises(EnvError) as error:
        registry.make(f"sc2/{name}", 1, **options)
    assert said in str(error.value)
    assert not games(sc2)


def test_no_installation(monkeypatch, tmp_path):
    pytest.importorskip("pysc2_evolved")
    monkeypatch.setenv("SC2PATH", str(tmp_path / "nothing"))
    with pytest.raises(EnvError, match=r"there is no folder .*nothing \(SC2PATH\).*standin-install"):
        registry.make("sc2/MoveToBeacon", 1)
    monkeypatch.setenv("SC2PATH", str(tmp_path))
    with pytest.raises(EnvError, match=r"it has no Versions/Base<number>; unpack"):
        registry.make("sc2/MoveToBeacon", 1)
    (tmp_path / "Versions" / "Base75689").mkdir(parents=True)
    with pytest.raises(EnvError, match=r"there is no .*Base75689/SC2_x64"):
        registry.make("sc2/MoveToBeacon", 1)
    (tmp_path / "Versions" / "Base75689" / "SC2_x64").touch(0o644)
    with pytest.raises(EnvError, match=r"may not be executed; chmod \+x"):
        registry.make("sc2/MoveToBeacon", 1)


# ---- nothing is left behind


def test_closing_ends_the_processes(make, sc2):
    env = make(num_envs=2, **SMALL)
    assert not games(sc2), "none is started before the first reset"
    env.reset(seed=0)
    assert len(games(sc2)) == 2
    env.close()
    assert not games(sc2)


PROGRAM = """
import sys
from envs import registry
env = registry.make("sc2/MoveToBeacon", 2, screen=32, minimap=32, launch_interval=0.05)
env.reset(seed=0)
print("playing", flush=True)
while True:
    env.step(env.action_space.sample())
"""


@pytest.fixture
def program(sc2):
    """Starts the program above, and waits until it plays."""
    started = []

    def start(fault="", until="playing"):
        child = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], cwd=ROOT, env=play_there(sc2, fault), stdout=subprocess.PIPE, text=True,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        started.append(child)
        if until:
            assert child.stdout.readline().strip() == until
        return child

    yield start
    for child in started:
        child.kill()
        child.communicate()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_program_that_ends_takes_its_games_along(program, sc2, number):
    child = program()
    assert len(games(sc2)) == 2
    child.send_signal(number)
    child.wait(20)
    assert wait_for(lambda: not games(sc2))


@pytest.mark.parametrize("fault", ["hang@launch", "hang@step"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_also_while_a_game_hangs(program, sc2, fault, number):
    # Its deadline is further away than we wait here.
    child = program(fault, "" if "launch" in fault else "playing")
    assert wait_for(lambda: len(games(sc2)) == 2)
    time.sleep(0.5)  # it asks, and waits
    assert child.poll() is None
    child.send_signal(number)
    child.wait(10)
    assert wait_for(lambda: not games(sc2))
