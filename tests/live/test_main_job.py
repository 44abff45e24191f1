"""The main job on a real vLLM behind a real Toxiproxy, by the commands that a user types."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live.conftest import STACK_FILE
from vqchaos.history.events import FaultVerified, HealthProbe, Request, RunStarted, StartAttempt
from vqchaos.history.store import HistoryError, read
from vqchaos.ledger import Ledger
from vqchaos.stack.local.stack import LocalStack

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]

EXPERIMENTS = STACK_FILE.parents[1] / "experiments"
SHORT = ("phases.warmup=1s", "phases.baseline=6s", "phases.settle=2s", "workload.rate=8")
# On two cores the time to a first token is some 20 ms: a second process doubles it.
NOISE = ("recovered.slowdown=10.0", "observer.max_lag=1s")


def arguments(name: str, out: Path, sets: Sequence[str]) -> list[str]:
    words = [sys.executable, "-m", "vqchaos", "run", str(EXPERIMENTS / f"{name}.yaml")]
    words += ["--stack", str(STACK_FILE), "--out", str(out), "--json"]
    for item in (*SHORT, *NOISE, *sets):
        words += ["--set", item]
    return words


@dataclass
class Ran:
    code: int
    verdict: dict[str, Any]
    folder: Path
    stderr: str

    def check(self, name: str) -> dict[str, Any]:
        return next(c for c in self.verdict["checks"] if c["name"] == name)


def finish(process: subprocess.Popen[str], out: Path) -> Ran:
    stdout, stderr = process.communicate(timeout=500)
    lines = [json.loads(line) for line in stdout.splitlines()]
    assert lines, stderr
    folder = out / lines[0]["run"]
    return Ran(process.returncode, lines[0], folder, stderr)


def begin(name: str, out: Path, *sets: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        arguments(name, out, sets),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(name: str, out: Path, *sets: str) -> Ran:
    return finish(begin(name, out, *sets), out)


def wait_for_event(out: Path, kind: type, timeout: float = 90.0) -> float:
    """Until the history of the run in ``out`` holds such an event; raw monotonic seconds."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        for path in out.glob("*/history.jsonl"):
            try:
                events = read(path)
            except HistoryError:  # its first line is not written yet
                continue
            found = [e for e in events if isinstance(e, kind)]
            if found:
                started = events[0]
                assert isinstance(started, RunStarted)
                return started.started_mono + found[0].t
        time.sleep(0.05)
    raise AssertionError(f"no {kind.__name__} within {timeout} s")


def test_a_killed_engine_is_measured_in_its_parts(live_stack: LocalStack, tmp_path: Path) -> None:
    ran = run("process_kill", tmp_path, "phases.fault=5s")
    recovery = ran.verdict["recovery"]
    assert ran.verdict["valid"], ran.verdict["void_reasons"]
    assert ran.verdict["faults"][0]["verified"] == "yes"
    assert ran.check("recovery_time")["verdict"] == "pass"
    assert 5 < recovery["recovery_time"] < 120
    parts = recovery["phases"]
    moments = [
        parts[name]["at"] for name in ("process_gone", "process_back", "port_open", "health")
    ]
    assert moments == sorted(moments)
    assert recovery["injected_at"] <= recovery["detected_at"] <= recovery["recovered_at"]
    assert all(parts[name]["source"] for name in ("process_gone", "process_back", "health"))
    assert {"history.jsonl", "verdict.json", "junit.xml", "experiment.yaml", "stack.json"} <= {
        path.name for path in ran.folder.iterdir()
    }
    again = subprocess.run(
        [sys.executable, "-m", "vqchaos", "judge", str(ran.folder), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(again.stdout) == ran.verdict
    assert again.returncode == ran.code


STALL = 1.0  # seconds; vqchaos calls a request stalled from there on too
GOOD_FOR = 2.0  # seconds without trouble that both call service back


class Witness(threading.Thread):
    """Kills the engine when told, then asks for tokens: the truth, by a clock of its own.

    Service is back at the first token that no failed or stalled answer follows for ``GOOD_FOR``.
    """

    def __init__(self, stack: LocalStack) -> None:
        super().__init__(daemon=True)
        self.stack = stack
        self.killed: float | None = None
        self.served: float | None = None

    def run(self) -> None:
        [engine] = self.stack.processes.find("engine")
        self.killed = time.monotonic()
        os.kill(engine.pid, signal.SIGKILL)
        body = {"model": "qwen3", "prompt": "The", "max_tokens": 1}
        url = f"{self.stack.endpoints.client_url}/v1/completions"
        failed, first = False, None
        deadline = self.killed + 150
        with httpx.Client(timeout=5, trust_env=False) as client:
            while self.served is None and time.monotonic() < deadline:
                asked = time.monotonic()
                try:
                    ok = client.post(url, json=body).status_code == 200
                except httpx.HTTPError:
                    ok = False
                now = time.monotonic()
                failed = failed or not ok
                if not ok or now - asked >= STALL:
                    first = None
                elif failed and first is None:
                    first = now
                elif first is not None and asked - first >= GOOD_FOR:
                    self.served = first
                time.sleep(0.02)


def around(ran: Ran, moment: float) -> str:
    """What was asked within some seconds of a moment, a line each: why a window began when."""
    started, *events = read(ran.folder / "history.jsonl")
    assert isinstance(started, RunStarted)
    lines = [json.dumps(ran.verdict["recovery"])]
    for event in events:
        at = moment - started.started_mono
        if isinstance(event, Request) and event.ended - at > -1 and event.due - at < 12:
            first = None if event.first_token is None else event.first_token - event.due
            lines.append(f"{event.due - at:7.3f} {event.workload} {event.outcome} {first}")
    return "\n".join(lines)


def test_external_times_agree_with_a_witness(live_stack: LocalStack, tmp_path: Path) -> None:
    from vqchaos.history.events import PhaseStarted

    process = begin(
        "external",
        tmp_path,
        "phases.fault=10s",
        "workload.rate=10",
        # Told by the witness's own notion of service, so that a slow second of a shared machine
        # is not taken for a difference of clocks.
        f"recovered.for={GOOD_FOR}s",
        "recovered.successes=10",
        "recovered.slowdown=1000",
    )
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        wait_for_event(tmp_path, PhaseStarted)
        [path] = tmp_path.glob("*/history.jsonl")
        if any(isinstance(e, PhaseStarted) and e.phase == "fault" for e in read(path)):
            break
        time.sleep(0.1)
    witness = Witness(live_stack)
    witness.start()
    ran = finish(process, tmp_path)
    witness.join(10)
    assert witness.killed is not None
    assert witness.served is not None
    started = read(ran.folder / "history.jsonl")[0]
    assert isinstance(started, RunStarted)
    recovery = ran.verdict["recovery"]
    assert ran.verdict["valid"], ran.verdict["void_reasons"]
    injected = recovery["injected_at"] + started.started_mono
    recovered = recovery["recovered_at"] + started.started_mono
    off = {
        "injected_at": injected - witness.killed,
        "recovered_at": recovered - witness.served,
        "recovery_time": recovery["recovery_time"] - (witness.served - witness.killed),
    }
    sys.stderr.write(f"vqchaos minus the witness, seconds: {off}\n")
    assert all(abs(seconds) <= 0.5 for seconds in off.values()), around(ran, witness.served)


def test_one_flipped_bit_serves_with_health_200_and_the_canary_sees_it(
    live_stack: LocalStack, tmp_path: Path
) -> None:
    ran = run("model_corruption-exponent_flip", tmp_path)
    events = read(ran.folder / "history.jsonl")
    [attempt] = [e for e in events if isinstance(e, StartAttempt)]
    assert attempt.outcome == "served"
    health = [e for e in events if isinstance(e, HealthProbe) and e.sent >= attempt.t]
    assert health[0].status == 200
    canaries = [c for c in ran.verdict["checks"] if c["type"] == "canary"]
    assert canaries
    assert all(c["verdict"] == "pass" for c in canaries), canaries
    assert any(c["observed"] == "changed" for c in canaries)
    assert ran.verdict["leftovers"] == []


def test_a_taken_port_is_refused_by_name(live_stack: LocalStack, tmp_path: Path) -> None:
    ran = run("port_conflict", tmp_path)
    assert ran.verdict["valid"], ran.verdict["void_reasons"]
    refused = ran.check("refuses_to_start")
    assert refused["verdict"] == "pass", refused["why"]
    assert "ddress already in use" in refused["why"]
    assert ran.verdict["leftovers"] == []
    assert ran.verdict["recovery"]["recovered_at"] is not None


def test_a_hung_engine_makes_health_a_liar(live_stack: LocalStack, tmp_path: Path) -> None:
    ran = run("process_pause", tmp_path, "phases.fault=10s", "workload.deadline=6s")
    assert ran.code == 1, ran.stderr
    lied = ran.check("health_truthful")
    assert lied["verdict"] == "fail"
    assert lied["observed"] >= 5
    assert any(f["kind"] == "health_truthful" for f in ran.verdict["findings"])


def test_ctrl_c_reverts_and_says_so(live_stack: LocalStack, tmp_path: Path) -> None:
    process = begin("latency", tmp_path, "phases.fault=60s")
    wait_for_event(tmp_path, FaultVerified)
    assert len(live_stack.proxy.toxics()) == 1
    process.send_signal(signal.SIGINT)
    ran = finish(process, tmp_path)
    assert ran.code == 130, ran.stderr
    assert "everything is reverted" in ran.stderr
    assert live_stack.proxy.toxics() == []
    assert Ledger(live_stack.state_dir).in_force() == []


def test_heal_reverts_what_a_killed_runner_left(live_stack: LocalStack, tmp_path: Path) -> None:
    words = [*arguments("latency", tmp_path, ["phases.fault=60s"]), "--no-watchdog"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for_event(tmp_path, FaultVerified)
    process.kill()
    process.communicate()
    assert len(live_stack.proxy.toxics()) == 1
    refused = subprocess.run(
        arguments("latency", tmp_path, ()), capture_output=True, text=True, check=False
    )
    assert refused.returncode == 4, refused.stderr
    assert "vqchaos heal" in refused.stderr
    healed = subprocess.run(
        [sys.executable, "-m", "vqchaos", "heal"], capture_output=True, text=True, check=False
    )
    assert healed.returncode == 0, healed.stderr
    assert "reverted" in healed.stdout
    assert live_stack.proxy.toxics() == []
    again = subprocess.run(
        [sys.executable, "-m", "vqchaos", "heal"], capture_output=True, text=True, check=False
    )
    assert (again.returncode, again.stdout.strip()) == (0, "no faults in force")
