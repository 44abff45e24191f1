"""The stack's processes: exact starts and exits from the launcher's file, and what is found below
the server: engine core, worker, resource tracker, and whether one is stopped (SIGSTOP).

Cheap: known processes cost one small read of /proc each; the search for new ones goes over the
process table once a second, more often while a server is coming up or something has just died.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqchaos.history.events import Event, ProcessExited, ProcessStarted, ProcessStopped
from vqchaos.jsonlines import objects
from vqchaos.probes.protocols import Emit, Ticker

PROC = Path("/proc")
_SEARCH_EVERY = 1.0
_SETTLING = 90.0  # seconds after a start during which every tick looks for new processes
_LAUNCHER_GRACE = 2.0  # the launcher's word on an exit is exact: wait for it
_TITLE_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Stat:
    """What /proc/PID/stat says. ``start`` is in clock ticks after boot."""

    state: str
    parent: int
    group: int
    session: int
    start: int


@dataclass(slots=True)
class Known:
    """A process that is being watched."""

    pid: int
    role: str
    start: int
    stopped: bool = False
    by_launcher: bool = False
    missing_since: float | None = None


def read_stat(pid: int) -> Stat | None:
    """None if there is no such process, or only its zombie."""
    try:
        text = (PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    fields = text[text.rfind(b")") + 2 :].split()
    state = fields[0].decode()
    if state in "ZXx":
        return None
    return Stat(state, int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]))


def title_of(pid: int) -> str:
    """The process title; empty if it is gone."""
    try:
        text = (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return ""
    return text.replace(b"\0", b" ").decode("utf-8", "replace").strip()[:_TITLE_LIMIT]


def role_of(title: str) -> str | None:
    """engine, worker or tracker, by its title; None for anything else."""
    if title.startswith("VLLM::EngineCore"):
        return "engine"
    if title.startswith("VLLM::Worker"):
        return "worker"
    if "multiprocessing.resource_tracker" in title:
        return "tracker"
    return None


def process_table() -> dict[int, Stat]:
    """All processes of this machine."""
    table: dict[int, Stat] = {}
    for name in os.listdir(PROC):  # noqa: PTH208 (a Path for each would cost more than the read)
        if name.isdigit() and (stat := read_stat(int(name))) is not None:
            table[int(name)] = stat
    return table


def below(root: int, table: dict[int, Stat]) -> Iterator[int]:
    """The descendants of a process."""
    children: dict[int, list[int]] = {}
    for pid, stat in table.items():
        children.setdefault(stat.parent, []).append(pid)
    seen, waiting = {root}, [root]
    while waiting:
        for pid in children.get(waiting.pop(), []):
            if pid not in seen:
                seen.add(pid)
                waiting.append(pid)
                yield pid


def create_time(pid: int) -> float:
    """Unix seconds, by the same reckoning as everywhere else; 0 if it is gone."""
    import psutil  # noqa: PLC0415 (only where there are processes to watch)

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0


class LauncherFile:
    """Follows the launcher's ``events.jsonl``, also through truncation and replacement."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode: int | None = None
        self._offset = 0

    def read(self) -> list[dict[str, Any]]:
        """The whole lines that are new."""
        try:
            with self._path.open("rb") as file:
                facts = os.fstat(file.fileno())
                if facts.st_ino != self._inode or facts.st_size < self._offset:
                    self._inode, self._offset = facts.st_ino, 0
                if facts.st_size == self._offset:
                    return []
                file.seek(self._offset)
                data = file.read()
        except OSError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return objects(whole)


class ProcessWatch:
    """Emits ProcessStarted, ProcessExited and ProcessStopped. ``origin``: raw monotonic t = 0."""

    def __init__(
        self,
        *,
        events: str,
        interval: float,
        origin: float,
        emit: Emit,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file = LauncherFile(Path(events))
        self._interval = interval
        self._origin = origin
        self._emit = emit
        self._now = now
        self._known: dict[int, Known] = {}
        # Seen once: pid → ((role, start), when).
        self._candidates: dict[int, tuple[tuple[str, int], float]] = {}
        self._server: int | None = None
        self._first = True
        self._next_search = 0.0
        self._eager_until = 0.0

    async def run(self) -> None:
        """Until cancelled."""
        ticker = Ticker(self._interval)
        while True:
            # In a thread: reading the title of a process that is just dying can block.
            for event in await asyncio.to_thread(self.look):
                self._emit(event)
            await ticker.tick()

    def look(self) -> list[Event]:
        """One look at the launcher's file and at the processes."""
        found: list[Event] = []
        self._read_launcher(found)
        self._check_known(found)
        now = self._now()
        if self._server is not None and (now >= self._next_search or now < self._eager_until):
            self._next_search = now + _SEARCH_EVERY
            self._search(found)
        return found

    # ------------------------------------------------------------ the launcher's word

    def _read_launcher(self, found: list[Event]) -> None:
        records = [r for r in self._file.read() if isinstance(r.get("pid"), int)]
        if self._first:  # of what was before this run, only who is there now counts
            self._first = False
            current: dict[str, dict[str, Any]] = {}
            for record in records:
                role = str(record.get("role", "server"))
                if record.get("event") == "started":
                    current[role] = record
                elif record.get("event") == "exited":
                    current.pop(role, None)
            records = [r for r in current.values() if read_stat(r["pid"]) is not None]
        for record in records:
            if record.get("event") == "started":
                self._started(record, found)
            elif record.get("event") == "exited":
                self._exited(record, found)

    def _started(self, record: dict[str, Any], found: list[Event]) -> None:
        pid, role = record["pid"], str(record.get("role", "server"))
        found.append(
            ProcessStarted(
                t=self._moment(record),
                role=role,
                pid=pid,
                start_time=_number(record.get("start_time")) or 0.0,
                group=_whole(record.get("group")),
                session=_whole(record.get("session")),
                title=title_of(pid),
                source="launcher",
            )
        )
        stat = read_stat(pid)
        self._known[pid] = Known(pid, role, stat.start if stat else -1, by_launcher=True)
        if role == "server":
            self._server = pid
            self._eager_until = self._now() + _SETTLING

    def _exited(self, record: dict[str, Any], found: list[Event]) -> None:
        pid = record["pid"]
        if self._known.pop(pid, None) is None:
            return  # said already, when the launcher had not
        found.append(
            ProcessExited(
                t=self._moment(record),
                role=str(record.get("role", "server")),
                pid=pid,
                exit_code=_whole(record.get("exit_code")),
                source="launcher",
            )
        )
        if pid == self._server:
            self._server = None

    def _moment(self, record: dict[str, Any]) -> float:
        """When it happened; for what was there before the run, now."""
        now = self._now() - self._origin
        mono = _number(record.get("mono"))
        moment = mono - self._origin if mono is not None else now
        return moment if 0.0 <= moment <= now else now

    # ------------------------------------------------------------ our own eyes

    def _check_known(self, found: list[Event]) -> None:
        now = self._now()
        for known in list(self._known.values()):
            stat = read_stat(known.pid)
            t = self._now() - self._origin
            if stat is None or (known.start >= 0 and stat.start != known.start):
                if known.by_launcher:
                    known.missing_since = known.missing_since or now
                    if now - known.missing_since < _LAUNCHER_GRACE:
                        continue
                del self._known[known.pid]
                found.append(ProcessExited(t=t, role=known.role, pid=known.pid))
                self._eager_until = max(self._eager_until, now + _SEARCH_EVERY)
                continue
            stopped = stat.state in "Tt"
            if stopped != known.stopped:
                known.stopped = stopped
                found.append(ProcessStopped(t=t, role=known.role, pid=known.pid, stopped=stopped))

    def _search(self, found: list[Event]) -> None:
        """New processes below the server, each seen twice with the same title: one that was just
        forked still carries its parent's."""
        assert self._server is not None
        table = process_table()
        before, self._candidates = self._candidates, {}
        for pid in below(self._server, table):
            if pid in self._known or (role := role_of(title := title_of(pid))) is None:
                continue
            stat = table[pid]
            candidate = (role, stat.start)
            earlier, t = before.get(pid, (None, self._now() - self._origin))
            if earlier != candidate:
                self._candidates[pid] = (candidate, t)
                continue
            self._known[pid] = Known(pid, role, stat.start)
            found.append(
                ProcessStarted(
                    t=t,
                    role=role,
                    pid=pid,
                    start_time=create_time(pid),
                    group=stat.group,
                    session=stat.session,
                    title=title,
                )
            )
        if self._candidates:
            self._eager_until = max(self._eager_until, self._now() + _SEARCH_EVERY)
            return
        if {"engine", "tracker"} <= {known.role for known in self._known.values()}:
            self._eager_until = min(self._eager_until, self._now() + _SEARCH_EVERY)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) else None
