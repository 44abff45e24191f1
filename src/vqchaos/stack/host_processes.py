"""Processes of this machine: whether they live, and signals to none but the very one."""

from __future__ import annotations

import contextlib
import os
import signal as signals
from collections.abc import Iterator
from typing import Literal

import psutil

from vqchaos.errors import StackError
from vqchaos.stack.local import groups
from vqchaos.stack.protocols import ProcessRef


class HostProcesses:
    """The half of ``protocols.ProcessControl`` that is the same wherever the processes belong."""

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
            signals.pidfd_send_signal(fd, signum)
        except ProcessLookupError:
            return False
        except PermissionError as error:
            raise StackError(
                f"process {ref.pid} ({ref.role}) belongs to another user",
                hint="run vqchaos as its user, or as root",
            ) from error
        finally:
            os.close(fd)
        return True


def reference(pid: int, role: str | None = None) -> ProcessRef | None:
    """The process as it is now; None if it is gone. ``role``: default by its title."""
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


def below(pid: int, role: str) -> Iterator[ProcessRef]:
    """The processes of that role among a process's descendants."""
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(pid).children(recursive=True):
            ref = reference(child.pid)
            if ref is not None and ref.role == role:
                yield ref
