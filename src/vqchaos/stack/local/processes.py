"""The stack's own processes, found below its current server and by its supervisor."""

from __future__ import annotations

import contextlib
import os
from typing import Literal

import psutil

from vqchaos.stack.local import groups
from vqchaos.stack.local.control import LocalServer
from vqchaos.stack.local.supervisor import Supervisor
from vqchaos.stack.protocols import ProcessRef

ROLES = ("server", "engine", "worker", "tracker", "proxy")


class LocalProcesses:
    """Implements ``protocols.ProcessControl``."""

    def __init__(self, server: LocalServer | None, supervisor: Supervisor) -> None:
        self._server = server
        self._supervisor = supervisor

    def find(self, role: str) -> list[ProcessRef]:
        if role == "proxy":
            pid = self._supervisor.pid_of("toxiproxy")
            found = [_ref(pid, "proxy")] if pid is not None else []
            return [ref for ref in found if ref is not None]
        server = self._server.process() if self._server is not None else None
        if server is None:
            return []
        if role == "server":
            ref = _ref(server.pid, "server")
            return [ref] if ref is not None else []
        with contextlib.suppress(psutil.Error):
            below = [_ref(child.pid, None) for child in server.children(recursive=True)]
            return [ref for ref in below if ref is not None and ref.role == role]
        return []

    def status(self, ref: ProcessRef) -> Literal["running", "stopped", "gone"]:
        try:
            process = psutil.Process(ref.pid)
            if abs(process.create_time() - ref.start_time) >= groups.SAME_START:
                return "gone"
            status = process.status()
        except psutil.Error:
            return "gone"
        if status in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return "gone"
        stopped = status in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
        return "stopped" if stopped else "running"

    def signal(self, ref: ProcessRef, signum: int) -> bool:
        try:  # the descriptor pins the process; what is checked after it is what is signalled
            fd = os.pidfd_open(ref.pid)
        except OSError:
            return False
        try:
            if self.status(ref) == "gone":
                return False
            _pidfd_send_signal(fd, signum)
        except ProcessLookupError:
            return False
        finally:
            os.close(fd)
        return True


def _pidfd_send_signal(fd: int, signum: int) -> None:
    import signal  # noqa: PLC0415 (its name is a method's here)

    signal.pidfd_send_signal(fd, signum)


def _ref(pid: int, role: str | None) -> ProcessRef | None:
    with contextlib.suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        title = groups.title_of(process)
        return ProcessRef(
            pid=pid,
            start_time=process.create_time(),
            role=role or groups.role_of(title),
            group=os.getpgid(pid),
            session=os.getsid(pid),
            title=title,
        )
    return None
