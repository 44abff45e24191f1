"""The runner's side of the watchdog: a process of its own that reverts when the runner cannot.

The two are tied by a pipe. Its end tells the watchdog of the runner's death at once; silence for
``SILENCE`` seconds, or a run that is far over its time, tells it of a runner that hangs.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, Self

import psutil

import vqchaos
from vqchaos.errors import VqchaosError
from vqchaos.ledger import Ledger
from vqchaos.stack.local.groups import start_time_of
from vqchaos.stack.opening import AnyStack, recipe

BEAT = 5.0  # seconds between two signs of life
SILENCE = 30.0  # seconds without one, and the runner counts as hung
START = 30.0  # seconds for a loaded machine without compiled modules
# By these a CI server knows a job's processes, to kill them when the job ends. The watchdog has to
# outlive the job by the seconds that an undo takes, so it does not carry them.
CI_MARKERS = frozenset(
    {
        "BUILD_ID",
        "JENKINS_NODE_COOKIE",
        "JENKINS_SERVER_COOKIE",
        "HUDSON_COOKIE",
        "HUDSON_SERVER_COOKIE",
        "RUNNER_TRACKING_ID",
        "VSTS_PROCESS_LOOKUP_ID",
    }
)


class Guard(Protocol):
    """What a run tells whoever guards it."""

    def run_begins(self, folder: Path, longest: float) -> None:
        """``longest``: seconds after which this run hangs."""

    def ensure(self) -> str:
        """It is on guard when this returns; a line for the history."""

    def run_over(self) -> None: ...


class NoGuard:
    """Nobody guards. ``why`` is for the history."""

    def __init__(self, why: str = "no watchdog guards this run") -> None:
        self._why = why

    def run_begins(self, folder: Path, longest: float) -> None: ...

    def ensure(self) -> str:
        return self._why

    def run_over(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


class Watchdog:
    """Starts at once and is on guard when ``ensure`` returns; a watchdog that died is replaced."""

    def __init__(self, stack: AnyStack, *, silence: float = SILENCE, beat: float = BEAT) -> None:
        self._stack = stack
        self._silence = silence
        self._beat = beat
        self._lock = threading.RLock()  # around all that the two threads do with the pipe
        self._pipe = -1
        self._answer = -1
        self._pid: int | None = None
        self._run: dict[str, Any] | None = None
        self._over = threading.Event()
        self._spawn()
        threading.Thread(target=self._beats, name="watchdog-beat", daemon=True).start()

    # ------------------------------------------------------------ for the runner

    def run_begins(self, folder: Path, longest: float) -> None:
        until = time.monotonic() + longest
        self._run = {"run": str(folder.resolve()), "until": until}
        self._say(self._run)

    def ensure(self) -> str:
        """Raises VqchaosError if none can be started."""
        with self._lock:
            if self._pid is not None and not _lives(self._pid):
                self._respawn()
            if self._pid is None:
                self._pid = self._await_ready()
            return f"watchdog: process {self._pid}"

    def run_over(self) -> None:
        self._run = None
        self._say({"run": None, "until": None})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """It is gone when this returns; unless something went so wrong that faults may be in force
        and this process ends: then it stays, and reverts."""
        self._over.set()
        left_by_error = kind is not None and not issubclass(kind, (VqchaosError, OSError))
        if not (left_by_error and Ledger(self._stack.state_dir).in_force()):
            self._say({"end": True})
        pid = self._pid
        with self._lock:
            self._close()
        if pid is not None and not left_by_error:
            _gone(pid, 5.0)

    # ------------------------------------------------------------ inside

    def _spawn(self) -> None:
        me = psutil.Process()
        job = {
            "stack": recipe(self._stack),
            "pid": me.pid,
            "start_time": me.create_time(),
            "silence": self._silence,
        }
        folder = self._stack.state_dir
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        log = os.open(folder / "watchdog.log", flags, 0o600)
        theirs, self._pipe = os.pipe()
        self._answer, answer = os.pipe()
        try:
            subprocess.run(
                [sys.executable, "-P", "-m", "vqchaos.runner.watchdog_process"],
                stdin=theirs,
                stdout=answer,
                stderr=log,
                start_new_session=True,
                env=environment(os.environ),
                cwd="/",
                check=True,
                timeout=START,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise VqchaosError(
                f"the watchdog could not be started: {error}", hint="see --no-watchdog"
            ) from error
        finally:
            for fd in (log, theirs, answer):
                os.close(fd)
        self._say(job)
        if self._run is not None:
            self._say(self._run)

    def _await_ready(self) -> int:
        readable, _, _ = select.select([self._answer], [], [], START)
        said = os.read(self._answer, 100).decode("ascii", "replace") if readable else ""
        if not said.startswith("ready "):
            raise VqchaosError(
                "the watchdog did not start, and nothing is injected without one",
                hint=f"see {self._stack.state_dir}/watchdog.log, or run with --no-watchdog",
            )
        return int(said.split()[1])

    def _say(self, line: Mapping[str, Any]) -> bool:
        with self._lock, contextlib.suppress(OSError):
            os.write(self._pipe, json.dumps(line).encode() + b"\n")
            return True
        return False

    def _beats(self) -> None:
        while not self._over.wait(self._beat):
            if not self._say({"beat": True}) and not self._over.is_set():
                with contextlib.suppress(VqchaosError, OSError):
                    self._respawn()

    def _respawn(self) -> None:
        with self._lock:
            if self._pid is not None and _lives(self._pid) and self._say({"beat": True}):
                return  # the other thread was here first
            self._close()
            self._pid = None
            self._spawn()
            self._pid = self._await_ready()

    def _close(self) -> None:
        for fd in (self._pipe, self._answer):
            if fd >= 0:
                with contextlib.suppress(OSError):
                    os.close(fd)
        self._pipe = self._answer = -1


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """The watchdog's: the user's own, since a ``revert`` command may need it, without what would
    get it killed with the job."""
    root = str(Path(vqchaos.__file__).parent.parent)
    path = [root, *filter(None, [given.get("PYTHONPATH")])]
    kept = {name: value for name, value in given.items() if name not in CI_MARKERS}
    return {**kept, "PYTHONPATH": os.pathsep.join(path)}


def _lives(pid: int) -> bool:
    """A zombie does not: where PID 1 reaps no orphans (many containers), a dead one stays."""
    return start_time_of(pid) is not None


def _gone(pid: int, timeout: float) -> None:
    with contextlib.suppress(OSError):
        fd = os.pidfd_open(pid)
        try:
            select.select([fd], [], [], timeout)
        finally:
            os.close(fd)
