"""A container's processes as processes of this machine: killed only if they are the container's.

A PID alone proves nothing: it is pinned with a pidfd first, then looked at, then signalled.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from vqchaos.stack.docker.cgroup import PROC, holds

Outcome = Literal["killed", "gone", "elsewhere", "forbidden"]


def kill_first(pid: int, container: str, same_start: Callable[[], bool]) -> Outcome:
    """SIGKILL to a container's first process. ``same_start`` asks Docker again whether it is still
    the one that was looked at. ``elsewhere``: no process of this machine is (a daemon in a virtual
    machine); ``forbidden``: it is another user's."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return "elsewhere" if same_start() else "gone"
    try:
        if not holds(pid, container):
            return "elsewhere" if same_start() else "gone"
        if not same_start():
            return "gone"
        signal.pidfd_send_signal(fd, signal.SIGKILL)
    except ProcessLookupError:
        return "gone"
    except PermissionError:
        return "forbidden"
    finally:
        os.close(fd)
    return "killed"


def kill_marked(container: str, mark: str, proc: Path = PROC) -> int | None:
    """SIGKILL to the container's processes whose environment holds ``mark``; how many it were. None
    where no process of this machine is the container's (a daemon in a virtual machine, or /proc
    hidden). Raises PermissionError where it found none, and an environment may not be read."""
    killed, hidden, here = 0, False, False
    for folder in proc.iterdir():
        if not folder.name.isdigit() or not holds(int(folder.name), container, proc):
            continue
        here = True
        try:
            fd = os.pidfd_open(int(folder.name))
        except OSError:
            continue
        try:
            marked = mark.encode() in (folder / "environ").read_bytes().split(b"\0")
            if marked and holds(int(folder.name), container, proc):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
                killed += 1
        except PermissionError:
            hidden = True
        except (ProcessLookupError, FileNotFoundError):
            continue
        finally:
            os.close(fd)
    if hidden and not killed:
        raise PermissionError("processes of another user")
    return killed if here else None
