"""Who can reach a run with workers on one machine: nobody else."""

import json
import subprocess
import sys

import pytest

pytest.importorskip("ray")
pytest.importorskip("psutil")

PROGRAM = """
import json, os, psutil, ray
from agents.placement.cluster.driver import start_ray
from ray._private import ray_constants

before = ray_constants.ENABLE_RAY_CLUSTER
assert start_ray(None, num_cpus=1, object_store_memory=1 << 27)
assert not start_ray(None)  # it is there already
assert ray_constants.ENABLE_RAY_CLUSTER == before

@ray.remote
class Worker:
    def pid(self):
        return os.getpid()

worker = Worker.remote()
pids = {os.getpid(), ray.get(worker.pid.remote())}
pids |= {child.pid for child in psutil.Process().children(recursive=True)}
pids |= {process.pid for _, process in ray._private.worker._global_node.live_processes()}
for pid in list(pids):
    pids |= {child.pid for child in psutil.Process(pid).children(recursive=True)}
found = []
for pid in pids:
    process = psutil.Process(pid)
    found += [[process.name(), c.laddr.ip] for c in process.net_connections("inet") if c.status == "LISTEN"]
ray.shutdown()
print(json.dumps(found))
"""


def test_a_local_run_listens_on_loopback_alone() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    names = " ".join(name for name, _ in found)
    assert "gcs_server" in names
    assert "raylet" in names
    assert "ray::Worker" in names
    assert {address.removeprefix("::ffff:") for _, address in found} <= {"127.0.0.1", "::1"}, found
