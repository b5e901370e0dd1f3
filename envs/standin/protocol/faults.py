"""Faults on purpose: what a game process can do wrong, for tests of whoever supervises it.

``PERCEIVER_RL_FAULT="crash@step:40"`` or ``perceiver-rl serve --fault crash@step:40``: KIND[=VALUE]@REQUEST:WHEN,
several separated by commas. REQUEST is a request's name, or ``launch``. WHEN is its count in this process (40: the
fortieth; 40+: from then on), or a probability (p0.01). Kinds:

``hang``       the request is never answered
``crash``      the process dies without answering
``slow``       the answer comes VALUE seconds late (2)
``garbage``    the answer is random bytes
``truncate``   the answer's message ends in the middle
``wrong-size`` the observation's layers are of another size
``leak``       the process keeps VALUE more megabytes (100)
``exit``       at launch: the process ends at once
``port-taken`` at launch: another socket has the port

With ``PERCEIVER_RL_FAULT_ONCE=FILE`` a fault happens once among all processes: the one that fires creates the file.
"""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from s2clientprotocol import sc2api_pb2 as sc_pb

VARIABLE, ONCE = "PERCEIVER_RL_FAULT", "PERCEIVER_RL_FAULT_ONCE"
KINDS = ("hang", "crash", "slow", "garbage", "truncate", "wrong-size", "leak", "exit", "port-taken")
_FORM = re.compile(r"(?P<kind>[a-z-]+)(=(?P<value>[\d.]+))?@(?P<request>\w+)(:(?P<when>p?[\d.]+\+?))?")


@dataclass(frozen=True)
class Fault:
    """One fault: what, at which request, and when."""

    kind: str
    request: str
    value: float | None = None
    count: int = 1
    onwards: bool = False
    probability: float | None = None

    @staticmethod
    def parse(text: str) -> Fault:
        """Read ``crash@step:40``; raises a ValueError that says what was expected."""
        form = _FORM.fullmatch(text.strip())
        if form is None or form["kind"] not in KINDS:
            raise ValueError(
                f"fault {text!r}: expected KIND[=VALUE]@REQUEST:WHEN, such as crash@step:40 or "
                f"slow=2@observation:p0.01; kinds: {', '.join(KINDS)}"
            )
        requests = [field.name for field in sc_pb.Request.DESCRIPTOR.oneofs_by_name["request"].fields]
        if form["request"] not in (*requests, "launch"):
            raise ValueError(
                f"fault {text!r}: no request is called {form['request']!r}; known: launch, {', '.join(requests)}"
            )
        value, when = form["value"], form["when"] or "1"
        number = float(value) if value else None
        if when.startswith("p"):
            return Fault(form["kind"], form["request"], number, probability=float(when[1:].rstrip("+")))
        return Fault(form["kind"], form["request"], number, int(when.rstrip("+")), when.endswith("+"))


class Faults:
    """The faults of one process, and its count of requests."""

    def __init__(self, faults: tuple[Fault, ...] = (), once: Path | None = None) -> None:
        self.faults, self.once = faults, once
        self._counts: dict[str, int] = {}
        self.fired: list[Fault] = []
        """Those that have happened at this request."""
        self._kept: list[Any] = []

    @staticmethod
    def parse(text: str) -> Faults:
        """Read faults separated by commas."""
        once = os.environ.get(ONCE)
        return Faults(
            tuple(Fault.parse(part) for part in text.split(",") if part.strip()), Path(once) if once else None
        )

    @staticmethod
    def from_environment() -> Faults:
        """Those that :data:`VARIABLE` names."""
        return Faults.parse(os.environ.get(VARIABLE, ""))

    def _fires(self, request: str) -> list[Fault]:
        n = self._counts[request] = self._counts.get(request, 0) + 1
        found = []
        for fault in self.faults:
            if fault.request != request:
                continue
            if fault.probability is not None:
                hit = random.random() < fault.probability
            else:
                hit = n == fault.count or (fault.onwards and n > fault.count)
            if hit and self._may():
                print(f"fault: {fault.kind} at {request} {n}", file=sys.stderr, flush=True)
                found.append(fault)
        return found

    def _may(self) -> bool:
        if self.once is None:
            return True
        try:
            self.once.touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def launch(self, host: str, port: int) -> None:
        """What goes wrong before the game listens."""
        for fault in self._fires("launch"):
            if fault.kind == "port-taken":
                self._kept.append(socket.create_server((host, port)))
            else:
                self._do(fault)

    def before(self, message: bytes) -> None:
        """What goes wrong instead of an answer. Those faults that spoil the answer are kept for :meth:`after`."""
        if not self.faults:
            return
        try:
            name = sc_pb.Request.FromString(message).WhichOneof("request")
        except DecodeError:
            name = None
        self.fired = self._fires(name or "")
        for fault in self.fired:
            self._do(fault)

    def _do(self, fault: Fault) -> None:
        if fault.kind == "hang":
            while True:
                signal.pause()
        elif fault.kind == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        elif fault.kind == "exit":
            sys.exit(1)
        elif fault.kind == "slow":
            time.sleep(2.0 if fault.value is None else fault.value)
        elif fault.kind == "leak":
            # Written to, or the system would not hand the memory out.
            self._kept.append(b"\x01" * int((fault.value or 100) * 2**20))

    def after(self, answer: bytes) -> bytes:
        """The answer as it goes out."""
        for fault in self.fired:
            if fault.kind == "garbage":
                answer = random.randbytes(max(len(answer), 64))
            elif fault.kind == "truncate":
                answer = answer[: max(len(answer) // 2, 1)]
            elif fault.kind == "wrong-size":
                answer = _resized(answer)
        return answer


def _resized(answer: bytes) -> bytes:
    """The same response with every layer of the screen one pixel less wide."""
    response = sc_pb.Response.FromString(answer)
    renders = response.observation.observation.feature_layer_data.renders
    for field, layer in renders.ListFields():
        if field.message_type is not None and layer.size.x:
            layer.size.x -= 1
    return response.SerializeToString()
