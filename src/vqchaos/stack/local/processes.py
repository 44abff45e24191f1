"""The stack's own processes, found below its current server and by its supervisor."""

from __future__ import annotations

from vqchaos.stack.host_processes import HostProcesses, below, reference
from vqchaos.stack.local.control import LocalServer
from vqchaos.stack.local.supervisor import Supervisor
from vqchaos.stack.protocols import ProcessRef

ROLES = ("server", "engine", "worker", "tracker", "proxy")


class LocalProcesses(HostProcesses):
    """Implements ``protocols.ProcessControl``."""

    def __init__(self, server: LocalServer | None, supervisor: Supervisor) -> None:
        self._server = server
        self._supervisor = supervisor

    def find(self, role: str) -> list[ProcessRef]:
        if role == "proxy":
            pid = self._supervisor.pid_of("toxiproxy")
            ref = reference(pid, "proxy") if pid is not None else None
            return [] if ref is None else [ref]
        server = self._server.process() if self._server is not None else None
        if server is None:
            return []
        if role == "server":
            ref = reference(server.pid, "server")
            return [] if ref is None else [ref]
        return list(below(server.pid, role))
