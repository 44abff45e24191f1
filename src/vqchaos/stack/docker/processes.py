"""The processes inside the stack's containers, as this machine numbers them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from vqchaos.stack.container_protocols import ContainerControl
from vqchaos.stack.host_processes import HostProcesses, below, reference
from vqchaos.stack.protocols import ProcessRef

_CONTAINER: Mapping[str, str] = {"server": "server", "router": "router", "proxy": "proxy"}


class DockerProcesses(HostProcesses):
    """Implements ``protocols.ProcessControl`` for a daemon of this machine: a role that is a
    container's is its first process, any other is found below the servers'."""

    def __init__(self, containers: ContainerControl) -> None:
        self._containers = containers

    def find(self, role: str) -> list[ProcessRef]:
        found = []
        for container in self._containers.find(_CONTAINER.get(role, "server")):
            pid = self._containers.state(container).pid
            if pid is None:
                continue
            if role in _CONTAINER:
                first = reference(pid, role)
                refs = [] if first is None else [first]
            else:
                refs = list(below(pid, role))
            found += [replace(ref, replica=container.replica) for ref in refs]
        return found
