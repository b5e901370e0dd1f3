"""What all tests share."""

import os
import signal
import sys
from collections.abc import Iterator

import pytest

# torch.compile imports it, and there, in the middle of a whole run, it has once been given Python's own distutils in
# place of its own, and refused; at the start there is nothing in its way.
import setuptools  # noqa: F401

# One thread: small networks are faster so, and several test runs do not fight over cores. Must precede torch's import.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Ray gives its processes the least priority (a niceness of 15): beside another half of the tests they would starve.
os.environ.setdefault("RAY_worker_niceness", "0")

# A shell starts what it runs in the background with Ctrl-C ignored, and so would be every program that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
for _number in (signal.SIGHUP, signal.SIGTERM):  # so does nohup with the first
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def tiny_numbers() -> Iterator[None]:
    """What trains in this process takes them for 0 from then on: the next test has them again."""
    yield
    if torch := sys.modules.get("torch"):
        torch.set_flush_denormal(False)
