"""Containers as Compose would make them, of a tiny image of the test's own: a static busybox.

No registry is asked for anything and Compose itself is not needed: its labels are what counts.
"""

from __future__ import annotations

import io
import secrets
import shutil
import socket
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import docker

from vqchaos.clock import RealClock, wait_until
from vqchaos.faults.base import Ticket
from vqchaos.stack.container_protocols import ContainerRef, ContainerState, DaemonRef
from vqchaos.stack.docker.client import Docker
from vqchaos.stack.docker.containers import DockerContainers

CLOCK = RealClock()
PATIENCE = 30.0
IMAGE = "vqchaos-test:busybox"
SERVES = ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]
# Fills its memory when it is told so (SIGUSR1) and dies of it: it is the largest process.
GREEDY = ["/bin/sh", "-c", "trap 'exec dd if=/dev/zero of=/dev/null bs=512M' USR1; " + SERVES[2]]
# Its first process holds 160 MiB: a pipe that nobody reads keeps it.
LARGE = [
    "/bin/sh",
    "-c",
    "mkfifo /tmp/pipe; sleep 100000 < /tmp/pipe & "
    "exec dd if=/dev/zero of=/tmp/pipe bs=160M count=1",
]
_APPLETS = "sh mkfifo sleep cat dd kill grep head env nslookup true"


def client() -> Any:
    """Raises where there is no daemon: these tests are asked for by name, and skip nothing."""
    return Docker(timeout=30.0).api


def make_image(api: Any) -> None:
    busybox = shutil.which("busybox")
    if busybox is None:
        raise RuntimeError("no static busybox: apt-get install busybox-static")
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for folder in ("bin", "etc", "tmp"):
            info = tarfile.TarInfo(folder)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
        tar.add(Path(busybox).resolve(), "bin/busybox")
        for applet in _APPLETS.split():
            info = tarfile.TarInfo(f"bin/{applet}")
            info.type, info.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(info)
    name, _, tag = IMAGE.partition(":")
    api.import_image_from_data(data.getvalue(), repository=name, tag=tag)


class Project:
    """A Compose project, as far as labels go. Everything with its label is removed at the end."""

    def __init__(self, api: Any) -> None:
        self.api = api
        self.name = f"vqlive{secrets.token_hex(3)}"
        self.labels = {"com.docker.compose.project": self.name}
        self.network = f"{self.name}_default"
        api.create_network(self.network, driver="bridge", labels=self.labels)

    def add(
        self,
        service: str = "server",
        number: int = 1,
        *,
        command: list[str] = SERVES,
        oneoff: bool = False,
        restart: str = "always",
        network: str | None = None,
        user: str | None = None,
        **host: Any,
    ) -> str:
        """Made and started; its id."""
        network = network or self.network
        labels = {
            **self.labels,
            "com.docker.compose.service": service,
            "com.docker.compose.container-number": str(number),
            "com.docker.compose.oneoff": str(oneoff),
        }
        policy = {"Name": restart, "MaximumRetryCount": 0}
        place = self.api.create_endpoint_config(aliases=[service, f"{service}-{number}"])
        own = {} if network == "host" else {network: place}
        made = self.api.create_container(
            IMAGE,
            command,
            user=user,
            labels=labels,
            ports=list(host.get("port_bindings", ())),
            name=f"{self.name}-{service}-{number}" + ("-run" if oneoff else ""),
            host_config=self.api.create_host_config(
                restart_policy=policy, network_mode=network, **host
            ),
            networking_config=self.api.create_networking_config(own),
        )
        self.api.start(made["Id"])
        return str(made["Id"])

    def control(self, **roles: list[str]) -> DockerContainers:
        return DockerContainers(self.name, roles or {"server": ["server"], "router": ["router"]})

    def remove(self) -> None:
        filters = {"label": f"com.docker.compose.project={self.name}"}
        for container in self.api.containers(all=True, filters=filters):
            with suppress(docker.errors.NotFound):
                self.api.remove_container(container["Id"], force=True)
        for network in self.api.networks(filters=filters):
            self.api.remove_network(network["Id"])


class World:
    """As much of ``faults.base.World`` as a container fault needs."""

    def __init__(self, containers: DockerContainers) -> None:
        self.clock = RealClock()
        self.containers = containers

    def daemon(self) -> DaemonRef | None:
        return self.containers.identity()


@contextmanager
def relay(target: str) -> Iterator[str]:
    """The daemon behind a TCP port: as a daemon elsewhere is reached. Yields its DOCKER_HOST."""
    lines: list[socket.socket] = []

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def accept() -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(target)
            lines.extend((near, far))
            for pair in ((near, far), (far, near)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        acceptor = threading.Thread(target=accept, daemon=True)
        acceptor.start()
        try:
            yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            acceptor.join(10)
            for line in lines:
                with suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)
                line.close()


def one(control: DockerContainers, role: str = "server") -> ContainerRef:
    [ref] = control.find(role)
    return ref


def started_anew(control: DockerContainers, ref: ContainerRef, before: ContainerState) -> bool:
    def anew() -> bool:
        now = control.state(ref)
        return now.status == "running" and now.started != before.started

    return wait_until(anew, PATIENCE, CLOCK)


def inside(ref: ContainerRef, word: str) -> list[int]:
    """The container's processes, as this machine sees them, that have the word in their line."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                line = (folder / "cmdline").read_bytes().decode("utf-8", "replace")
                if word in line and ref.id in (folder / "cgroup").read_text():
                    found.append(int(folder.name))
            except OSError:
                continue
    return found


def ticket() -> Ticket:
    token = secrets.token_hex(4)
    return Ticket("20261101T000000Z-live-0000", 0, token, CLOCK.wall() + 120.0, seed=7)
