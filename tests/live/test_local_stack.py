"""The local stack, for real: up, killed, restarted, residue named, down, nothing left."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import psutil
import pytest

from tests.live.conftest import Lines, make_live_stack
from vqchaos.clock import wait_until
from vqchaos.errors import StackUnhealthy
from vqchaos.stack.local import groups
from vqchaos.stack.local.down import down, leftovers, own_processes
from vqchaos.stack.local.stack import LocalStack
from vqchaos.stack.local.up import status, up
from vqchaos.stack.protocols import StartOverride
from vqchaos.stack.status import answer_token

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]


def shared_memory() -> set[str]:
    return {path.name for path in groups.SHM.iterdir()}


def test_up_is_idempotent_and_a_token_comes_through_the_proxy(live_stack: LocalStack) -> None:
    before = live_stack.server.attempt()
    up(live_stack, Lines())
    assert live_stack.server.attempt().generation == before.generation
    assert answer_token(live_stack.endpoints, 30)
    now = status(live_stack)
    assert (now.state, now.residue, now.faults_in_force) == ("serving", [], [])
    assert live_stack.proxy.exists()
    assert live_stack.proxy.toxics() == []
    assert live_stack.proxy.timed_connect(10) is not None
    roles = [process["role"] for process in now.processes]
    assert roles == ["server", "engine", "worker", "tracker", "proxy"]


def test_a_killed_server_comes_back_and_its_residue_is_named(live_stack: LocalStack) -> None:
    before = live_stack.server.attempt()
    [server] = live_stack.processes.find("server")
    names_before = shared_memory()
    os.kill(server.pid, signal.SIGKILL)
    assert wait_until(
        lambda: live_stack.server.attempt().generation > before.generation, 30, live_stack.clock
    )
    found = live_stack.residue()
    roles = {item.name.split()[0] for item in found if item.kind == "process"}
    assert {"engine", "worker", "tracker"} <= roles
    named = {
        item.name.removeprefix(f"{groups.SHM}/") for item in found if item.kind == "shared_memory"
    }
    assert any(name.startswith("psm_") for name in named)
    assert any(item.kind == "socket" for item in found)
    assert wait_until(
        lambda: answer_token(live_stack.endpoints, 10), 240, live_stack.clock, every=1
    )
    assert live_stack.remove_residue() == []
    assert not named & shared_memory()
    assert named <= names_before
    assert answer_token(live_stack.endpoints, 30)  # the new server lost nothing by that


def test_a_stop_leaves_nothing_and_a_refusal_says_why(
    live_stack: LocalStack, tmp_path: Path
) -> None:
    live_stack.server.stop()
    assert live_stack.residue() == []
    live_stack.server.start(StartOverride(model=tmp_path / "no-model"))
    assert wait_until(
        lambda: live_stack.server.attempt().state == "exited", 120, live_stack.clock, every=0.2
    )
    attempt = live_stack.server.attempt()
    assert attempt.exit_code not in (None, 0)
    assert not attempt.clean
    assert any("no-model" in line for line in attempt.log)


def test_a_server_that_refuses_to_start_is_told_and_nothing_stays(
    live_stack: LocalStack,
) -> None:
    """Another stack beside the live one: its engine does not know an argument."""
    other = make_live_stack("other", extra_args=["--no-such-argument"])
    with pytest.raises(StackUnhealthy, match="no-such-argument") as raised:
        up(other, Lines())
    assert raised.value.hint == "engine.args holds something that this vLLM does not know"
    assert leftovers(other) == []
    assert answer_token(live_stack.endpoints, 30)


def test_down_leaves_nothing(live_state_home: Path, live_stack: LocalStack) -> None:
    """After a kill, so that there are orphans; the next test's fixture brings it up again."""
    memory = shared_memory()
    names = {name for group in groups.load(live_stack.paths.up) for name in group.shm}
    ports = live_stack.paths.ports()
    [server] = live_stack.processes.find("server")
    os.kill(server.pid, signal.SIGKILL)
    down(live_stack, Lines())
    assert leftovers(live_stack) == []
    assert own_processes(live_stack) == []
    assert not any("VLLM::" in " ".join(p.cmdline()) for p in mine(live_stack))
    assert not names & shared_memory()
    assert shared_memory() <= memory
    for port in (ports.server, ports.proxy, ports.proxy_api):
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert not live_stack.paths.runtime.exists()
    assert status(live_stack).state == "down"
    down(live_stack, Lines())  # idempotent


def mine(stack: LocalStack) -> list[psutil.Process]:
    """Whatever has a file or folder of the stack open, runs in it or names it."""
    found = []
    for process in psutil.process_iter():
        try:
            inside = process.cwd().startswith(str(stack.paths.state))
            named = str(stack.paths.up) in " ".join(process.cmdline())
        except psutil.Error:
            continue
        if inside or named:
            found.append(process)
    return found
