"""The processes inside the stack's containers, as this machine numbers them."""

from __future__ import annotations

from collections.abc import Mapping

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
        firsts = self._first_processes(_CONTAINER.get(role, "server"))
        if role in _CONTAINER:
            return [ref for pid in firsts if (ref := reference(pid, role)) is not None]
        return [ref for pid in firsts for ref in below(pid, role)]

    def _first_processes(self, role: str) -> list[int]:
        states = [self._containers.state(ref) for ref in self._containers.find(role)]
        return [state.pid for state in states if state.pid]
