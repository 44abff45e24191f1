"""A server's container started otherwise, on a real daemon, with busybox for a server."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.fakes import free_port
from tests.live.compose_like import PATIENCE, Project, inside, one
from vqchaos.clock import RealClock, wait_until
from vqchaos.errors import CapabilityMissing, FaultError, StackError
from vqchaos.faults.base import require_few
from vqchaos.faults.port_conflict import PortConflict
from vqchaos.stack.docker.server import DockerServer
from vqchaos.stack.protocols import Attempt, StartOverride

pytestmark = [
    pytest.mark.docker,
    pytest.mark.timeout(180),
    pytest.mark.usefixtures("sockets_of_docker_py"),
]
CLOCK = RealClock()
# Serves only from the folder that is mounted: like a server that needs its model's files.
COMMAND = [
    "/bin/sh",
    "-c",
    'cat "$2/config.json" || exit 3; trap "exit 0" TERM; while :; do sleep 0.1; done',
    "server",
    "--model",
    "/models/it",
    "--port",
    "8000",
]


class Server:
    """One server of a project, with a model of this machine and a published port."""

    def __init__(self, project: Project, folder: Path, **host: Any) -> None:
        self.model = folder / "model"
        self.model.mkdir()
        (self.model / "config.json").write_text("{}")
        (self.model / "weights").write_text("whole")
        self.port = free_port()
        self.project = project
        self.own = project.add(
            command=COMMAND,
            binds=[f"{self.model}:/models/it:ro"],
            port_bindings={8000: ("127.0.0.1", self.port)},
            init=True,
            **host,
        )
        self.folder = folder / "state"
        self.control = project.control()
        self.docker = DockerServer(self.control, self.folder, CLOCK)

    def afresh(self) -> DockerServer:
        """As another process sees it."""
        return DockerServer(self.project.control(), self.folder, CLOCK)

    def until(self, wanted: Callable[[Attempt], bool]) -> Attempt:
        assert wait_until(lambda: wanted(self.docker.attempt()), PATIENCE, CLOCK)
        return self.docker.attempt()


@pytest.fixture
def server(project: Project, tmp_path: Path) -> Server:
    return Server(project, tmp_path)


def broken_copy(server: Server, *, whole: bool = False) -> Path:
    copy = server.docker.scratch("t0k3n000")
    copy.mkdir(parents=True)
    (copy / "weights").symlink_to(server.model / "weights")
    if whole:
        (copy / "config.json").symlink_to(server.model / "config.json")
    return copy


def test_what_is_known_of_it(server: Server) -> None:
    assert server.docker.listens_on() == ("127.0.0.1", server.port)
    assert server.docker.own_url() == f"http://127.0.0.1:{server.port}"
    assert server.docker.model_dir() == server.model
    assert server.docker.memory_limit() is None
    found = server.docker.attempt()
    assert (found.state, found.clean, found.ended) == ("running", True, None)
    assert found.started is not None
    assert 0 <= CLOCK.now() - found.started < PATIENCE


def test_what_a_start_up_fault_asks_for_before_it_touches_anything(server: Server) -> None:
    fault = PortConflict.model_validate({"type": "port_conflict"})
    world: Any = SimpleNamespace(server_of=lambda _: server.docker)
    require_few(fault, world, 1)
    server.project.api.stop(server.own, timeout=1)
    with pytest.raises(FaultError, match="does not run"):
        require_few(fault, world, 1)
    server.docker.start(StartOverride())
    with pytest.raises(FaultError, match="stands in"):
        require_few(fault, world, 1)
    server.docker.start_clean()
    server.until(lambda attempt: attempt.state == "running")
    require_few(fault, world, 1)
    server.project.add(number=2, command=COMMAND)
    other = DockerServer(server.control, server.folder, CLOCK, replica=2)
    beside: Any = SimpleNamespace(server_of=lambda _: other)
    with pytest.raises(CapabilityMissing, match="publishes port 8000 at no fixed port"):
        require_few(fault, beside, 1)


def test_a_refused_start_and_the_way_back(server: Server) -> None:
    server.docker.stop()
    assert server.docker.attempt().state == "stopped"
    server.docker.start(StartOverride(model=broken_copy(server), extra_args=("--load", "dummy")))
    found = server.until(lambda attempt: attempt.state == "exited")
    assert (found.clean, found.exit_code) == (False, 3)
    assert found.started is not None
    assert found.ended is not None
    assert found.ended >= found.started
    assert any("config.json" in line for line in server.docker.attempt_log())
    stand_in = one(server.control)
    assert (stand_in.replica, stand_in.service) == (1, "server")
    assert stand_in.id != server.own
    fresh = server.afresh()  # a runner that died here is no loss
    fresh.stop()
    fresh.start_clean()
    fresh.start_clean()
    assert one(server.control).id == server.own
    found = server.until(lambda attempt: attempt.state == "running")
    assert found.clean


def test_one_that_serves_with_the_fault(server: Server) -> None:
    server.docker.stop()
    server.docker.start(StartOverride(model=broken_copy(server, whole=True), env={"A": "b"}))
    found = server.until(lambda attempt: attempt.state == "running")
    assert not found.clean
    assert inside(one(server.control), "t0k3n000")
    info = server.project.api.inspect_container(one(server.control).id)
    assert "A=b" in info["Config"]["Env"]
    [place] = server.control.attachments(one(server.control))
    assert set(place.aliases) == {"server", "server-1"}
    with pytest.raises(StackError, match="runs already"):
        server.docker.start(StartOverride())
    server.docker.start_clean()
    assert one(server.control).id == server.own
    assert server.docker.attempt().clean


def test_docker_itself_refuses_a_port_that_is_taken(server: Server) -> None:
    server.docker.stop()
    with socket.create_server(("127.0.0.1", server.port)):
        server.docker.start(StartOverride())
        found = server.docker.attempt()
        assert (found.state, found.clean) == ("exited", False)
        assert found.started is not None
        assert found.started == found.ended
        assert any("address already in use" in line for line in server.docker.attempt_log())
    server.docker.start_clean()
    assert server.until(lambda attempt: attempt.state == "running").clean


def test_a_crash_loop_is_the_policys(project: Project, tmp_path: Path) -> None:
    server = Server(project, tmp_path)
    server.docker.stop()
    server.docker.start(StartOverride(model=broken_copy(server)), restarts=True)
    server.until(lambda attempt: attempt.generation >= 3)
    server.docker.stop()
    server.docker.start_clean()
    assert server.until(lambda attempt: attempt.state == "running").clean


def test_a_stack_that_is_down(project: Project, tmp_path: Path) -> None:
    server = Server(project, tmp_path)
    assert server.docker.is_up()
    project.api.remove_container(server.own, force=True)
    assert not server.docker.is_up()
    assert server.docker.attempt().state == "stopped"
