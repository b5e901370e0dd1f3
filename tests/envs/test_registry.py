import contextlib

import gymnasium
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from envs import registry
from envs.errors import EnvError
from envs.single.entry import GIVEN
from envs.spelling import did_you_mean


@pytest.mark.parametrize(
    ("env_id", "answer"),
    [
        ("CartPol-v1", "did you mean 'CartPole-v1'"),
        ("CartPole", "did you mean 'CartPole-v1'"),
        ("movetobeacon", "did you mean 'sim/MoveToBeacon'"),
        ("sim/MoveToBeacn", "did you mean 'sim/MoveToBeacon'"),
        ("sc2/MoveToBeacon", "no StarCraft II: there is no folder"),
        ("no_such_module_of_mine:Env", "cannot import 'no_such_module_of_mine'"),
        ("gymnasium:Enw", "has no 'Enw'; did you mean 'Env'"),
        ("math:pi", "expected a class or a function"),
        ("qqqqqqqqq", "no such environment"),
    ],
)
def test_a_name_that_is_none_is_refused_with_the_nearest_one(env_id, answer, monkeypatch, tmp_path):
    monkeypatch.setenv("SC2PATH", str(tmp_path / "none"))
    with pytest.raises(EnvError) as refusal:
        registry.check(env_id)
    assert env_id in str(refusal.value)
    assert answer in str(refusal.value)


def test_whether_there_is_an_opponent_decides_which_maps_there_are(installation, monkeypatch):
    pytest.importorskip("pysc2_evolved")
    monkeypatch.setenv("SC2PATH", str(installation))
    registry.check("sc2/Simple64", {"opponent": "terran:easy"})
    registry.check("sc2/MoveToBeacon")
    with pytest.raises(EnvError, match="sc2/Simple64: opponent: Simple64 is played against one; name"):
        registry.check("sc2/Simple64")
    with pytest.raises(EnvError, match="sc2/MoveToBeacon: opponent: MoveToBeacon is played alone"):
        registry.check("sc2/MoveToBeacon", {"opponent": "terran:easy"})


def test_what_the_stand_in_does_not_play_is_refused(installation, monkeypatch):
    pytest.importorskip("pysc2_evolved")
    monkeypatch.setenv("SC2PATH", str(installation))
    for game in ("sim", "sc2"):
        with pytest.raises(EnvError, match="plays Terran, not Zerg"):
            registry.check(f"{game}/Simple64", {"opponent": "zerg:easy"})
    registry.check("sim/Simple64", {"players": 2})


def test_a_melee_needs_an_opponent_in_the_stand_in_too():
    registry.check("sim/Simple64", {"opponent": "terran:easy"})
    for refuse in (registry.check, lambda name: registry.make(name, 1)):
        with pytest.raises(
            EnvError, match="sim/Simple64: opponent: Simple64 is played against one; name the built-in AI"
        ):
            refuse("sim/Simple64")
    with pytest.raises(EnvError, match="sim/MoveToBeacon: opponent: MoveToBeacon is played alone"):
        registry.check("sim/MoveToBeacon", {"opponent": "terran:easy"})


NUMBERS = ("step_mul", "max_loops", "threads", "render_games", "screen", "minimap", "max_units")


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [1e9, 8.5, True, "8", float("nan"), -1, 10**12])
def test_a_number_of_the_wrong_type_or_size_is_refused(name, value):
    with pytest.raises(EnvError, match=rf"sim/MoveToBeacon: {name}: expected a whole number from"):
        registry.make("sim/MoveToBeacon", 1, **{name: value})


@pytest.mark.parametrize("value", [0, True, 2.5, 10**9])
def test_a_number_of_games_that_is_none_is_refused(value):
    with pytest.raises(EnvError, match="num_envs: expected a whole number from 1 to"):
        registry.make("sim/MoveToBeacon", value)


def test_numpys_numbers_are_numbers():
    env = registry.make("sim/MoveToBeacon", np.int64(2), step_mul=np.int32(4), screen=np.int64(8))
    assert env.reset(seed=0)[0]["screen"].shape == (2, 8, 8, 3)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"step_mul": 1e9}, "step_mul: expected a whole number from 1 to 28,800, got 1000000000.0"),
        ({"step_mul": True}, "step_mul: expected a whole number"),
        ({"max_loops": 8.5}, "max_loops: expected a whole number"),
        ({"random_seed": -1}, "random_seed: expected a whole number"),
        ({"save_replay_episodes": True}, "save_replay_episodes: expected a whole number"),
        ({"realtime": 1}, "realtime: expected true or false, got 1"),
        ({"disable_fog": "no"}, "disable_fog: expected true or false"),
        ({"request_seconds": "soon"}, "request_seconds: expected a number of at least 0, got 'soon'"),
        ({"memory_limit": float("inf")}, "memory_limit: expected a number"),
        ({"backoff": True}, "backoff: expected a number"),
        ({"recycle_episodes": 1.5}, "recycle_episodes: expected a whole number from 1"),
        ({"attempts": 0}, "attempts: expected a whole number from 1"),
        ({"screen": 16.0}, "screen: expected a whole number from 1 to 512, or two"),
    ],
)
def test_numbers_through_pysc2_are_checked_before_a_game_is_started(installation, monkeypatch, option, message):
    pytest.importorskip("pysc2_evolved")
    monkeypatch.setenv("SC2PATH", str(installation))
    with pytest.raises(EnvError) as refusal:
        registry.make("sc2/MoveToBeacon", 1, **option)
    assert message in str(refusal.value)


@pytest.mark.parametrize("env_id", ["sim/DefeatRoaches", "sc2/MoveToBeacon", "sim/Simple64"])
def test_who_is_no_stronger_than_the_script_is_not_called_strong(env_id):
    assert registry.player_name(env_id, "strong") == "scripted (there is no stronger one)"
    assert registry.player_name("sim/BuildMarines", "strong") == "strong"
    assert registry.player_name(env_id, "scripted") == "scripted"


def test_options_reach_the_environment():
    env = registry.make("FrozenLake-v1", 2, map_name="8x8")
    assert env.single_observation_space.n == 64


@pytest.mark.parametrize(("typed", "meant"), [("step_mull", "step_mul"), ("stile", "style")])
def test_a_misspelt_option_of_a_mini_game_is_told_the_one_that_is_meant(typed, meant):
    with pytest.raises(EnvError, match=f"unknown interface option '{typed}'; did you mean '{meant}'"):
        registry.make("sim/MoveToBeacon", 1, **{typed: 4})


@pytest.mark.parametrize(
    ("env_id", "options"), [("CartPole-v1", {"gravitee": 3}), ("sim/MoveToBeacon", {"no_such_option": 3})]
)
def test_an_unknown_option_is_refused_by_name(env_id, options):
    with pytest.raises(EnvError, match=rf"{env_id}.*{next(iter(options))}"):
        registry.make(env_id, 1, **options)


def test_a_class_of_ones_own_is_found_in_the_folder_one_calls_from(tmp_path, monkeypatch):
    (tmp_path / "my_walk.py").write_text(
        "import gymnasium\n"
        "class Walk(gymnasium.Env):\n"
        "    observation_space = gymnasium.spaces.Discrete(5)\n"
        "    action_space = gymnasium.spaces.Discrete(2)\n"
        "    def __init__(self, far=3): self.far = far\n"
        "    def reset(self, *, seed=None, options=None):\n"
        "        super().reset(seed=seed)\n"
        "        self.at = 0\n"
        "        return self.at, {}\n"
        "    def step(self, action):\n"
        "        self.at += 1\n"
        "        return self.at, 1.0, self.at == self.far, False, {}\n"
        "class NoEnv:\n"
        "    pass\n"
    )
    monkeypatch.chdir(tmp_path)
    env = registry.make("my_walk:Walk", 2, far=2)
    env.reset(seed=0)
    env.step(np.zeros(2, int))
    observation, _, terminated, _, info = env.step(np.zeros(2, int))
    assert terminated.all()
    assert list(info["final_obs"]) == [2, 2]
    assert observation.tolist() == [0, 0]
    with pytest.raises(EnvError, match=r"NoEnv is a class, but not one of gymnasium\.Env's"):
        registry.make("my_walk:NoEnv", 1)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("my_hunt", "my_hunt:CLASS"), ("my_hunt.py", "my_hunt:CLASS"), ("my_hunt.Hunt", "my_hunt:Hunt")],
)
def test_a_file_in_this_folder_is_meant_where_its_name_is_typed(tmp_path, monkeypatch, typed, meant):
    (tmp_path / "my_hunt.py").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EnvError, match=f"no such environment; did you mean '{meant}'"):
        registry.check(typed)


@pytest.mark.parametrize("lacks", ["observation_space", "action_space"])
def test_an_environment_without_a_space_is_told_so(monkeypatch, lacks):
    class Bare(gymnasium.Env):
        observation_space = action_space = gymnasium.spaces.Discrete(2)

        def __getattribute__(self, name):
            if name == lacks:
                raise AttributeError(name)
            return super().__getattribute__(name)

    monkeypatch.setitem(GIVEN, "python/Bare", Bare)
    with pytest.raises(EnvError, match=f"python/Bare: it has no {lacks}; set it"):
        registry.make("python/Bare", 1)


def test_a_class_that_is_no_environment_is_not_called(tmp_path, monkeypatch):
    (tmp_path / "my_trap.py").write_text(
        "class Trap:\n    def __init__(self, **options): open('called', 'w').close()\n"
    )
    monkeypatch.chdir(tmp_path)
    for check in (lambda: registry.check("my_trap:Trap"), lambda: registry.make("my_trap:Trap", 1)):
        with pytest.raises(EnvError, match="not called"):
            check()
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize("package", ["envs", "agents", "perceiver_policy"])
@pytest.mark.parametrize("module", ["mine", "gym", "config", "deeper.mine"])
def test_a_module_of_ones_own_in_a_folder_of_our_name_is_named(tmp_path, monkeypatch, package, module):
    """Also where our package has a module of that name, such as envs/gym.py: another class must not be looked for."""
    path = tmp_path.joinpath(package, *module.split(".")).with_suffix(".py")
    path.parent.mkdir(parents=True)
    path.write_text("class Mine: pass\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EnvError) as refusal:
        registry.check(f"{package}.{module}:Mine")
    assert f"{path} cannot be imported" in str(refusal.value)
    assert f"rename your {package!r}" in str(refusal.value)


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        ("def x(:\n", "SyntaxError"),
        ("1 / 0\n", "ZeroDivisionError"),
        ("import sys; sys.exit(3)\n", "SystemExit"),
        ("import gymnasum\n", "ModuleNotFoundError"),
    ],
)
def test_a_module_that_cannot_be_imported_is_told_with_its_own_error(tmp_path, monkeypatch, source, answer):
    name = f"my_{answer.lower()}"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EnvError, match=rf"'{name}' cannot be imported:(.|\n)*{name}\.py(.|\n)*{answer}"):
        registry.check(f"{name}:Env")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=12) | st.from_regex(r"[.:a-z/ ]{0,3}:[.:a-z\x00 ]{0,3}", fullmatch=True))
@example(":")
@example("..a:b")
@example(":Env")
@example("a:")
@example("my_walk.py:Walk")
def test_whatever_is_typed_for_an_environment_is_refused_in_words_or_is_one(env_id):
    with contextlib.suppress(EnvError):
        registry.check(env_id)


def test_results_on_the_stand_in_are_labelled():
    assert registry.label("sim/MoveToBeacon") == "sim/MoveToBeacon (stand-in game)"
    assert registry.label("CartPole-v1") == "CartPole-v1"


def test_only_the_stand_in_has_scripts():
    env = registry.make("CartPole-v1", 1)
    with pytest.raises(EnvError, match="no scripted player"):
        registry.scripted("CartPole-v1", "scripted", env)
    stand_in = registry.make("sim/MoveToBeacon", 2)
    observation, _ = stand_in.reset(seed=0)
    action = registry.scripted("sim/MoveToBeacon", "scripted", stand_in)(observation)
    assert stand_in.action_space.contains(action)


def test_did_you_mean_ignores_case_and_stays_silent_when_nothing_is_near():
    assert did_you_mean("CARTPOLE-v1", ["CartPole-v1", "Pendulum-v1"]) == "; did you mean 'CartPole-v1'?"
    assert did_you_mean("zzz", ["CartPole-v1"]) == ""
