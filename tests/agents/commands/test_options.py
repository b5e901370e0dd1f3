from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agents.commands import options
from agents.commands.train import Train
from agents.config import Config
from agents.errors import UserError
from agents.runs import experiment
from perceiver_policy.policy.config import PolicyConfig


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        ({"ppo": {"learnin_rate": 1}}, "unknown key 'ppo.learnin_rate'; did you mean 'ppo.learning_rate'?"),
        ({"learning_rate": 1}, "unknown key 'learning_rate'; did you mean 'ppo.learning_rate'?"),
        ({"ppo": {"learning_rate": -1}}, "ppo.learning_rate should be greater than 0, got -1"),
        ({"ppo": {"schedule": "liner"}}, "got 'liner'; did you mean 'linear'?"),
        ({"ppo": 3}, "ppo should be a group of options, got 3"),
        ({"policy": {"heads": 5}}, "policy: latent_width (32) must be a multiple of heads (5)"),
        ({"num_envs": "many"}, "num_envs should be a valid integer"),
        (
            {"policy": {"read": {"a": "bar"}}},
            "policy.read, 'a': expected numbers, rows, picture, ignore, {patch: side} or {categories: count}",
        ),
        ({"policy": {"read": {"a": {"patch": 0}}}}, "policy.read, 'a': expected numbers, rows, picture, ignore, {"),
    ],
)
def test_each_problem_of_a_file_is_one_line_with_the_file_the_key_and_the_mend(tmp_path, data, answer):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(UserError) as refusal:
        experiment.read_config(path)
    (line,) = str(refusal.value).splitlines()
    assert line.startswith(f"{path}: ")
    assert answer in line
    assert "http" not in line


def test_all_problems_are_told_at_once():
    with pytest.raises(UserError) as refusal:
        experiment.check({"num_envs": 0, "ppo": {"gamma": 2}}, experiment.COMMAND_LINE)
    assert str(refusal.value).splitlines() == [
        "--num-envs should be greater than or equal to 1, got 0",
        "--ppo.gamma should be less than or equal to 1, got 2",
    ]


@pytest.mark.parametrize(
    ("text", "answer"), [("ppo: [1,\nx: 2", "line 2"), ("- 1\n- 2\n", "got list"), (b"\xff\xfe\x00", "cannot be read")]
)
def test_what_is_no_experiment_is_refused_by_its_file(tmp_path, text, answer):
    path = tmp_path / "mine.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=answer) as refusal:
        experiment.read_config(path)
    assert str(path) in str(refusal.value)


def test_an_empty_file_is_the_defaults_and_1e_4_is_a_number(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("# nothing\n")
    assert experiment.read_config(path) == Config()
    path.write_text("env_options: {rate: 1e-4, name: 1e}\n")
    assert experiment.read_config(path).env_options == {"rate": 1e-4, "name": "1e"}


leaves = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=8)
nests = st.recursive(leaves, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=5), x, max_size=3))


@example({"0": "0E0"}, 1.0, None, False)
@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(st.text(min_size=1, max_size=8), nests, max_size=3),
    st.floats(1e-12, 1e3),
    st.none() | st.floats(1e-9, 9),
    st.booleans(),
)
def test_a_written_config_reads_back_the_same(tmp_path_factory, env_options, rate, kl, normalize):
    config = Config.model_validate(
        {
            "env": "module:Class",
            "env_options": env_options,
            "ppo": {"learning_rate": rate, "target_kl": kl, "normalize_returns": normalize},
        }
    )
    path = tmp_path_factory.getbasetemp() / "config.yaml"
    experiment.write_config(config, path)
    assert experiment.read_config(path) == config


def test_a_written_config_is_complete_explained_and_does_not_name_its_folder(tmp_path):
    path = tmp_path / "config.yaml"
    experiment.write_config(Config(run_dir=Path("runs/mine")), path)
    text = path.read_text()
    data = yaml.safe_load(text)
    # but for the options of the algorithms that are not used
    assert data == Config().model_dump(mode="json", exclude={"appo", "impala", "algorithm_options"})
    assert "learning_rate: 0.0007  # The optimizer's step size" in text
    assert not path.with_name("config.yaml.tmp").exists()


def test_the_configs_that_come_along_are_valid():
    files = sorted(experiment.CONFIGS.glob("*.yaml"))
    assert experiment.find_config(experiment.DEFAULT).resolve() in files
    for path in files:
        experiment.read_config(path)


@pytest.mark.parametrize(("typed", "read"), [("1e3", 1000), ("2.5e2", 250), ("1_000", 1000)])
def test_a_whole_number_may_be_typed_as_in_a_file(tmp_path, typed, read):
    given = options.parse(Train, Train(Config()), ["--total-steps", typed], "train")
    (tmp_path / "one.yaml").write_text(f"total_steps: {typed}\n")
    assert given.experiment.total_steps == experiment.read_config(tmp_path / "one.yaml").total_steps == read


@pytest.mark.parametrize("typed", ["1.5", "inf", "nan", "many"])
def test_what_is_no_whole_number_is_refused_in_words(capsys, typed):
    with pytest.raises(SystemExit):
        options.parse(Train, Train(Config()), ["--total-steps", typed], "train")
    assert f"expected a whole number, got '{typed}'" in capsys.readouterr().err


@pytest.mark.parametrize(("typed", "read"), [("true", True), ("False", False), ("none", None)])
def test_what_may_be_true_false_or_none_is_typed_as_in_a_file(typed, read):
    for before in (None, True):  # what an experiment says besides
        start = Config(policy=PolicyConfig(decode_units=before))
        given = options.parse(Train, Train(start), ["--policy.decode-units", typed], "train")
        assert given.experiment.policy.decode_units is read


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        (["--policy.scatter"], True),
        (["--policy.scatter", "true"], True),
        (["--policy.scatter=True"], True),
        (["--policy.scatter", "false"], False),
        (["--policy.scatter=false"], False),
        (["--policy.no-scatter"], False),
        (["--policy.scatter", "--evaluation-sampled", "false", "--policy.memory", "none"], True),
    ],
)
def test_a_flag_may_be_typed_as_in_a_file(typed, read):
    given = options.parse(Train, Train(Config()), typed, "train")
    assert given.experiment.policy.scatter is read
    assert not given.experiment.evaluation_sampled


@pytest.mark.parametrize("typed", [["--policy.scatter", "maybe"], ["--policy.decode-units", "maybe"]])
def test_what_is_neither_true_nor_false_is_refused(capsys, typed):
    with pytest.raises(SystemExit):
        options.parse(Train, Train(Config()), typed, "train")
    assert "maybe" in capsys.readouterr().err


def test_a_config_is_found_by_path_or_by_name_and_else_the_nearest_is_named(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("seed: 3\n")
    assert experiment.find_config(str(mine)) == mine
    assert experiment.find_config("cartpole").name == "cartpole.yaml"
    with pytest.raises(UserError, match="did you mean 'cartpole'"):
        experiment.find_config("cartpol")


def test_env_options_are_yaml_values():
    pairs = ["step-mul=8", "map_name=8x8", "is_slippery=false", "region=[1, 2]", "rate=1e-3", "text=a=b"]
    assert options.parse_env_options(pairs) == {
        "step_mul": 8,
        "map_name": "8x8",
        "is_slippery": False,
        "region": [1, 2],
        "rate": 1e-3,
        "text": "a=b",
    }


@pytest.mark.parametrize("pair", ["step_mul", "=3", "a=[1"])
def test_what_is_no_env_option_is_refused(pair):
    with pytest.raises(UserError, match="--env-option"):
        options.parse_env_options([pair])


def test_changes_are_named_by_their_dotted_key():
    new = experiment.check({"seed": 4, "ppo": {"clip": 0.3}}, "it")
    assert experiment.changes(Config(), new) == {"seed": (0, 4), "ppo.clip": (0.2, 0.3)}
