"""Docker's stack over containers in memory: what it can do, and what must be as before a run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.fakes import FakeWorld
from vqchaos.clock import RealClock, wait_until
from vqchaos.errors import CapabilityMissing, UncleanError, UsageError
from vqchaos.experiment.files import load_stack
from vqchaos.ledger import Entry, Ledger
from vqchaos.stack import lifecycle
from vqchaos.stack.config import DockerStackFile
from vqchaos.stack.container_protocols import ContainerRef, ContainerState, Limits
from vqchaos.stack.docker.processes import DockerProcesses
from vqchaos.stack.docker.stack import DockerStack
from vqchaos.stack.inventory import compare
from vqchaos.stack.opening import from_recipe, open_stack, recipe
from vqchaos.stack.protocols import Capability

TOP = Path(__file__).resolve().parents[3]
DATA = {
    "name": "docker",
    "kind": "docker",
    "url": "http://127.0.0.1:17000",
    "model": "qwen3",
    "project": "shop",
    "services": {"server": "server", "router": "router"},
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("DOCKER_HOST", raising=False)


def make(world: FakeWorld, **changes: Any) -> DockerStack:
    file = DockerStackFile.model_validate({**DATA, **changes})
    stack = DockerStack(file, world.folder / "docker.yaml")
    vars(stack)["docker"] = world.containers
    return stack


def test_the_shipped_file_opens_and_can_be_opened_again_from_its_recipe() -> None:
    path = TOP / "stacks" / "docker.yaml"
    stack = open_stack(load_stack(path), path)
    assert isinstance(stack, DockerStack)
    assert stack.environment == "test"
    again = from_recipe(recipe(stack))
    assert (again.state_dir, again.file) == (stack.state_dir, stack.file)
    assert (TOP / "stacks" / (stack.file.compose or [""])[0]).is_file()


def test_what_is_missing_says_why(world: FakeWorld) -> None:
    stack = make(world)
    assert Capability.CONTAINERS not in stack.missing()
    assert "proxy_api" in stack.missing()[Capability.PROXY]
    with pytest.raises(CapabilityMissing):
        _ = stack.proxy


def test_a_daemon_elsewhere_has_no_processes_here_and_needs_an_environment(
    world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://far.example:2375")
    with pytest.raises(UsageError, match="does not say what it runs"):
        _ = make(world).environment
    stack = make(world, environment="staging")
    assert stack.environment == "staging"
    assert "far.example" in stack.missing()[Capability.PROCESSES]
    assert "far.example" in stack.missing()[Capability.STARTUP]
    for ask in ("processes", "server"):
        with pytest.raises(CapabilityMissing):
            getattr(stack, ask)


def test_a_paused_limited_or_cut_off_container_is_ours_and_a_dead_one_the_stacks(
    world: FakeWorld,
) -> None:
    stack = make(world)
    before = stack.inventory()
    assert compare(before, stack.inventory()) == ([], [])
    first, second = world.containers.one(), world.containers.one(replica=2)
    world.containers.pause(first.ref)
    world.containers.set_limits(first.ref, Limits(2**30, 2**30, 0.5))
    world.containers.disconnect(first.ref, "shop_default")
    world.containers.kill(second.ref, 9)
    ours, theirs = compare(before, stack.inventory())
    assert {item.kind for item in ours} == {"pause", "limit", "network"}
    assert [(item.kind, item.name) for item in theirs] == [("container", second.ref.name)]


def test_a_container_that_somebody_removed_holds_nothing_of_ours(world: FakeWorld) -> None:
    stack = make(world)
    before = stack.inventory()
    gone = world.containers.one().ref
    del world.containers.table[gone.id]
    ours, theirs = compare(before, stack.inventory(before))
    assert ours == []
    assert [(item.kind, item.name) for item in theirs] == [("container", gone.name)]


def test_probes_are_told_which_service_plays_which_role(world: FakeWorld) -> None:
    source = make(world).probe_sources().docker
    assert source is not None
    assert (source.project, source.roles) == ("shop", {"server": "server", "router": "router"})
    assert source.host.startswith("unix://")


def test_processes_are_found_below_the_containers_first(world: FakeWorld) -> None:
    """Here a container is this test's own child, and its engine that child's child."""
    code = "import subprocess,sys; subprocess.run([sys.executable, '-c', 'input()', 'x'])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as first:

        class Containers(type(world.containers)):  # type: ignore[misc]
            def state(self, ref: ContainerRef) -> ContainerState:
                return ContainerState("running", pid=first.pid if ref.replica == 2 else None)

        def ours(pid: int, container: str) -> bool:
            return pid == first.pid

        found = DockerProcesses(Containers(world), ours).find("server")
        assert [(r.pid, r.role, r.replica) for r in found] == [(first.pid, "server", 2)]
        assert found[0].group == os.getpgid(first.pid)
        first.communicate(b"\n")
    assert DockerProcesses(Containers(world), ours).find("server") == []


def test_a_pid_that_is_not_the_containers_is_out_of_reach(world: FakeWorld) -> None:
    """The daemon may number processes of another machine: this test's own PID is a stranger's."""

    class Containers(type(world.containers)):  # type: ignore[misc]
        def state(self, ref: ContainerRef) -> ContainerState:
            return ContainerState("running", pid=os.getpid())

    for role in ("server", "engine"):
        with pytest.raises(CapabilityMissing, match="not of this machine"):
            DockerProcesses(Containers(world)).find(role)


def test_an_init_is_not_the_server(world: FakeWorld, tmp_path: Path) -> None:
    """A pause of the init alone would stop nobody."""
    init = tmp_path / "docker-init"
    init.symlink_to(sys.executable)
    code = "import subprocess,sys; subprocess.run([sys.executable, '-c', 'input()', 'x'])"
    with subprocess.Popen([init, "-c", code], stdin=subprocess.PIPE) as first:

        class Containers(type(world.containers)):  # type: ignore[misc]
            def state(self, ref: ContainerRef) -> ContainerState:
                return ContainerState("running", pid=first.pid if ref.replica == 1 else None)

        processes = DockerProcesses(Containers(world), lambda pid, container: True)
        children = psutil.Process(first.pid).children
        assert wait_until(lambda: len(children()) == 1, 10.0, RealClock())
        assert [ref.pid for ref in processes.find("server")] == [children()[0].pid]
        first.communicate(b"\n")


def test_down_is_refused_while_faults_are_in_force(world: FakeWorld) -> None:
    stack = make(world, compose="compose.yml")
    stack.state_dir.mkdir(parents=True)
    entry = Entry("r.0", "r", 0, "frozen", "container_pause", None, held=True)
    Ledger(stack.state_dir).record(entry)

    class Quiet:
        def step(self, text: str) -> None: ...

        def detail(self, text: str) -> None: ...

    with pytest.raises(UncleanError, match="frozen"):
        lifecycle.down(stack, Quiet())
