"""The launcher: starts the server, restarts it, stops it, and writes down exactly when.

``python -m vqchaos.stack.local.launcher UP_FOLDER STACK_ID``, run by supervisord, which only keeps
it alive: supervisord has no limits on memory, no growing backoff and no way to suspend restarts.
It reads ``wish.json`` and answers in ``attempt.json``; it needs vqchaos for nothing, so the server
is supervised also when vqchaos is gone. Only the standard library and psutil.

A server that dies by itself leaves behind what it leaves behind: orphans are a finding of vqchaos,
so they are written down and not reaped. Only ``stop`` ends a whole group.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from vqchaos.stack.local import groups
from vqchaos.stack.local.state_files import (
    ATTEMPT,
    EVENTS,
    LOGS,
    MARK,
    WISH,
    read_json,
    write_json,
)

TICK = 0.025  # seconds between looks at the wish
# Seconds from SIGTERM to SIGKILL; the variable is for tests.
GRACE = float(os.environ.get("VQCHAOS_STOP_GRACE", "15"))
ORPHAN_GRACE = min(2.0, GRACE)  # seconds for the rest of the group after the API server
_BACKOFF_LIMIT = 60.0
_OBSERVE_EVERY = 1.0
_READY_EVERY = 0.25
_HOUSEKEEP_EVERY = 5.0
_LOGS_KEPT = 20
_LOG_LIMIT = 64 * 1024**2  # bytes; a log that outgrows it keeps its last mebibyte
_NOT_INHERITED = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "TMPDIR", "TEMP", "TMP")
_NOT_INHERITED_PREFIXES = ("SUPERVISOR_", "COVERAGE_", "COV_CORE_")


class Launcher:
    """One server at a time. ``up`` is the stack's folder, ``mark`` its ID."""

    def __init__(self, up: Path, mark: str) -> None:
        self.up = up
        self.mark = mark
        self.wish: dict[str, Any] = {"seq": 0, "running": False}
        self.attempt: dict[str, Any] = {"generation": 0, "state": "stopped", "seq": 0}
        self.groups: list[groups.Group] = []
        self.process: subprocess.Popen[bytes] | None = None
        self.pidfd: int | None = None
        self.failures = 0
        self.next_start = 0.0
        self.ending = False
        self._wish_stat: tuple[int, int] | None = None
        self._due = {"observe": 0.0, "ready": 0.0, "housekeep": 0.0}
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    # ------------------------------------------------------------ the loop

    def run(self) -> None:
        """Until SIGTERM; then the server is stopped too."""
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._on_signal)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        write_json(
            self.up / "launcher.json",
            {"pid": os.getpid(), "start_time": psutil.Process().create_time()},
        )
        self.take_over()
        while not self.ending:
            self.step()
            self.wait(TICK)
        self.end_server()
        self.update(state="stopped")

    def _on_signal(self, _signum: int, _frame: object) -> None:
        self.ending = True
        os.write(self._wake_write, b"x")

    def wait(self, seconds: float) -> None:
        """Sleep, but wake at once when the server exits."""
        watch = [self._wake_read, *([self.pidfd] if self.pidfd is not None else [])]
        select.select(watch, [], [], seconds)

    def take_over(self) -> None:
        """After an earlier launcher: end its server, whose exit code nobody can know now."""
        before = read_json(self.up / ATTEMPT)
        self.groups = groups.load(self.up)
        self.read_wish()
        if before is None:
            return
        self.attempt = before
        self.failures = int(before.get("failures", 0))
        strays = [g for g in self.groups if groups.is_alive(g.group, g.start_time)]
        for record in strays:
            self.end_group(record)
        unrecorded = [p for p in groups.marked_processes(self.mark) if self._leads(p)]
        groups.kill(unrecorded)  # started, but its launcher died before it wrote that down
        if before["state"] == "running":
            self.exited(None)
        same_wish = before["seq"] == self.wish["seq"] and self.wish["running"]
        if before["state"] == "stopped" and same_wish:  # the launcher alone was terminated
            self.start()

    def _leads(self, process: psutil.Process) -> bool:
        with contextlib.suppress(OSError):
            return os.getsid(process.pid) == process.pid and process.pid not in {
                g.group for g in self.groups
            }
        return False

    def step(self) -> None:
        """One look at the wish, the server and the clock."""
        self.read_wish()
        if self.wish["seq"] != self.attempt["seq"]:
            self.obey()
        now = time.monotonic()
        if self.process is not None and (code := self.process.poll()) is not None:
            self.exited(code)
        elif self.attempt["state"] == "waiting" and now >= self.next_start:
            self.start()
        if now >= self._due["ready"] and self.process and not self.attempt.get("ready"):
            self._due["ready"] = now + _READY_EVERY
            self.look_for_port()
        if now >= self._due["observe"]:
            self._due["observe"] = now + _OBSERVE_EVERY
            self.observe()
        if now >= self._due["housekeep"]:
            self._due["housekeep"] = now + _HOUSEKEEP_EVERY
            self.bound_log()

    def read_wish(self) -> None:
        """Read ``wish.json`` if it changed."""
        try:
            facts = (self.up / WISH).stat()
        except FileNotFoundError:
            return
        if self._wish_stat == (facts.st_ino, facts.st_mtime_ns):
            return
        wish = read_json(self.up / WISH)
        if wish is not None:
            self._wish_stat = (facts.st_ino, facts.st_mtime_ns)
            self.wish = wish

    def obey(self) -> None:
        """A new wish: whatever runs is ended, then the wish is begun."""
        self.failures = 0
        self.end_server()
        if self.wish["running"]:
            self.start()
        else:
            self.update(state="stopped", seq=self.wish["seq"])

    def update(self, **fields: Any) -> None:
        """Change ``attempt.json``."""
        self.attempt.update(fields, failures=self.failures)
        write_json(self.up / ATTEMPT, self.attempt)

    def event(self, event: str, **fields: Any) -> None:
        """Append to ``events.jsonl``: one write, one line."""
        line = json.dumps({"event": event, **fields}, separators=(",", ":")) + "\n"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        fd = os.open(self.up / EVENTS, flags, 0o600)
        try:
            os.write(fd, line.encode())
        finally:
            os.close(fd)

    # ------------------------------------------------------------ start

    def start(self) -> None:
        """Launch the server as the wish says, in a group and session of its own."""
        number = int(self.attempt["generation"]) + 1
        tmpdir = Path(self.wish["tmp"]) / str(number)
        tmpdir.mkdir(mode=0o700, parents=True, exist_ok=True)
        log = self.new_log(number)
        started = time.monotonic()
        base: dict[str, Any] = {
            "generation": number,
            "seq": self.wish["seq"],
            "clean": bool(self.wish["clean"]),
            "started": started,
            "ended": None,
            "exit_code": None,
            "ready": None,
            "log": str(log),
        }
        try:
            with log.open("ab") as output:
                self.process = subprocess.Popen(
                    self.wish["argv"],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=self.environment(tmpdir),
                    cwd=self.up,
                    start_new_session=True,
                    preexec_fn=self._limits,  # noqa: PLW1509 (the launcher has one thread)
                )
        except (OSError, subprocess.SubprocessError) as error:
            log.write_text(f"cannot start {self.wish['argv'][0]}: {error}\n", encoding="utf-8")
            self.attempt.update(base, pid=None)
            self.exited(127)
            return
        pid = self.process.pid
        created = psutil.Process(pid).create_time()
        self.groups.append(groups.Group(number, pid, pid, created, str(tmpdir)))
        groups.save(self.up, self.groups)
        self.update(**base, state="running", pid=pid, start_time=created, group=pid, session=pid)
        self.event(
            "started", role="server", pid=pid, start_time=created, group=pid, session=pid,
            mono=started, generation=number, clean=base["clean"],
        )  # fmt: skip
        with contextlib.suppress(OSError):
            self.pidfd = os.pidfd_open(pid)

    def environment(self, tmpdir: Path) -> dict[str, str]:
        """Defaults give way to what the user's environment says, the stack file's to nothing."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in _NOT_INHERITED and not name.startswith(_NOT_INHERITED_PREFIXES)
        }
        given = {**self.wish["defaults"], **inherited, **self.wish["env"]}
        return {**given, "TMPDIR": str(tmpdir), MARK: self.mark}

    def _limits(self) -> None:
        """In the child: protect the host from the server."""
        if self.wish["memory_limit"] is not None:
            limit = int(self.wish["memory_limit"])
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with contextlib.suppress(OSError):
            # If memory ends all the same, the kernel picks this one first.
            Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")

    def new_log(self, number: int) -> Path:
        """A file for this attempt; the oldest go."""
        folder = self.up / LOGS
        folder.mkdir(mode=0o700, exist_ok=True)
        for old in sorted(folder.glob("attempt-*.log"))[: -_LOGS_KEPT + 1]:
            old.unlink(missing_ok=True)
        return folder / f"attempt-{number:06d}.log"

    # ------------------------------------------------------------ while it runs

    def look_for_port(self) -> None:
        """Is the server itself, and no stranger, listening on its port? Then it has started."""
        assert self.process is not None
        port = self.wish["port"]
        with contextlib.suppress(psutil.Error):
            for found in psutil.Process(self.process.pid).net_connections("tcp"):
                if found.status == psutil.CONN_LISTEN and found.laddr.port == port:
                    self.failures = 0
                    self.update(ready=time.monotonic())
                    return

    def observe(self) -> None:
        """Write down who is in each group; drop groups of which nothing is left."""
        news = False
        for record in list(self.groups):
            news = groups.observe(record, self.mark) or news
            left = groups.existing_shm(record) or groups.tmp_entries(record)
            if record.gone and not left:
                groups.remove_files(record)  # empty folders
                self.groups.remove(record)
                news = True
        if news:
            groups.save(self.up, self.groups)

    def bound_log(self) -> None:
        """A log that grew too large keeps its end. The server appends, so it writes on."""
        log = self.attempt.get("log")
        if self.process is None or not log or Path(log).stat().st_size <= _LOG_LIMIT:
            return
        with Path(log).open("r+b") as file:
            file.seek(-(1024**2), os.SEEK_END)
            tail = file.read()
            file.truncate(0)
        with Path(log).open("ab") as file:
            file.write(b"[vqchaos: the beginning of this log was cut]\n" + tail)

    # ------------------------------------------------------------ end

    def exited(self, code: int | None) -> None:
        """The server ended by itself; what now is the policy's decision."""
        now = time.monotonic()
        self._record_exit(code, now)
        if not self.attempt.get("ready"):
            self.failures += 1
        wish = self.wish
        again = wish["running"] and (wish["clean"] or wish["restarts"])
        if wish["policy"] == "never" or (wish["policy"] == "on-failure" and code == 0):
            again = False
        if self.failures >= int(wish["limit"]):
            again = False
        if again:
            delay = float(wish["backoff"]) * 2 ** max(0, self.failures - 1)
            self.next_start = now + min(delay, max(_BACKOFF_LIMIT, float(wish["backoff"])))
        self.update(state="waiting" if again else "exited", ended=now, exit_code=code)

    def _record_exit(self, code: int | None, now: float) -> None:
        if self.attempt.get("pid") is not None:
            keys = ("pid", "start_time", "group", "session", "generation", "clean")
            known = {key: self.attempt.get(key) for key in keys}
            self.event("exited", role="server", **known, exit_code=code, mono=now)
        self.process = None
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None

    def end_server(self) -> None:
        """Stop the current attempt's server, if any, and wait until its whole group is gone."""
        pid = self.attempt.get("pid")
        for record in self.groups:
            if record.group == pid and record.attempt == self.attempt["generation"]:
                self.end_group(record)

    def end_group(self, record: groups.Group) -> None:
        """SIGTERM to the API server alone (a signal to all looks like a crash to clients), then
        SIGKILL to the group: once the grace is over, or soon after the API server is gone, since
        nobody is left then who would end the others."""
        groups.observe(record, self.mark)
        leader = groups.is_alive(record.group, record.start_time)
        deadline = time.monotonic() + (GRACE if leader else 0.0)
        if leader:
            with contextlib.suppress(ProcessLookupError):
                os.kill(record.group, signal.SIGTERM)
        while left := self._left(record):
            if leader and record.group not in {process.pid for process in left}:
                leader = False
                deadline = min(deadline, time.monotonic() + ORPHAN_GRACE)
            if time.monotonic() >= deadline:
                groups.kill(left)
            self.wait(TICK)
            time.sleep(0.005)  # the pidfd of an exited server stays readable
        self._left(record)
        groups.observe(record, self.mark)
        # As systemd does with PrivateTmp and RemoveIPC: an orderly stop leaves nothing. vLLM does
        # leave sockets and a semaphore; after a crash they stay, as a finding.
        groups.remove_files(record)
        groups.save(self.up, self.groups)

    def _left(self, record: groups.Group) -> list[psutil.Process]:
        mine = self.process is not None and self.process.pid == record.group
        if mine and self.process is not None and (code := self.process.poll()) is not None:
            now = time.monotonic()
            self._record_exit(code, now)
            self.update(ended=now, exit_code=code, state="exited")
        return groups.members(record, self.mark)


def main() -> None:
    """Run until told to end."""
    up, mark = sys.argv[1:]
    Launcher(Path(up), mark).run()


if __name__ == "__main__":
    main()
