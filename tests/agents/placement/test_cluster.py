"""Training with workers placed by Ray: the same numbers as one process gives, and nothing lost without a count."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import optree
import pytest
import torch

from agents.acting.rollout import Rollout, Trajectory, concatenate
from agents.config import APPOConfig, ClusterConfig, Config, ImpalaConfig, PPOConfig
from agents.errors import UserError
from agents.learning.learner import Learner
from agents.placement import local
from agents.runs import checkpoint
from envs import registry
from envs.errors import EnvError, EnvFailure
from perceiver_policy.policy.config import PolicyConfig
from perceiver_policy.policy.policy import PerceiverPolicy
from tests.agents.placement import test_resume

ray = pytest.importorskip("ray", reason="training with workers needs ray")

from agents.placement import cluster  # noqa: E402
from agents.placement.cluster.driver import gpu_shares  # noqa: E402
from agents.placement.cluster.process import seed_of  # noqa: E402

POLICY = PolicyConfig(token_width=16, latents=2, latent_width=16, heads=2)
ENVS = "tests.agents.cluster_envs"
MISBEHAVING = "tests.agents.misbehaving"
CPU = torch.device("cpu")


class Recorder(test_resume.Recorder):
    """It remembers notes and lags besides, and what is told of time."""

    def __init__(self, stop_after: int = 10**9) -> None:
        super().__init__(stop_after)
        self.notes: list[str] = []
        self.lags: list[float] = []

    def update(self, step: int, metrics: dict[str, float]) -> None:
        self.metrics.append({"step": step, **metrics})

    def histogram(self, step: int, name: str, values: Any) -> None:
        self.lags += values

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module", autouse=True)
def _ray() -> Any:
    """One Ray for all tests here."""
    ray.init(
        address="local",
        num_cpus=8,
        resources={"sc2": 2},
        include_dashboard=False,
        object_store_memory=200 << 20,
        log_to_driver=False,
        logging_level="ERROR",
    )
    yield
    ray.shutdown()


def experiment(updates: int = 1, **changes: Any) -> Config:
    options: dict[str, Any] = {"unroll": 8, "minibatch": 16}
    groups = {
        "ppo": PPOConfig(epochs=2, **options),
        "appo": APPOConfig(epochs=2, **options),
        "impala": ImpalaConfig(**options),
    }
    base = {"env": "CartPole-v1", "num_envs": 4, "threads": 1, "seed": 3, "policy": POLICY, "workers": 1}
    base |= {"total_steps": updates * 8 * 4, "cluster": ClusterConfig()}
    return Config(**{**groups, **base, **changes})


def train(config: Config, run_dir: Path, *, resume: bool = False, stop_after: int = 10**9) -> Recorder:
    recorder = Recorder(stop_after)
    cluster.train(config, run_dir, recorder, resume=resume)  # type: ignore[arg-type]
    assert_accounted(recorder)
    return recorder


def assert_accounted(recorder: Recorder) -> None:
    """Every trajectory that was asked for has a fate."""
    last = recorder.metrics[-1]
    fates = sum(last[f"cluster/{fate}"] for fate in ("learned", "lost", "too_old", "left"))
    assert last["cluster/trajectories"] == fates


def weights(run_dir: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load_policy(checkpoint.latest(run_dir))


def assert_close(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=0, atol=1e-5, msg=lambda text, n=name: f"{n}: {text}")


def test_the_first_update_of_one_worker_is_that_of_one_process(tmp_path: Path) -> None:
    config = experiment(1, policy=POLICY.model_copy(update={"memory": "latents"}))
    train(config, tmp_path / "ray")
    alone = config.model_copy(update={"workers": 0})
    local.train(alone, tmp_path / "alone", Recorder(), resume=False)
    assert_close(weights(tmp_path / "ray"), weights(tmp_path / "alone"))


@pytest.mark.parametrize("learners", [1, 2])
def test_updates_of_two_workers_and_any_number_of_learners_are_those_of_a_loop(tmp_path: Path, learners: int) -> None:
    """Two updates: the second one's data come from the weights that the first one sent out."""
    config = experiment(2, workers=2, cluster=ClusterConfig(learners=learners))
    recorder = train(config, tmp_path)
    assert recorder.metrics[-1]["cluster/learned"] == 4
    assert set(recorder.lags) == {0}

    envs = [registry.make(config.env, 2) for _ in range(2)]
    torch.manual_seed(config.seed)
    policy = PerceiverPolicy(envs[0].single_observation_space, envs[0].single_action_space, POLICY)
    seeds = [seed_of(config, worker, 0, 0) for worker in range(2)]
    rollouts = [Rollout(env, policy, 8, seed=seed, device=CPU) for env, seed in zip(envs, seeds, strict=True)]
    learner = Learner(policy, config, device=CPU)
    for _ in range(2):
        learner.update(concatenate([rollout.collect()[0] for rollout in rollouts]))
    assert_close(weights(tmp_path), policy.state_dict())


def test_workers_and_lives_draw_different_numbers() -> None:
    config = experiment(workers=2)
    seeds = [seed_of(config, w, life, version) for w in range(3) for life in range(3) for version in (0, 5)]
    assert len(set(seeds)) == len(seeds)
    assert seed_of(config, 0, 0, 0) == config.seed


def test_asynchronous_training_learns_from_what_is_at_most_so_old(tmp_path: Path) -> None:
    config = experiment(12, algorithm="impala", workers=2, cluster=ClusterConfig(max_lag=2, inference=1))
    recorder = train(config, tmp_path)
    last = recorder.metrics[-1]
    assert last["step"] >= config.total_steps
    assert last["episode/count"] > 0
    assert max(recorder.lags) <= 2
    assert min(recorder.lags) >= 0


def test_workers_collect_while_the_learner_learns_though_nothing_may_wait(tmp_path: Path) -> None:
    recorder = train(experiment(12, algorithm="impala", cluster=ClusterConfig(queue=1)), tmp_path)
    # asked for when the update before was begun, by the policy that was there then
    assert set(recorder.lags[1:]) == {1}


def test_a_learner_that_is_slow_holds_the_workers_back(tmp_path: Path) -> None:
    slow = {"algorithm": "appo", "appo": APPOConfig(unroll=8, minibatch=4, epochs=12)}
    config = experiment(8, workers=2, cluster=ClusterConfig(queue=1.5), **slow)
    recorder = train(config, tmp_path)
    measured = [m for m in recorder.metrics if "cluster/queue" in m]
    # a call may bring many unrolls: what is on the way when the queue is full comes on top of it, once a worker
    assert max(m["cluster/learner_idle"] for m in measured[1:]) < 0.5
    assert max(m["cluster/worker_idle"] for m in measured[1:]) > 0.5
    last = recorder.metrics[-1]
    assert last["cluster/lost"] == last["cluster/too_old"] == 0


def test_a_run_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    config = experiment(4, workers=2)
    train(config, tmp_path, stop_after=1)
    step = checkpoint.manifest(checkpoint.latest(tmp_path))["step"]
    longer = config.model_copy(update={"total_steps": step + 64})
    recorder = train(longer, tmp_path, resume=True)
    assert recorder.started_at == step
    assert recorder.metrics[-1]["step"] == step + 64
    state = checkpoint.load(checkpoint.latest(tmp_path))
    assert state["learner"]["version"] == (step + 64) // 32
    # one process takes it up, too
    alone = longer.model_copy(update={"workers": 0, "total_steps": step + 96})
    again = Recorder()
    local.train(alone, tmp_path, again, resume=True)  # type: ignore[arg-type]
    assert again.started_at == step + 64


# ---- faults


def test_an_environment_that_cannot_be_made_ends_the_run_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(
        EnvFailure, match=r"cannot be made: RuntimeError: the disk is full\nand more\n +File .*cluster_envs"
    ):
        train(experiment(env=f"{ENVS}:Unmakeable"), tmp_path)
    with pytest.raises(EnvError, match="no_such_option"):
        train(experiment(env_options={"no_such_option": 1}), tmp_path)


def test_training_ends_when_no_worker_is_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.placement.cluster.ledger.FIRST_PAUSE", 0.01)
    recorder = Recorder()
    with pytest.raises(UserError, match=r"no worker is well.* OSError: the game has gone away"):
        cluster.train(experiment(env=f"{ENVS}:Broken", workers=2), tmp_path, recorder, resume=False)
    assert len([note for note in recorder.notes if "gone away" in note]) == 1


def test_what_was_learned_is_saved_when_no_worker_is_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.placement.cluster.ledger.FIRST_PAUSE", 0.01)
    monkeypatch.setattr("agents.placement.cluster.ledger.PATIENCE", 1)
    recorder = Recorder()
    config = experiment(100, env=f"{MISBEHAVING}:Exits", checkpoint_interval=10**6)
    with pytest.raises(UserError, match=r"(?s)no worker is well.*called sys.exit\(3\)\n +File .*misbehaving.py"):
        cluster.train(config, tmp_path, recorder, resume=False)
    assert (
        checkpoint.load(checkpoint.latest(tmp_path))["learner"]["steps"] == 4 * 8 * 4
    )  # the 40th step is in the fifth


def test_runs_of_one_seed_agree_whatever_environments_draw_from(tmp_path: Path) -> None:
    config = experiment(3, env=f"{MISBEHAVING}:Global", workers=2)
    states = []
    for name in ("a", "b"):
        train(config, tmp_path / name)
        states.append(weights(tmp_path / name))
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


def test_failures_are_counted_shown_once_and_survived(tmp_path: Path) -> None:
    """An environment that raises, and a worker that is killed."""
    for how in ("raise", "kill"):
        (tmp_path / how).touch()
    options = {"folder": str(tmp_path), "pause": 0.002}
    config = experiment(40, env=f"{ENVS}:Once", env_options=options, workers=2, algorithm="impala")
    recorder = train(config, tmp_path / "run")
    last = recorder.metrics[-1]
    assert last["step"] >= config.total_steps
    assert last["cluster/environment_restarts"] == last["cluster/worker_restarts"] == 1
    assert last["cluster/restarts"] == last["cluster/lost"] == 2
    shown = [note for note in recorder.notes if "started anew" in note]
    assert len(shown) == 2
    assert sum("OSError: the game has gone away" in note for note in shown) == 1
    assert sum("its process died" in note for note in shown) == 1
    assert "\n" not in "".join(shown)


# ---- placement


@pytest.mark.parametrize(
    ("learners", "inference", "gpus", "shares"),
    [
        (1, 0, 0, (0, 0)),
        (1, 0, 1, (1, 0)),
        (1, 1, 1, (0.5, 0.5)),
        (2, 2, 4, (1, 1)),
        (2, 4, 4, (1, 0.5)),
        (1, 4, 1, (0.5, 0.125)),
    ],
)
def test_gpus_are_shared_out(learners: int, inference: int, gpus: float, shares: tuple[float, float]) -> None:
    config = experiment(cluster=ClusterConfig(learners=learners, inference=inference))
    assert gpu_shares(config, gpus) == shares
    assert gpu_shares(config.model_copy(update={"device": "cpu"}), gpus) == (0, 0)


def test_too_few_gpus_for_the_learners_are_refused() -> None:
    with pytest.raises(UserError, match="the cluster has 1 GPUs"):
        gpu_shares(experiment(cluster=ClusterConfig(learners=2)), 1)


def test_workers_share_the_environments_equally() -> None:
    with pytest.raises(ValueError, match=r"3 workers cannot share equally; use 3"):
        experiment(workers=3)


def test_workers_take_their_resources(tmp_path: Path) -> None:
    """Two pieces of the resource, one for each worker: a third worker would wait for ever."""
    config = experiment(1, workers=2, cluster=ClusterConfig(worker_resources={"sc2": 1}))
    recorder = train(config, tmp_path)
    assert recorder.metrics[-1]["cluster/learned"] == 2


def test_one_process_never_imports_ray(tmp_path: Path) -> None:
    script = f"""
import sys
from agents.commands.cli import run
code = run(["train", "--env", "CartPole-v1", "--num-envs", "2", "--total-steps", "64", "--ppo.unroll", "16",
            "--policy.latents", "1", "--evaluation-episodes", "2", "--run-dir", {str(tmp_path / "run")!r}])
assert code == 0
assert "ray" not in sys.modules
assert not [name for name in sys.modules if name.startswith("agents.placement.cluster")]
"""
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_the_trajectory_that_travels_is_the_one_that_was_collected(tmp_path: Path) -> None:
    """A worker's own answer against a rollout in this process, several unrolls in one call."""
    from agents.placement.cluster.worker import Worker
    from agents.placement.transport import pack, unpack

    config = experiment(workers=1)
    env = registry.make(config.env, 4)
    policy = PerceiverPolicy(env.single_observation_space, env.single_action_space, POLICY)
    told, packed = Worker(config, 0).collect(0, 7, pack(policy.state_dict()), 0.2)
    found = Trajectory(**unpack(packed))
    rollout = Rollout(env, policy, 8, seed=seed_of(config, 0, 0, 7), device=CPU)
    rollout.version = 7
    unrolls = []
    for _ in range(told.columns // 4):
        nest: Any = vars(rollout.collect()[0])
        unrolls.append(Trajectory(**optree.tree_map(torch.clone, nest)))
    expected = concatenate(unrolls)
    assert told.columns >= 8
    assert told.steps == expected.steps
    leaves: Any = vars(found)
    for a, b in zip(optree.tree_leaves(leaves), optree.tree_leaves(vars(expected)), strict=True):  # type: ignore[arg-type]
        torch.testing.assert_close(a, b)
    assert math.isfinite(told.useful)
