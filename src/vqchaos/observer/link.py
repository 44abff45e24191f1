"""The runner's side of the observer process."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import vqchaos
from vqchaos.errors import VqchaosError
from vqchaos.history.coding import decode
from vqchaos.history.events import Event
from vqchaos.observer.config import ObserverConfig
from vqchaos.text import one_line

START_TIMEOUT = 30.0  # a loaded machine without compiled modules
_TAIL = 2000


@dataclass(frozen=True, slots=True)
class Status:
    """The latest the observer said of its load, ten times a second."""

    in_flight: int = 0
    streaming: int = 0
    paused: bool = True
    t: float = 0.0
    flights: Mapping[str, int] = field(default_factory=dict)  # in flight, by workload


class ObserverLink:
    """Spawns the observer and talks to it. ``on_event`` is called from a reader thread, in order.

    Every wait is bounded. All methods but ``stop`` and the properties raise VqchaosError once the
    observer died, with the end of what it said on standard error.
    """

    def __init__(
        self,
        config: ObserverConfig,
        on_event: Callable[[Event], None],
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """``check`` is called during every wait, and may end it by raising (a Ctrl-C)."""
        self._config = config
        self._check = check
        self._on_event = on_event
        self._changed = threading.Condition()
        self._status = Status()
        self._said: dict[str, dict[str, Any]] = {}  # the latest control line of each type
        self._counts: dict[str, int] = {}
        self._tokens: dict[int, dict[str, Any]] = {}
        self._asked = 0
        self._problem: BaseException | None = None  # what on_event raised
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._errors: IO[bytes] | None = None
        self._ended = False  # its output has ended

    # ------------------------------------------------------------ life

    def start(self, timeout: float = START_TIMEOUT) -> None:
        """Spawn it and wait until its probes run. The load waits for ``start_load``.

        Raises UsageError for a file of prompts, offsets or golden answers that is wrong.
        """
        line = self._config.job().dumps().encode() + b"\n"
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed by stop)
        root = str(Path(vqchaos.__file__).parent.parent)
        inherited = os.environ.get("PYTHONPATH")
        path = root + (os.pathsep + inherited if inherited else "")
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "vqchaos.observer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        self._reader = threading.Thread(target=self._read, name="observer", daemon=True)
        self._reader.start()
        self._write(line)
        if not self._await("ready", 1, timeout):
            self.stop(timeout=1.0)
            raise VqchaosError(f"the observer was not ready within {timeout:.0f} s")

    def stop(self, timeout: float = 10.0) -> bool:
        """End what is in flight as ``cancelled``, take every event in, end the process. True if it
        ended by itself, well. Never raises; idempotent."""
        process, reader = self._process, self._reader
        if process is None or reader is None:
            return True
        deadline = time.monotonic() + timeout
        with contextlib.suppress(VqchaosError, OSError, ValueError):
            self._send(cmd="stop")
        with contextlib.suppress(OSError):
            assert process.stdin is not None
            process.stdin.close()
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join(max(1.0, deadline - time.monotonic()))
        if process.stdout is not None and not reader.is_alive():
            process.stdout.close()
        if self._errors is not None and not self._errors.closed:
            self._tail()
            self._errors.close()
        return process.returncode == 0 and "stopped" in self._said

    @property
    def status(self) -> Status:
        return self._status

    @property
    def alive(self) -> bool:
        return self._process is not None and not self._ended and self._process.poll() is None

    def __enter__(self) -> ObserverLink:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # ------------------------------------------------------------ commands

    def start_load(self) -> None:
        self._send(cmd="start_load")

    def pause(self) -> None:
        """No more arrivals; what is in flight goes on."""
        self._send(cmd="pause")

    def resume(self) -> None:
        """Arrivals go on; also ends a drain or canary under way."""
        self._send(cmd="resume")

    def drain(self, timeout: float) -> bool:
        """Pause, and wait until nothing is in flight; False when the time is up first."""
        return self._send_and_await("drained", timeout, cmd="drain")

    def canary(
        self, moment: str, timeout: float, *, direct: bool = False, url: str | None = None
    ) -> bool:
        """Pause, wait for quiet, ask each canary; the load stays paused. True if each was answered,
        not garbage and, where there are golden answers, right; False also when the time is up.
        ``url``: one server's own, past proxy and router."""
        done = self._send_and_await(
            "canary_done", timeout, cmd="canary", moment=moment, direct=direct, url=url
        )
        return done and bool(self._said["canary_done"]["ok"])

    def canary_under_load(self, timeout: float) -> bool:
        """Ask each canary while the load goes on, by the clients' URL; answers as ``canary``."""
        done = self._send_and_await("canary_done", timeout, cmd="canary_under_load")
        return done and bool(self._said["canary_done"]["ok"])

    def token(self, *, direct: bool, timeout: float, url: str | None = None) -> bool:
        """Ask for one token now, through the clients' URL, directly or at a URL: did it come in
        time?"""
        with self._changed:
            self._asked += 1
            number = self._asked
        self._send(cmd="pilot_once", n=number, direct=direct, url=url, deadline=timeout)
        self._wait(lambda: number in self._tokens, timeout + 1.0)
        answer = self._tokens.pop(number, None)
        return answer is not None and bool(answer["ok"])

    def baseline_over(self) -> None:
        """The pilot's deadline is fixed from here on."""
        self._send(cmd="baseline_over")

    # ------------------------------------------------------------ wires

    def _send(self, **command: Any) -> None:
        self._raise_if_dead()
        self._write(json.dumps(command).encode() + b"\n")

    def _write(self, line: bytes) -> None:
        process = self._process
        assert process is not None, "start it first"
        assert process.stdin is not None
        try:
            process.stdin.write(line)
            process.stdin.flush()
        except (OSError, ValueError) as error:
            self._wait(lambda: self._ended, 1.0, check=False)
            raise self._death() from error

    def _send_and_await(self, what: str, timeout: float, **command: Any) -> bool:
        with self._changed:
            count = self._counts.get(what, 0)
        self._send(**command)
        return self._await(what, count + 1, timeout)

    def _await(self, what: str, count: int, timeout: float) -> bool:
        return self._wait(lambda: self._counts.get(what, 0) >= count, timeout)

    def _wait(self, condition: Callable[[], bool], timeout: float, *, check: bool = True) -> bool:
        """Short waits inside, so that signal handlers of the main thread get their turn."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not condition():
                if check:
                    self._raise_if_dead()
                    self._check()
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(min(left, 0.1))
        return True

    def _raise_if_dead(self) -> None:
        if self._process is None:
            raise VqchaosError("the observer was not started")
        if self._ended or self._process.poll() is not None or self._problem is not None:
            raise self._death()

    def _death(self) -> VqchaosError:
        if self._problem is not None:
            return VqchaosError(f"an event could not be recorded: {self._problem}")
        crash = self._said.get("crashed")
        why = one_line(str(crash["error"]), 400) if crash else self._tail() or "it said nothing"
        code = self._process.poll() if self._process is not None else None
        return VqchaosError(f"the observer died (exit code {code}): {why}")

    def _tail(self) -> str:
        """The end of what it said on standard error."""
        if self._errors is None or self._errors.closed:
            return ""
        size = os.fstat(self._errors.fileno()).st_size
        data = os.pread(self._errors.fileno(), _TAIL, max(0, size - _TAIL))
        return one_line(data.decode("utf-8", "replace").replace("\n", " | "), _TAIL)

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            for line in self._process.stdout:
                if self._problem is None:  # else only keep the pipe empty
                    self._take_safely(line)
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _take_safely(self, line: bytes) -> None:
        try:
            self._take(json.loads(line))
        except Exception as error:
            self._problem = error

    def _take(self, message: dict[str, Any]) -> None:
        kind = str(message.get("type"))
        if not kind.startswith("observer."):
            event = decode(message)
            if event is not None:
                self._on_event(event)
            return
        what = kind.removeprefix("observer.")
        with self._changed:
            if what == "status":
                self._status = Status(
                    message["in_flight"],
                    message["streaming"],
                    message["paused"],
                    message["t"],
                    message["flights"],
                )
            elif what == "token":
                self._tokens[message["n"]] = message
            self._said[what] = message
            self._counts[what] = self._counts.get(what, 0) + 1
            self._changed.notify_all()
