"""Killed runners on a real stack: for each family, the watchdog or a fresh process undoes it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.crash.harness import PATIENCE, Victim, settled, victim
from tests.live.conftest import STACK_FILE
from vqchaos.clock import RealClock, wait_until
from vqchaos.stack.local.stack import LocalStack

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]
CLOCK = RealClock()
FAMILIES = {
    "network": [{"type": "latency", "latency": "300ms"}, {"type": "proxy_down"}],
    "processes": [{"type": "process_pause", "target": "engine"}],
    "start-up": [{"type": "port_conflict"}],
    "model files": [{"type": "model_corruption", "mode": "truncate"}],
}
# Each family both ways is `make crash`; a start of the server is half a minute, so that here each
# of its two families dies in one way.
WATCHED = [name for name in FAMILIES if name != "start-up"]
HEALED = [name for name in FAMILIES if name != "model files"]


def words(family: str, folder: Path, fault: str = "60s") -> list[str]:
    """A run of that family's faults, as short as a run can be but for its fault phase."""
    data = {
        "version": 1,
        "name": "crash",
        "workload": {"rate": 10, "arrivals": "constant", "max_tokens": 4, "deadline": "5s"},
        "phases": {
            "warmup": "1s",
            "baseline": "3s",
            "fault": fault,
            "recovery": "60s",
            "settle": "1s",
        },
        "recovered": {"for": "1s", "successes": 3, "slowdown": 10.0},
        "steady_state": {"requests": 10, "ok": "90%"},
        "observer": {"max_lag": "1s"},
        "canary": {"enabled": False},
        "faults": FAMILIES[family],
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "crash.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    return ["run", str(path), "--stack", str(STACK_FILE)]


def effects(stack: LocalStack) -> list[str]:
    """What of a fault is in force in the world itself."""
    proxy = stack.proxy
    found = [f"toxic {toxic.name}" for toxic in proxy.toxics()]
    found += [] if proxy.enabled() else ["the proxy is off"]
    attempt = stack.server.attempt()
    found += [] if attempt.clean and attempt.state == "running" else ["the server is not clean"]
    stopped = [
        ref for ref in stack.processes.find("engine") if stack.processes.status(ref) != "running"
    ]
    found += [f"{ref.role} is stopped" for ref in stopped]
    scratch = stack.paths.scratch
    return found + ([str(p) for p in scratch.iterdir()] if scratch.exists() else [])


def stand_in_force(runner: Victim, stack: LocalStack) -> None:
    runner.await_step()
    assert effects(stack), "the fault is in force"


@pytest.mark.parametrize("family", WATCHED)
def test_a_killed_runner_is_cleaned_up_by_its_watchdog(
    live_stack: LocalStack, tmp_path: Path, family: str
) -> None:
    nth = len(FAMILIES[family])
    with victim("hold", words(family, tmp_path), tmp_path / "runs", nth=nth) as runner:
        stand_in_force(runner, live_stack)
        killed = time.monotonic()
        runner.process.kill()
        assert wait_until(lambda: effects(live_stack) == [], PATIENCE, CLOCK, every=0.02)
        took = time.monotonic() - killed
        sys.stderr.write(f"{family}: from SIGKILL to every effect gone {took:.2f} s\n")
        assert wait_until(lambda: settled(live_stack.state_dir), PATIENCE, CLOCK)
        assert wait_until(lambda: runner.ended_as() == "died", PATIENCE, CLOCK)
        assert wait_until((runner.folder / "verdict.json").exists, PATIENCE, CLOCK)
        verdict = json.loads((runner.folder / "verdict.json").read_text(encoding="utf-8"))
        assert verdict["leftovers"] == []


@pytest.mark.parametrize("family", HEALED)
def test_runner_and_watchdog_killed_a_fresh_process_reverts(
    live_stack: LocalStack, tmp_path: Path, family: str
) -> None:
    nth = len(FAMILIES[family])
    with victim("hold", words(family, tmp_path), tmp_path / "runs", nth=nth) as runner:
        stand_in_force(runner, live_stack)
        dog = runner.watchdog()
        assert dog is not None
        dog.kill()
        runner.process.kill()
        runner.process.wait(PATIENCE)
        assert effects(live_stack)
        healed = subprocess.run(
            [sys.executable, "-m", "vqchaos", "heal"], capture_output=True, text=True, check=False
        )
        assert healed.returncode == 0, healed.stdout + healed.stderr
        assert effects(live_stack) == []
        assert settled(live_stack.state_dir)


def test_a_toxiproxy_of_our_own_that_hangs_is_restarted_by_the_undo(
    live_stack: LocalStack, tmp_path: Path
) -> None:
    with victim("hold", words("network", tmp_path), tmp_path / "runs", nth=2) as runner:
        stand_in_force(runner, live_stack)
        hung = live_stack.supervisor.pid_of("toxiproxy")
        assert hung is not None
        os.kill(hung, signal.SIGSTOP)
        runner.process.send_signal(signal.SIGTERM)
        assert runner.ends() == 128 + signal.SIGTERM
        assert effects(live_stack) == []
        assert settled(live_stack.state_dir)
        assert live_stack.supervisor.pid_of("toxiproxy") != hung
        notes = [e["note"] for e in runner.history() if e["type"] == "fault.reverted"]
        assert any("restarted" in note for note in notes)
