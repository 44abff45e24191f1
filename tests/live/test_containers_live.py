"""The containers' adapter on a real Docker daemon, with busybox for a server.

The daemon is the one of DOCKER_HOST, else the default socket's; without one these tests are errors.
``pytest -m docker tests/live``.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.live.compose_like import (
    GREEDY,
    PATIENCE,
    Project,
    World,
    inside,
    one,
    relay,
    started_anew,
    ticket,
)
from vqchaos.clock import RealClock, wait_until
from vqchaos.errors import CapabilityMissing, StackError
from vqchaos.faults.container_disconnect import ContainerDisconnect
from vqchaos.stack.container_protocols import Attachment, ContainerRef, Limits
from vqchaos.stack.docker.containers import DockerContainers
from vqchaos.stack.docker.project import ProjectThings

pytestmark = [
    pytest.mark.docker,
    pytest.mark.timeout(180),
    pytest.mark.usefixtures("sockets_of_docker_py"),
]
CLOCK = RealClock()
MIB = 1024**2


# ---------------------------------------------------------------- what Docker itself does


@pytest.mark.parametrize(
    ("prepare", "act", "status"),
    [
        (["pause"], "pause", 409),
        ([], "unpause", 500),
        (["stop"], "kill", 409),
        (["stop"], "pause", 409),
    ],
)
def test_docker_refuses_what_is_so_already(
    project: Project, prepare: list[str], act: str, status: int
) -> None:
    """Else the guards guard against nothing."""
    identifier = project.add()
    for step in prepare:
        getattr(project.api, step)(identifier)
    with pytest.raises(docker.errors.APIError) as caught:
        getattr(project.api, act)(identifier)
    assert caught.value.status_code == status


def test_docker_refuses_more_of_what_the_adapter_guards(project: Project) -> None:
    api, identifier = project.api, project.add(nano_cpus=10**9, mem_limit=32 * MIB)

    def refused(work: Callable[[], object]) -> int:
        with pytest.raises(docker.errors.APIError) as caught:
            work()
        return int(caught.value.status_code)

    assert refused(lambda: api.update_container(identifier, mem_limit=512 * MIB)) == 409
    assert refused(lambda: api.update_container(identifier, mem_limit=-1)) == 400
    assert refused(lambda: api.update_container(identifier, cpu_quota=50_000)) == 409
    api.disconnect_container_from_network(identifier, project.network)
    again = refused(lambda: api.disconnect_container_from_network(identifier, project.network))
    assert again == 500
    api.connect_container_to_network(identifier, project.network)
    aliases = api.inspect_container(identifier)["NetworkSettings"]["Networks"][project.network]
    assert "server" not in aliases["Aliases"], "they are lost"
    api.pause(identifier)
    assert refused(lambda: api.exec_create(identifier, ["/bin/true"])) == 409


# ---------------------------------------------------------------- finding


def test_only_our_project_is_found_and_touched(project: Project, other_project: Project) -> None:
    ours = [project.add("big", 2), project.add("big", 1), project.add("small", 1)]
    project.add("big", 1, oneoff=True)
    theirs = [other_project.add("big", 1), other_project.add("small", 1)]
    control = project.control(server=["small", "big"])
    before = {i: project.api.inspect_container(i)["State"] for i in theirs}
    refs = control.find("server")
    assert [(ref.id, ref.replica) for ref in refs] == [(ours[2], 1), (ours[1], 2), (ours[0], 3)]
    for ref in refs:
        seen = control.state(ref)
        control.crash(ref)
        assert started_anew(control, ref, seen)
        control.pause(ref)
        control.unpause(ref)
        control.stop(ref, 5.0)
    assert {i: project.api.inspect_container(i)["State"] for i in theirs} == before
    stranger = ContainerRef(theirs[0], "big", "server", "big", 1)
    for act in (control.crash, control.pause, control.start, control.limits):
        with pytest.raises(StackError, match="does not belong to the project"):
            act(stranger)
    found, others = ProjectThings(control.daemon, project.name).look({"big", "small"})
    names = {(item.kind, item.name) for item in [*found, *others]}
    assert ("network", project.network) in names
    assert len(names) == 5


# ---------------------------------------------------------------- life and death


def test_a_crash_lets_the_restart_policy_act_and_dockers_kill_does_not(project: Project) -> None:
    project.add("killed")
    project.add("crashed")
    control = project.control(killed=["killed"], crashed=["crashed"])
    killed, crashed = one(control, "killed"), one(control, "crashed")
    control.kill(killed, 9)
    before = control.state(crashed)
    control.crash(crashed)
    assert started_anew(control, crashed, before)
    assert control.state(crashed).restarts == 1
    # Both were killed with the same signal, the killed one before; Docker had time for it.
    state = control.state(killed)
    assert (state.status, state.restarts, state.exit_code) == ("exited", 0, 137)
    control.start(killed)
    assert control.state(killed).status == "running"


def test_each_call_may_be_made_twice(project: Project) -> None:
    project.add()
    control = project.control()
    ref = one(control)
    steps: list[tuple[Callable[[], None], str]] = [
        (lambda: control.pause(ref), "paused"),
        (lambda: control.unpause(ref), "running"),
        (lambda: control.stop(ref, 5.0), "exited"),
        (lambda: control.kill(ref, 9), "exited"),
        (lambda: control.unpause(ref), "exited"),
        (lambda: control.start(ref), "running"),
        (lambda: control.kill(ref, 9), "exited"),
        (lambda: control.start(ref), "running"),
        (lambda: control.restart(ref, 5.0), "running"),
    ]
    for number, (step, status) in enumerate(steps):
        step()
        step()
        assert control.state(ref).status == status, number
    control.pause(ref)
    control.stop(ref, 5.0)
    assert control.state(ref).status == "exited", "a paused one too"


# ---------------------------------------------------------------- networks


def test_aliases_and_a_fixed_address_survive(project: Project) -> None:
    subnet = project.api.inspect_network(project.network)["IPAM"]["Config"][0]["Subnet"]
    project.api.remove_network(project.network)
    pool = docker.types.IPAMPool(subnet=subnet)  # else Docker takes no fixed address
    project.api.create_network(
        project.network,
        driver="bridge",
        labels=project.labels,
        ipam=docker.types.IPAMConfig(pool_configs=[pool]),
    )
    project.add("server")
    project.add("router")
    control = project.control()
    ref, router = one(control), one(control, "router")
    [place] = control.attachments(ref)
    address = subnet.rpartition(".")[0] + ".77"
    control.disconnect(ref, project.network)
    fixed = Attachment(project.network, place.aliases, ipv4=address)
    control.connect(ref, fixed)
    control.connect(ref, fixed)
    assert control.attachments(ref) == [fixed]

    def found() -> bool:
        look = ["/bin/nslookup", "server-1", "127.0.0.11"]
        code, said = control.run_inside(router, look, 10.0, {})
        return code == 0 and address in said

    assert found()
    world: Any = World(control)
    fault = ContainerDisconnect.model_validate({"type": "container_disconnect"})
    state = json.loads(json.dumps(fault.capture(world, ticket())))
    fault.inject(world, state, lambda: None)
    assert fault.verify(world, state).answer == "yes"
    assert not found()
    ContainerDisconnect.revert(world, state)
    assert control.attachments(ref) == [fixed]
    assert found()
    control.disconnect(ref, project.network)
    control.disconnect(ref, project.network)
    assert control.attachments(ref) == []


# ---------------------------------------------------------------- limits and memory


@pytest.mark.parametrize("made", [{}, {"nano_cpus": 10**9, "mem_limit": 128 * MIB}])
def test_limits_there_and_back(project: Project, made: dict[str, Any]) -> None:
    project.add(**made)
    control = project.control()
    ref = one(control)
    before = control.limits(ref)
    for limits in (
        Limits(64 * MIB, 64 * MIB, 0.2),
        Limits(256 * MIB, 512 * MIB, 0.5),  # above the swap limit that is in force
        Limits(48 * MIB, 48 * MIB, 0.3),
        before,
        before,
    ):
        control.set_limits(ref, limits)
        assert control.limits(ref) == limits
        assert control.memory(ref).limit == limits.memory, "the kernel says the same"
    control.restart(ref, 5.0)
    assert control.limits(ref) == before


def test_real_memory_and_the_kernels_refusal(project: Project) -> None:
    project.add()
    control = project.control()
    ref = one(control)
    before = control.memory(ref)
    holds = ["/bin/sh", "-c", "dd if=/dev/zero bs=40M count=1 | sleep 60"]
    control.start_inside(ref, holds, {"VQCHAOS_TOKEN": "t0k3n"})
    assert wait_until(lambda: control.memory(ref).usage > 40 * MIB, PATIENCE, CLOCK)
    if Path("/sys/fs/cgroup/memory").exists():  # version 2 would kill instead of refusing
        with pytest.raises(StackError, match="unable to set memory limit"):
            control.set_limits(ref, Limits(20 * MIB, 20 * MIB))
        assert control.limits(ref) == Limits()
    assert control.end_inside(ref, "t0k") == 0
    assert control.end_inside(ref, "t0k3n") == 3
    assert control.end_inside(ref, "t0k3n") == 0
    assert wait_until(lambda: control.memory(ref).usage < before.usage + 20 * MIB, PATIENCE, CLOCK)
    assert control.memory(ref).oom_kills == 0


def test_a_real_oom_is_told_from_a_plain_sigkill(project: Project) -> None:
    """The whole container dies of each: the same exit code, and only one of them is an OOM."""
    for service in ("greedy", "killed"):
        limit: dict[str, Any] = {"mem_limit": 64 * MIB, "memswap_limit": 64 * MIB}
        project.add(service, command=GREEDY, restart="no", **limit)
    control = project.control(greedy=["greedy"], killed=["killed"])
    greedy, killed = one(control, "greedy"), one(control, "killed")
    since = time.time()
    control.kill(greedy, 10)  # SIGUSR1
    control.crash(killed)
    for ref in (greedy, killed):
        assert wait_until(lambda r=ref: control.state(r).status == "exited", PATIENCE, CLOCK)  # type: ignore[misc]
        assert control.state(ref).exit_code == 137
    assert wait_until(lambda: control.ooms(greedy, since) > 0, PATIENCE, CLOCK)
    assert control.ooms(killed, since) == 0
    assert control.ooms(greedy, time.time()) == 0


def test_an_oom_inside_a_container_that_lives_on_is_counted(project: Project) -> None:
    project.add(mem_limit=64 * MIB, memswap_limit=64 * MIB)
    control = project.control()
    ref = one(control)
    code, _ = control.run_inside(
        ref, ["/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"], 20.0, {}
    )
    assert code == 137
    assert control.memory(ref).oom_kills == 1
    before = control.state(ref)
    control.crash(ref)
    assert started_anew(control, ref, before)
    assert control.memory(ref).oom_kills == 0, "a new start, a new cgroup"


# ---------------------------------------------------------------- inside


def test_what_runs_inside_is_bounded(project: Project) -> None:
    project.add()
    control = project.control()
    ref = one(control)
    command = ["/bin/sh", "-c", 'echo "$WORD"; echo err >&2; exit 3']
    code, said = control.run_inside(ref, command, 20.0, {"WORD": "a b"})
    assert (code, sorted(said.splitlines())) == (3, ["a b", "err"]), "two pipes, no order"
    code, said = control.run_inside(ref, ["/bin/head", "-c", "300000", "/dev/zero"], 20.0, {})
    assert (code, len(said)) == (0, 64 * 1024)
    sleeps = ["/bin/sh", "-c", "sleep 611 & (sleep 612 & sleep 613)"]
    began = time.monotonic()
    with pytest.raises(StackError, match="did not end inside within 1s, and was killed"):
        control.run_inside(ref, sleeps, 1.0, {})
    assert time.monotonic() - began < 10
    assert wait_until(lambda: not inside(ref, "sleep\x0061"), PATIENCE, CLOCK)
    assert control.state(ref).status == "running"
    with pytest.raises(StackError, match="there is no `/bin/python3` in the container's image"):
        control.run_inside(ref, ["/bin/python3"], 20.0, {})
    with pytest.raises(StackError, match="no such file"):
        control.start_inside(ref, ["/bin/python3"], {})
    control.pause(ref)
    with pytest.raises(StackError, match="is paused"):
        control.run_inside(ref, ["/bin/true"], 20.0, {})


# ---------------------------------------------------------------- a daemon elsewhere, or none


@pytest.fixture
def elsewhere(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same daemon as over the network, as far as the adapter can tell."""
    host = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    if not host.startswith("unix://"):
        yield
        return
    with relay(host.removeprefix("unix://")) as address:
        monkeypatch.setenv("DOCKER_HOST", address)
        yield


@pytest.mark.usefixtures("elsewhere")
def test_a_remote_daemons_container_is_crashed_through_its_init(project: Project) -> None:
    project.add("with", init=True)
    project.add("without")
    control = project.control(bare=["without"], server=["with"])
    ref, bare = one(control), one(control, "bare")
    before = control.state(ref)
    assert before.pid is None
    control.crash(ref)
    assert started_anew(control, ref, before)
    assert control.state(ref).restarts == 1
    untouched = control.state(bare)
    with pytest.raises(CapabilityMissing, match="no init whose child") as caught:
        control.crash(bare)
    assert "init: true" in str(caught.value.hint)
    assert control.state(bare) == untouched
    with pytest.raises(CapabilityMissing, match="on another machine"):
        control.memory(ref)


@pytest.mark.usefixtures("elsewhere")
def test_what_runs_inside_a_remote_container_is_bounded_too(project: Project) -> None:
    project.add()
    control = project.control()
    ref = one(control)
    with pytest.raises(StackError, match="was killed"):
        control.run_inside(ref, ["/bin/sh", "-c", "sleep 621 & sleep 622"], 1.0, {})
    assert wait_until(lambda: not inside(ref, "sleep\x0062"), PATIENCE, CLOCK)
    control.start_inside(ref, ["/bin/sleep", "623"], {"VQCHAOS_TOKEN": "t0k3n"})
    assert control.end_inside(ref, "t0k3n") == 1
    assert control.end_inside(ref, "t0k3n") == 0


def test_no_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(StackError, match="is not running") as caught:
        DockerContainers("shop", {})
    assert "systemctl start docker" in str(caught.value.hint)
