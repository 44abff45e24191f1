"""The process groups that the launcher started, and what of them is still there.

Each server leads a group and session of its own. When it is killed, its engine core, worker and
resource tracker live on without a parent, with a changed title and without their environment: the
group and session, and what was written down while they were seen alive, are what tells them from
strangers. Only the standard library and psutil: the launcher imports this.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from vqchaos.stack.environ import carriers, variable
from vqchaos.stack.local.state_files import GROUPS, MARK, read_json, write_json
from vqchaos.text import one_line

# psutil's create_time is wall time derived from the boot time, which the kernel rounds to whole
# seconds and NTP moves: two readings of one process may differ by a second.
SAME_START = 1.5
SHM = Path("/dev/shm")  # noqa: S108 (where POSIX shared memory lives)
_TITLE = re.compile(r"^VLLM::(EngineCore|Worker)")


@dataclass(slots=True)
class Group:
    """One server's group. ``processes``: PID → [start time, role, title]. ``shm``: name → inode.

    ``gone``: it was seen empty, so its number may belong to a stranger by now.
    """

    attempt: int
    group: int
    session: int
    start_time: float
    tmpdir: str
    processes: dict[str, list[Any]] = field(default_factory=dict)
    shm: dict[str, int] = field(default_factory=dict)
    gone: bool = False


def load(up: Path) -> list[Group]:
    """All groups on record, oldest first."""
    data = read_json(up / GROUPS) or {}
    groups = []
    for item in data.get("groups", []):
        with contextlib.suppress(TypeError):
            groups.append(Group(**item))
    return groups


def save(up: Path, groups: Iterable[Group]) -> None:
    """Write them down in one step."""
    write_json(up / GROUPS, {"groups": [asdict(group) for group in groups]})


def title_of(process: psutil.Process) -> str:
    """The command line, or the title that the process gave itself."""
    return one_line(" ".join(process.cmdline()).strip() or process.name(), 200)


def role_of(title: str) -> str:
    """``engine``, ``worker``, ``tracker``, or ``other``."""
    match = _TITLE.match(title)
    if match:
        return "engine" if match[1] == "EngineCore" else "worker"
    return "tracker" if "resource_tracker" in title else "other"


def start_time_of(pid: int) -> float | None:
    """When the process was created, Unix seconds; None if it is gone or a zombie."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return process.create_time()
    except psutil.Error:
        return None


def is_alive(pid: int, start_time: float) -> bool:
    """Is that very process alive? A zombie is not."""
    found = start_time_of(pid)
    return found is not None and abs(found - start_time) < SAME_START


def in_group(group: int, session: int) -> list[psutil.Process]:
    """Everything alive in the group and session, whoever it is."""
    found = []
    for pid in psutil.pids():
        try:
            if os.getpgid(pid) != group or os.getsid(pid) != session:
                continue
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (OSError, psutil.Error):
            continue
    return found


def members(record: Group, mark: str) -> list[psutil.Process]:
    """The live processes of a group on record.

    The kernel gives a group's number to nobody else while one member lives, so one member that is
    known makes all of them ours; without one, each must show a mark or a title of its own.
    """
    found = in_group(record.group, record.session)
    if record.gone or not found:
        return []
    if any(_known(process, record) for process in found):
        return found
    return [process for process in found if variable(process.pid, MARK) == mark or _titled(process)]


def _known(process: psutil.Process, record: Group) -> bool:
    with contextlib.suppress(psutil.Error):
        if process.pid == record.group:
            return abs(process.create_time() - record.start_time) < SAME_START
        seen = record.processes.get(str(process.pid))
        return seen is not None and abs(process.create_time() - float(seen[0])) < SAME_START
    return False


def _titled(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.uids().real == os.getuid() and bool(_TITLE.match(title_of(process)))
    return False


def marked_processes(mark: str) -> list[psutil.Process]:
    """Everything alive that carries this stack's mark in its environment."""
    return [process for process in carriers(MARK, {mark}) if process.pid != os.getpid()]


def observe(record: Group, mark: str) -> bool:
    """Write down the group's processes and shared memory as they are now; True if that is news."""
    before = (len(record.processes), len(record.shm), record.gone)
    found = members(record, mark)
    for process in found:
        with contextlib.suppress(psutil.Error):
            title = title_of(process)
            role = "server" if process.pid == record.group else role_of(title)
            known = record.processes.get(str(process.pid))
            if known is None or known[1:] != [role, title]:
                record.processes[str(process.pid)] = [process.create_time(), role, title]
                before = (-1, -1, False)
        for name in shared_memory_of(process.pid):
            with contextlib.suppress(OSError):
                record.shm.setdefault(name, (SHM / name).stat().st_ino)
    record.gone = record.gone or not found
    return before != (len(record.processes), len(record.shm), record.gone)


def shared_memory_of(pid: int) -> set[str]:
    """Names below /dev/shm that the process maps or holds open.

    By inode: glibc maps a semaphore under a temporary name that is deleted at once, while the
    semaphore stays under its own.
    """
    inodes = set()
    with contextlib.suppress(OSError), Path(f"/proc/{pid}/maps").open(encoding="utf-8") as maps:
        for line in maps:
            fields = line.split(maxsplit=5)
            if len(fields) == 6 and fields[5].startswith(f"{SHM}/"):
                inodes.add(int(fields[4]))
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if str(entry.readlink()).startswith(f"{SHM}/"):
                    inodes.add(entry.stat().st_ino)
    if not inodes:
        return set()
    with contextlib.suppress(OSError):
        return {entry.name for entry in os.scandir(SHM) if entry.inode() in inodes}
    return set()


def existing_shm(record: Group) -> list[str]:
    """The group's shared memory that is still there: the same file, not one of the same name."""
    left = []
    for name, inode in record.shm.items():
        with contextlib.suppress(OSError):
            if (SHM / name).stat().st_ino == inode:
                left.append(name)
    return left


def tmp_entries(record: Group) -> list[Path]:
    """Files and sockets in the group's TMPDIR; empty folders do not count."""
    found = []
    for folder, _, files in os.walk(record.tmpdir):
        found += [Path(folder) / name for name in files]
    return found


def kill(processes: Iterable[psutil.Process], signum: int = signal.SIGKILL) -> None:
    """Signal each; psutil refuses where the PID is another process by now."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(signum)


def remove_files(record: Group) -> None:
    """The group's shared memory and TMPDIR; its processes must be gone."""
    for name in existing_shm(record):
        with contextlib.suppress(OSError):
            (SHM / name).unlink()
    shutil.rmtree(record.tmpdir, ignore_errors=True)
