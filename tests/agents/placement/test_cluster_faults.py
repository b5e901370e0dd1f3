"""Anything may die at any time, on a simulated cluster of three machines: training goes on, and every loss is counted.

The long version, with twenty deaths, runs by ``pytest tests/agents/placement/test_cluster_faults.py -m slow -s``.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from agents.config import ClusterConfig, Config, ImpalaConfig
from perceiver_policy.policy.config import PolicyConfig

ray = pytest.importorskip("ray", reason="training with workers needs ray")

from ray.cluster_utils import Cluster  # noqa: E402

from agents.placement import cluster as placement  # noqa: E402
from tests.agents.placement.test_cluster import Recorder, assert_accounted  # noqa: E402

BEST = 10.0  # an episode's return, where the right action is always taken
ROLES = {"worker": "ray::Worker", "inference": "ray::Inference", "learner": "ray::LearnerProcess"}


def machine(cluster: Cluster) -> Any:
    return cluster.add_node(num_cpus=2, object_store_memory=80 << 20)


@pytest.fixture
def machines() -> Any:
    """A head for the driver alone, and three machines with two cores each."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 80 << 20})
    nodes = [machine(cluster) for _ in range(3)]
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    cluster.wait_for_nodes()
    yield cluster, nodes
    ray.shutdown()
    cluster.shutdown()


def processes(role: str) -> list[psutil.Process]:
    """Those of a role on all machines, which are all children of this process."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.status() != psutil.STATUS_ZOMBIE and " ".join(process.cmdline()).startswith(ROLES[role]):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


class Saboteur(Recorder):
    """Kills what is listed when training has come to random steps, one death at a time."""

    def __init__(self, cluster: Cluster, nodes: list[Any], victims: list[str], total_steps: int, seed: int) -> None:
        super().__init__()
        self.cluster, self.nodes, self.random = cluster, nodes, random.Random(seed)
        self.victims = victims
        places = range(total_steps // 20, 3 * total_steps // 4, max(1, total_steps // 100))
        self.places = sorted(self.random.sample(places, len(victims)))
        self.killed: Counter[str] = Counter()
        self.thread = threading.Thread()

    def update(self, step: int, metrics: dict[str, float]) -> None:
        super().update(step, metrics)
        if len(self.nodes) < 3 and not self.thread.is_alive():
            self.nodes.append(machine(self.cluster))
        if self.victims and step >= self.places[0] and not self.thread.is_alive():
            self.places.pop(0)
            self.thread = threading.Thread(target=self.kill, args=(self.victims.pop(0),))
            self.thread.start()

    def kill(self, role: str) -> None:
        time.sleep(self.random.random())  # anywhere within an update
        if role == "machine":
            node = self.nodes.pop(self.random.randrange(len(self.nodes)))
            self.cluster.remove_node(node, allow_graceful=False)
        else:
            alive = processes(role)
            while not alive:  # the one before it is not back yet
                time.sleep(0.2)
                alive = processes(role)
            self.random.choice(alive).kill()
        self.killed[role] += 1
        print(f"step {self.metrics[-1]['step']:>7.0f}: killed a {role}", flush=True)


def experiment(total_steps: int, **placed: Any) -> Config:
    return Config(
        env="tests.agents.cluster_envs:Calm",
        env_options={"pause": 0.001},
        num_envs=4,
        workers=2,
        threads=1,
        total_steps=total_steps,
        algorithm="impala",
        policy=PolicyConfig(token_width=16, latents=1, latent_width=16, heads=2, self_attends=0),
        impala=ImpalaConfig(unroll=10, learning_rate=3e-3, entropy_coefficient=0.0),
        cluster=ClusterConfig(**placed),
    )


def run(config: Config, run_dir: Path, recorder: Recorder) -> dict[str, float]:
    began = time.monotonic()
    placement.train(config, run_dir, recorder, resume=False)
    if isinstance(recorder, Saboteur) and recorder.thread.ident:
        recorder.thread.join()
    last = recorder.metrics[-1]
    assert last["step"] >= config.total_steps
    assert_accounted(recorder)
    until = time.monotonic() + 20
    while any(processes(role) for role in ROLES) and time.monotonic() < until:
        time.sleep(0.1)
    assert not [process for role in ROLES for process in processes(role)]
    counts = {key.removeprefix("cluster/"): int(value) for key, value in last.items() if key.startswith("cluster/")}
    print(f"{time.monotonic() - began:.0f} s, return {last['episode/return']:.2f}, {counts}")
    for note in recorder.notes:
        print("   ", note)
    return last


def check(last: dict[str, float], saboteur: Saboteur, deaths: Counter[str]) -> None:
    assert saboteur.killed == deaths
    if not deaths["machine"]:
        for role in ROLES:
            assert last[f"cluster/{role}_restarts"] >= deaths[role]
    assert last["cluster/restarts"] >= deaths.total() - deaths["machine"]
    assert last["episode/return"] > BEST - 0.5


def test_a_learner_an_inference_process_and_a_machine_with_its_workers_may_die(machines: Any, tmp_path: Path) -> None:
    victims = ["learner", "inference", "machine"]
    config = experiment(6_000, inference=1)
    saboteur = Saboteur(*machines, list(victims), config.total_steps, seed=1)
    check(run(config, tmp_path, saboteur), saboteur, Counter(victims))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("learners", [1, 2])
def test_twenty_deaths_change_nothing_in_the_end(machines: Any, tmp_path: Path, learners: int) -> None:
    config = experiment(40_000, inference=1, learners=learners)
    undisturbed = run(config, tmp_path / "undisturbed", Recorder())
    victims = ["worker", "inference", "learner", "machine"] * 5
    random.Random(learners).shuffle(victims)
    saboteur = Saboteur(*machines, list(victims), config.total_steps, seed=learners)
    last = run(config, tmp_path / "disturbed", saboteur)
    check(last, saboteur, Counter(victims))
    assert last["episode/return"] == pytest.approx(undisturbed["episode/return"], abs=0.5)
