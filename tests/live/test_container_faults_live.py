"""The container faults on a real Docker daemon, with busybox for a server: each fault's life, and
what somebody else does to its container meanwhile. See ``test_containers_live`` for the daemon.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.samples import all_samples
from tests.live.compose_like import (
    LARGE,
    PATIENCE,
    Project,
    World,
    inside,
    one,
    started_anew,
    ticket,
)
from vqchaos.clock import RealClock, wait_until
from vqchaos.errors import StackError
from vqchaos.faults.base import Fault
from vqchaos.faults.container_memory import ContainerMemory
from vqchaos.faults.container_pause import ContainerPause
from vqchaos.faults.container_stop import ContainerStop
from vqchaos.ledger import Entry, Ledger
from vqchaos.runner.undo import undo
from vqchaos.stack.container_protocols import ContainerRef, ContainerState, Limits
from vqchaos.stack.docker.containers import DockerContainers

pytestmark = [
    pytest.mark.docker,
    pytest.mark.timeout(180),
    pytest.mark.usefixtures("sockets_of_docker_py"),
]
CLOCK = RealClock()
MIB = 1024**2
SAMPLES = {f.type: f for f in all_samples().values() if f.family == "containers"}


def test_every_container_fault_is_here() -> None:
    assert len(SAMPLES) == 8


def resolver(control: DockerContainers, ref: ContainerRef) -> str:
    """Where its memory has run out, a program that is started inside may be what is killed."""
    try:
        return control.run_inside(ref, ["/bin/cat", "/etc/resolv.conf"], 10.0, {})[1]
    except StackError as error:
        return str(error)


def looks(control: DockerContainers) -> list[object]:
    """All that a held fault may change."""
    found: list[object] = []
    for ref in [*control.find("server"), *control.find("router")]:
        status = control.state(ref).status
        places = [(p.network, sorted(p.aliases)) for p in control.attachments(ref)]
        names = ""
        if status == "running":
            names = resolver(control, ref)
        found.append((ref.name, status, places, control.limits(ref), names, inside(ref, "dd\x00")))
    return found


@pytest.mark.parametrize("name", list(SAMPLES))
def test_each_faults_life(project: Project, tmp_path: Path, name: str) -> None:
    """As the runner does it, and undone by a client that knows the ledger alone."""
    for number in (1, 2):
        project.add("server", number, mem_limit=256 * MIB, memswap_limit=256 * MIB)
    project.add("router")
    fault: Fault = SAMPLES[name]
    control = project.control()
    world: Any = World(control)
    ledger = Ledger(tmp_path)
    before = looks(control)
    assert fault.targets(world) == [f"{project.name}-server-1"]
    assert any("undo: " in step for step in fault.plan(world))
    state = json.loads(json.dumps(fault.capture(world, ticket())))
    ledger.record(Entry("r.0", "r", 0, fault.type, fault.type, None, fault.held, state))
    felt: list[bool] = []
    fault.inject(world, state, lambda: felt.append(True))
    assert felt == [True]
    answer = fault.verify(world, state)
    assert answer.answer == "yes", answer.why
    if fault.held:
        assert looks(control) != before, "it shows in the world itself"
    [entry] = ledger.in_force()
    fresh: Any = World(project.control())
    outcome = undo(entry, fresh, ledger)
    assert (outcome.done, outcome.proof.answer) == (True, "yes"), outcome.proof.why
    assert ledger.in_force() == []
    assert wait_until(lambda: looks(control) == before, PATIENCE, CLOCK), looks(control)
    assert type(fault).revert(fresh, state) is not None, "a second time does no harm"
    assert looks(control) == before


def test_any_hits_one_of_them(project: Project) -> None:
    for number in (1, 2, 3):
        project.add("server", number)
    control = project.control()
    fault = ContainerPause.model_validate({"type": "container_pause", "target": {"replica": "any"}})
    world: Any = World(control)
    state = fault.capture(world, ticket())
    fault.inject(world, state, lambda: None)
    paused = [ref.name for ref in control.find("server") if control.state(ref).status == "paused"]
    assert paused == [state["containers"][0]["ref"]["name"]]
    ContainerPause.revert(world, state)
    assert {control.state(ref).status for ref in control.find("server")} == {"running"}


def test_memory_that_ran_out_and_a_restart_meanwhile(project: Project) -> None:
    project.add()
    control = project.control()
    world: Any = World(control)
    ref = one(control)
    fault = ContainerMemory.model_validate({"type": "container_memory", "margin": "16MiB"})
    state = json.loads(json.dumps(fault.capture(world, ticket())))
    fault.inject(world, state, lambda: None)
    assert fault.verify(world, state).answer == "yes"
    lowered = control.limits(ref)
    before = control.state(ref)
    control.crash(ref)
    assert started_anew(control, ref, before)
    assert control.limits(ref) == lowered, "Docker keeps it over a restart"
    assert inside(ref, "dd\x00") == [], "what filled it went"
    assert "restarted meanwhile" in ContainerMemory.revert(world, state)
    assert control.limits(ref) == Limits()
    assert control.memory(ref).limit is None


def test_a_container_that_is_removed_in_mid_air(project: Project) -> None:
    identifier = project.add()
    control = project.control()
    world: Any = World(control)
    ref = one(control)
    fault = ContainerPause.model_validate({"type": "container_pause"})
    state = fault.capture(world, ticket())
    fault.inject(world, state, lambda: None)
    project.api.remove_container(identifier, force=True)
    assert control.state(ref) == ContainerState("gone")
    assert "is gone" in ContainerPause.revert(world, state)
    assert ContainerPause.verify_undone(world, state).answer == "yes"
    for act in (control.pause, control.start, control.crash, control.memory, control.limits):
        with pytest.raises(StackError, match=r"gone|does not run"):
            act(ref)
    with pytest.raises(StackError, match="is gone: somebody removed it"):
        control.run_inside(ref, ["/bin/true"], 5.0, {})
    assert control.find("server") == []


STOPS = """
import json, sys
from tests.live.compose_like import World
from vqchaos.faults.container_stop import ContainerStop
from vqchaos.stack.docker.containers import DockerContainers

world = World(DockerContainers(sys.argv[1], {"server": ["server"]}))
fault = ContainerStop.model_validate({"type": "container_stop", "grace": "3s"})
fault.inject(world, json.loads(sys.argv[2]), lambda: None)
"""


def test_a_stop_whose_asker_dies_is_waited_for(project: Project) -> None:
    """Docker goes on with it: the container runs for the rest of its grace, and ends."""
    project.add(command=["/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"])
    control = project.control()
    world: Any = World(control)
    ref, before = one(control), control.state(one(control))
    fault = ContainerStop.model_validate({"type": "container_stop", "grace": "3s"})
    state = json.loads(json.dumps(fault.capture(world, ticket())))
    command = [sys.executable, "-c", STOPS, project.name, json.dumps(state)]
    with subprocess.Popen(command, cwd=Path(__file__).resolve().parents[2]) as asker:
        assert wait_until(lambda: control.signalled(ref, 60.0), PATIENCE, CLOCK)
        asker.kill()
    assert control.state(ref) == before, "it still runs, as if nothing had been"
    fresh: Any = World(project.control())
    ContainerStop.revert(fresh, state)
    after = control.state(ref)
    assert (after.status, after.started != before.started) == ("running", True)
    assert not control.signalled(ref, 60.0), "since its latest start"
    ContainerStop.revert(fresh, state)
    assert control.state(ref) == after


def test_an_oom_that_ends_the_container_is_verified_after_its_restart(project: Project) -> None:
    """Its first process is by far the largest, as a server's is: it goes, and the cgroup's counter
    with it."""
    project.add(command=LARGE)
    control = project.control()
    world: Any = World(control)
    ref = one(control)
    assert wait_until(lambda: control.memory(ref).usage > 150 * MIB, PATIENCE, CLOCK)
    before = control.state(ref)
    fault = ContainerMemory.model_validate({"type": "container_memory", "margin": "16MiB"})
    state = json.loads(json.dumps(fault.capture(world, ticket())))
    fault.inject(world, state, lambda: None)
    assert started_anew(control, ref, before)
    assert control.memory(ref).oom_kills == 0
    answer = fault.verify(world, state)
    assert answer.answer == "yes", answer.why
    assert "restarted meanwhile" in ContainerMemory.revert(world, state)
    assert control.limits(ref) == Limits()
