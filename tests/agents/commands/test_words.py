"""Whoever types another toolkit's word, or a typing error, is told what is meant; nothing ends in a trace."""

import contextlib
import re

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agents.commands import train as training
from agents.commands.cli import run
from agents.config import Config
from agents.errors import UserError
from agents.runs import experiment, synonyms

SB3 = {  # the constructor of Stable-Baselines3's PPO, and make_vec_env
    "learning_rate": "ppo.learning_rate", "n_steps": "ppo.unroll", "batch_size": "ppo.minibatch",
    "n_epochs": "ppo.epochs", "gamma": "ppo.gamma", "gae_lambda": "ppo.gae_lambda", "clip_range": "ppo.clip",
    "clip_range_vf": "ppo.value_clip", "normalize_advantage": "ppo.normalize_advantages",
    "ent_coef": "ppo.entropy_coefficient", "vf_coef": "ppo.value_coefficient",
    "max_grad_norm": "ppo.max_gradient_norm", "target_kl": "ppo.target_kl", "total_timesteps": "total_steps",
    "n_envs": "num_envs", "env_id": "env", "env_kwargs": "env_option", "n_timesteps": "total_steps",
}  # fmt: skip
CLEANRL = {  # the options of CleanRL's ppo.py
    "exp-name": "run_dir", "cuda": "device", "env-id": "env", "total-timesteps": "total_steps",
    "learning-rate": "ppo.learning_rate", "num-steps": "ppo.unroll", "anneal-lr": "ppo.schedule",
    "gae-lambda": "ppo.gae_lambda", "num-minibatches": "ppo.minibatch", "update-epochs": "ppo.epochs",
    "norm-adv": "ppo.normalize_advantages", "clip-coef": "ppo.clip", "ent-coef": "ppo.entropy_coefficient",
    "vf-coef": "ppo.value_coefficient", "max-grad-norm": "ppo.max_gradient_norm",
}  # fmt: skip
OTHERS = {  # RLlib, Sample Factory, torchbeast, and what people say
    "lr": "ppo.learning_rate", "ppo.lr": "ppo.learning_rate", "ppo.clip-range": "ppo.clip", "lambda": "ppo.gae_lambda",
    "clip_param": "ppo.clip", "grad_clip": "ppo.max_gradient_norm", "num_sgd_iter": "ppo.epochs",
    "sgd_minibatch_size": "ppo.minibatch", "rollout_fragment_length": "ppo.unroll",
    "entropy_coeff": "ppo.entropy_coefficient", "train_for_env_steps": "total_steps", "unroll_length": "ppo.unroll",
    "entropy_cost": "ppo.entropy_coefficient", "baseline_cost": "ppo.value_coefficient", "discounting": "ppo.gamma",
    "timesteps": "total_steps", "num-env-runners": "workers", "hidden_size": "policy.latent_width",
    "n-eval-episodes": "evaluation_episodes", "algo": "algorithm", "ppo.lerning-rate": "ppo.learning_rate",
    "impala.lr": "impala.learning_rate", "impala.rho_bar": "impala.rho_clip", "polcy.latents": "policy.latents",
    "logdir": "run_dir", "gpu": "device",
}  # fmt: skip


@pytest.mark.parametrize(("typed", "meant"), [pair for words in (SB3, CLEANRL, OTHERS) for pair in words.items()])
def test_the_word_of_another_toolkit_is_answered_with_ours(typed, meant, capsys):
    known = {key for key, _ in experiment.flatten(Config())} | {"env_option"}
    if typed in known:
        return
    assert meant in known
    assert run(["train", "--" + typed, "1"]) == 2
    said = capsys.readouterr().err
    assert f"no such option: --{typed}; did you mean '{experiment.option(meant)}'?" in said
    if meant != "env_option" and not typed.startswith("polcy"):
        with pytest.raises(UserError, match=f"did you mean '{meant}'"):
            experiment.check(nested(typed), "mine.yaml")


def nested(dotted: str) -> dict:
    group, dot, name = dotted.rpartition(".")
    return {group: {name: 1}} if dot else {name: 1}


def test_the_group_is_the_algorithm_s():
    with pytest.raises(UserError, match=r"did you mean 'impala\.learning_rate'"):
        experiment.check({"algorithm": "impala", "lr": 1}, "mine.yaml")
    with pytest.raises(UserError, match=r"did you mean '--impala\.learning-rate'"):
        training.parse_train(["--config", "cartpole_impala", "--lr", "1e-3"], "it")


@pytest.mark.parametrize(("word", "answer"), [("tensorboard-log", "always written"), ("render", "perceiver-rl watch")])
def test_what_needs_no_option_is_said(word, answer, capsys):
    assert run(["train", f"--{word}"]) == 2
    assert answer in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "meant"),
    [
        (["evaluate", "--n-eval-episodes", "3"], "--episodes"),
        (["evaluate", "--deterministic"], "--sampled"),
        (["watch", "--output", "it.mp4"], "--video"),
        (["watch", "--episods", "3"], "--episodes"),
    ],
)
def test_the_other_commands_answer_too(argv, meant, capsys):
    assert run(argv) == 2
    assert f"did you mean '{meant}'" in capsys.readouterr().err


def test_the_words_are_no_options_of_ours_and_lead_to_some():
    last_parts = {key.rpartition(".")[2] for key, _ in experiment.flatten(Config())}
    ours = last_parts | {"env_option", "config", "resume", "episodes", "sampled", "json", "video"}
    assert set(synonyms.WORDS) <= ours
    plain = {name.replace("_", "") for name in last_parts}
    assert not plain & synonyms.OURS.keys() - {"envoption", "keepcheckpoints", "learningrate", "evalepisodes"}


# ---- typing errors


@pytest.mark.parametrize(
    ("argv", "answer"),
    [
        (["train", "--seed", str(2**64)], "--seed should be less than or equal to 4294967295"),
        (["train", "--num-envs", str(10**9)], "--num-envs should be less than or equal to 65536"),
        (["train", "--threads", str(10**9)], "--threads should be less than or equal to"),
        (["train", "--total-steps", str(10**30)], "--total-steps should be less than or equal to"),
        (["train", "--ppo.learning-rate", "inf"], "--ppo.learning-rate should be a finite number"),
        (["train", "--ppo.learning-rate", "nan"], "--ppo.learning-rate should be"),
        (["train", "--env", ":"], "'' is no module's name"),
        (["train", "--env", "a..b:C"], "no module's name"),
        (["train", "--env", "CartPole-v1", "--env-option", "a=[1"], "--env-option a=[1: '[1' is not valid YAML"),
        (["train", "--env", "CartPole-v1", "--env-option", "a=&x [*x]"], "holds a value that is no number"),
        (["train", "--env", "CartPole-v1", "--env-option", "a={b: 1, b: 2}"], "'b' is there twice"),
        (["train", "--env", "CartPole-v1", "--env-option", "a=!!int x"], "holds a value that is no number"),
        (["evaluate", "--policy", "random", "--env", "CartPole-v1", "--seed", str(2**64)], "--seed should be at most"),
        (["evaluate", "--policy", "random", "--env", "CartPole-v1", "--num-envs", str(10**9)], "--num-envs should be"),
        (["watch", "--policy", "random", "--env", "CartPole-v1", "--fps", "nan"], "--fps should be at"),
        (["watch", "--policy", "random", "--env", "CartPole-v1", "--fps", "inf"], "--fps should be at most"),
        (["watch", "--policy", "random", "--env", "CartPole-v1", "--seed", "-1"], "--seed should be at least 0"),
    ],
)
def test_a_typing_error_is_refused_in_words(argv, answer, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(argv) == 2
    assert answer in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("ppo:\n  clip: 0.1\n  gamma: 0.9\n  clip: 0.3\n", "line 4, column 3: 'clip' is there twice, first in line 2"),
        ("seed: 1\nseed: 2\n", "'seed' is there twice"),
        ("seed: 2026-13-45\n", "seed should be a valid integer"),
        ("seed: 2026-01-01\n", "seed should be a valid integer"),
        ("seed: !!timestamp x\n", "holds a value"),
        ("env_options: &a\n  x: *a\n", "holds a value"),
        ("env_options: {a: !!binary aGk=}\n", "holds a value"),
        ("env_options: {? [1, 2] : 3}\n", "not valid YAML"),
        ("env_options: " + "[" * 3000 + "]" * 3000 + "\n", "holds a value"),
        ("ppo: {learning_rate: .inf}\n", "ppo.learning_rate should be a finite number"),
        ("1: 2\n", "should be strings"),
    ],
)
def test_a_file_with_a_typing_error_is_refused_in_words(text, answer, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as refusal:
        experiment.read_config(path)
    assert str(refusal.value).startswith(str(path))
    assert answer in str(refusal.value)


def test_a_merged_key_may_be_overridden(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("ppo: &base {gamma: 0.5, clip: 0.1}\nappo:\n  <<: *base\n  clip: 0.3\n")
    config = experiment.read_config(path)
    assert (config.appo.gamma, config.appo.clip) == (0.5, 0.3)


SCRAPS = [
    *("seed", "ppo", "env_options", ": ", "\n", "  ", "[", "]", "{", "}", ",", "&a ", "*a", "!!", "<<", "int ", "set "),
    *("1", "-", ".inf", "2026-02-30", "|", ">", "'", '"', "? ", "#", "190:20:30", "\t"),
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(SCRAPS), max_size=12).map("".join) | st.text(max_size=20))
@example("seed: 0b")
@example("seed: 1_")
@example("!!set {seed}")
@example("!!omap [seed: 1]")
@example("!!float x")
@example("? !!set {a}\n: 1")
def test_whatever_is_in_a_file_is_an_experiment_or_is_refused_in_words(text):
    with contextlib.suppress(ValueError):
        value = experiment.parse_value(text)
        if isinstance(value, dict):
            with contextlib.suppress(UserError):
                assert experiment.check(value, "mine.yaml")


# ---- help


def test_help_names_whose_defaults_it_shows_and_what_they_are_without(capsys):
    whole = {}
    for argv in ([], ["--env", "CartPole-v1"], ["--config", "cartpole"]):
        with pytest.raises(SystemExit):
            run(["train", *argv, "--help"])
        whole[" ".join(argv)] = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "those of configs/move_to_beacon.yaml" in whole[""]
    assert "those of a run of --env CartPole-v1 without --config" in whole["--env CartPole-v1"]
    assert "those of --config cartpole" in whole["--config cartpole"]
    rates = {name: re.search(r"--ppo.learning-rate.*?\(default: [^)]*\)", text)[0] for name, text in whole.items()}
    assert rates[""].endswith("Without this experiment: 0.0007. (default: 0.001)")
    assert rates["--env CartPole-v1"].endswith("Without this experiment: 0.0007. (default: 0.001)")
    assert rates["--config cartpole"].endswith("Without this experiment: 0.0007. (default: 0.002)")


def test_help_names_every_option_that_may_change_at_a_resume(capsys):
    with pytest.raises(SystemExit):
        run(["train", "--help"])
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    told = re.search(r"--resume.*?may be changed", said)[0].replace("- ", "-")
    for name in experiment.RESUMABLE:
        assert name.replace("_", "-") in told


def test_a_lone_head_has_a_name(tmp_path):
    from gymnasium import spaces

    from agents.learning.regularization import check_entropy_coefficients
    from perceiver_policy.policy.config import PolicyConfig
    from perceiver_policy.policy.policy import PerceiverPolicy

    policy = PerceiverPolicy(spaces.Box(-1, 1, (2,)), spaces.Discrete(2), PolicyConfig())
    learning = experiment.check(yaml.safe_load("ppo: {entropy_coefficients: {action: 0.1}}"), "it").ppo
    check_entropy_coefficients(learning, policy)
    wrong = experiment.check({"ppo": {"entropy_coefficients": {"actoin": 0.1}}}, "it").ppo
    with pytest.raises(UserError, match=r"no head 'actoin'; did you mean 'action'.*there are: action"):
        check_entropy_coefficients(wrong, policy)
