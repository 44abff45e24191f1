"""The processes inside the stack's containers, as this machine numbers them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import PurePath

import psutil

from vqchaos.errors import CapabilityMissing
from vqchaos.stack.container_protocols import ContainerControl
from vqchaos.stack.docker.cgroup import holds
from vqchaos.stack.host_processes import HostProcesses, below, reference
from vqchaos.stack.protocols import ProcessRef

_INITS = ("docker-init", "tini", "dumb-init")
_CONTAINER: Mapping[str, str] = {"server": "server", "router": "router", "proxy": "proxy"}


class DockerProcesses(HostProcesses):
    """Implements ``protocols.ProcessControl`` for a daemon of this machine: a role that is a
    container's is its first process that is no init, any other is found below the servers'.
    ``holds`` is for tests: whether a process of this machine is the container's."""

    def __init__(
        self, containers: ContainerControl, holds: Callable[[int, str], bool] = holds
    ) -> None:
        self._containers = containers
        self._holds = holds

    def find(self, role: str) -> list[ProcessRef]:
        found = []
        for container in self._containers.find(_CONTAINER.get(role, "server")):
            pid = self._containers.state(container).pid
            if pid is None:
                continue
            if not self._holds(pid, container.id):
                if self._containers.state(container).pid != pid:
                    continue  # it ended meanwhile
                raise CapabilityMissing(
                    f"{container.name}: the daemon's processes are not of this machine (a virtual "
                    "machine? another PID namespace?)",
                    hint="run vqchaos where the daemon runs",
                )
            if role in _CONTAINER:
                first = reference(_past_init(pid), role)
                refs = [] if first is None else [first]
            else:
                refs = list(below(pid, role))
            found += [replace(ref, replica=container.replica) for ref in refs]
        return found


def _past_init(pid: int) -> int:
    """An init only hands signals on and reaps: the program is its child."""
    with contextlib.suppress(psutil.Error, IndexError):
        process = psutil.Process(pid)
        if PurePath(process.cmdline()[0]).name in _INITS:
            return process.children()[0].pid
    return pid
