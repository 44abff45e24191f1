"""Stops and starts the server, by wishes that the launcher carries out.

The wish is on disk: whoever comes after a crash of vqchaos finds it, and the launcher goes on.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from vqchaos.clock import Clock, wait_until
from vqchaos.errors import StackError
from vqchaos.stack.local import groups
from vqchaos.stack.local.paths import StackPaths
from vqchaos.stack.local.state_files import (
    ATTEMPT,
    EVENTS,
    LOGS,
    WISH,
    read_json,
    read_lines,
    write_json,
)
from vqchaos.stack.protocols import Attempt, StartOverride
from vqchaos.text import one_line

LOG_LINES = 60
_TAIL = 64 * 1024  # bytes
_WHOLE = 8 * 1024**2  # bytes of a log that are searched for a cause
_WHOLE_LINES = 50_000
_BACK = 3.0  # seconds in which supervisord starts a launcher that died
_ACCEPTED = 10.0  # seconds in which a living launcher takes up a wish, whatever the load


@dataclass(frozen=True, slots=True)
class CleanStart:
    """How the server is started when no fault is in force. ``defaults`` yield to the user's own
    environment, ``env`` to nothing."""

    command: Sequence[str]
    model: str
    arguments: Sequence[str]
    port: int
    defaults: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    policy: str = "always"
    backoff: float = 1.0
    limit: int = 10
    memory_limit: int | None = None

    def wish(self, override: StartOverride | None, *, restarts: bool, tmp: Path) -> dict[str, Any]:
        """As ``wish.json`` has it, but for ``seq``."""
        changed = override or StartOverride()
        model = str(changed.model) if changed.model is not None else self.model
        return {
            "running": True,
            "clean": override is None,
            "restarts": restarts,
            "argv": [
                *self.command, "--model", model, *self.arguments, *changed.extra_args
            ],
            "defaults": dict(self.defaults),
            "env": {**self.env, **changed.env},
            "port": self.port,
            "policy": self.policy,
            "backoff": self.backoff,
            "limit": self.limit,
            "memory_limit": self.memory_limit,
            "tmp": str(tmp),
        }  # fmt: skip


class LocalServer:
    """Implements ``protocols.ServerControl``. ``model_dir`` is None if the model's files are not
    on this machine."""

    def __init__(
        self, paths: StackPaths, clean: CleanStart, model_dir: Path | None, clock: Clock
    ) -> None:
        self._paths = paths
        self._clean = clean
        self._model_dir = model_dir
        self._clock = clock

    def own_url(self) -> str | None:
        return None  # the only one

    def listens_on(self) -> tuple[str, int]:
        return "127.0.0.1", self._clean.port

    def model_dir(self) -> Path:
        if self._model_dir is None:
            raise StackError(
                f"the files of {self._clean.model} are not on this machine",
                hint="start the stack once so that they are downloaded, or give a path as `model`",
            )
        return self._model_dir

    def memory_limit(self) -> int | None:
        return self._clean.memory_limit

    def scratch(self, token: str) -> Path:
        if not token.isalnum():
            raise ValueError(f"not a token: {token!r}")
        self._paths.scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._paths.scratch / token

    def stop(self, timeout: float = 30.0) -> None:
        self._stopped(self._put({"running": False}), timeout)

    def _stopped(self, seq: int, timeout: float) -> None:
        def done() -> bool:
            now = self._raw()
            return now.get("seq") == seq and now.get("state") == "stopped"

        if not wait_until(done, timeout, self._clock, every=0.02):
            raise StackError(
                f"the server did not stop within {timeout:.0f} s",
                hint=f"`vqchaos down` ends it; see {self._paths.up}/launcher.log",
            )

    def start(self, override: StartOverride, *, restarts: bool = False) -> None:
        self._launched(
            self._put(self._clean.wish(override, restarts=restarts, tmp=self._paths.engine_tmp))
        )

    def start_clean(self) -> None:
        if self.is_clean_wish() and self.launcher_alive() and self._going():
            return
        self._launched(self._put(self._clean_wish()))

    def _going(self) -> bool:
        """Is what the launcher was last told still under way?"""
        now = self._raw()
        seq = (read_json(self._paths.up / WISH) or {}).get("seq")
        return now.get("seq") != seq or now.get("state") in ("running", "waiting")

    def _launched(self, seq: int) -> None:
        if not wait_until(
            lambda: self._raw().get("seq") == seq, 30 + _ACCEPTED, self._clock, every=0.02
        ):
            raise StackError(
                "the launcher did not start the server",
                hint=f"see {self._paths.up}/launcher.log, or `vqchaos down` and `vqchaos up`",
            )

    def wish_clean(self) -> None:
        """Write the clean wish before there is a launcher (``up``)."""
        self._write(self._clean_wish())

    def is_clean_wish(self) -> bool:
        """Does the wish on disk say what the stack file says now?"""
        current = read_json(self._paths.up / WISH) or {}
        return {k: v for k, v in current.items() if k != "seq"} == self._clean_wish()

    def _clean_wish(self) -> dict[str, Any]:
        return self._clean.wish(None, restarts=True, tmp=self._paths.engine_tmp)

    def _put(self, wish: dict[str, Any]) -> int:
        if not self.launcher_alive() and not wait_until(
            self.launcher_alive, _ACCEPTED, self._clock
        ):
            raise StackError("the stack is not up", hint="vqchaos up")
        return self._write(wish)

    def _write(self, wish: dict[str, Any]) -> int:
        with self._wishes():
            before = read_json(self._paths.up / WISH) or {}
            seq = int(before.get("seq", 0)) + 1
            full = {**before, **wish, "seq": seq}  # a stop keeps how to start
            write_json(self._paths.up / WISH, full)
        return seq

    @contextlib.contextmanager
    def _wishes(self) -> Iterator[None]:
        fd = os.open(self._paths.up / "wish.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def is_up(self) -> bool:
        return self.launcher_alive() or wait_until(self.launcher_alive, _BACK, self._clock)

    def launcher_alive(self) -> bool:
        """Is there somebody to read wishes?"""
        data = read_json(self._paths.up / "launcher.json")
        if data is None:
            return False
        return groups.is_alive(int(data["pid"]), float(data["start_time"]))

    def _raw(self) -> dict[str, Any]:
        return read_json(self._paths.up / ATTEMPT) or {}

    def attempt(self) -> Attempt:
        now = self._raw()
        log = now.get("log")
        state = now.get("state", "stopped")
        if state == "running" and self.process() is None and not self.launcher_alive():
            state = "exited"  # and nobody is there to write that down
        return Attempt(
            generation=int(now.get("generation", 0)),
            state=state,
            clean=bool(now.get("clean", True)),
            pid=now.get("pid"),
            started=now.get("started"),
            ended=now.get("ended"),
            exit_code=now.get("exit_code"),
            log=tail(Path(log)) if log else (),
        )

    def attempt_log(self) -> Sequence[str]:
        log = self._raw().get("log")
        return tail(Path(log), lines=_WHOLE_LINES, size_limit=_WHOLE) if log else ()

    def ready(self) -> bool:
        """Has the server that runs now opened its port?"""
        now = self._raw()
        return now.get("state") == "running" and now.get("ready") is not None

    def failures(self) -> int:
        """Failed starts in a row: the server ended before its port was open."""
        return int(self._raw().get("failures", 0))

    def last_exit(self) -> tuple[int | None, Path | None]:
        """Exit code and log of the start that ended last, also when a newer one runs."""
        now = self._raw()
        log = self._paths.up / LOGS
        for event in reversed(read_lines(self._paths.up / EVENTS)):
            if event.get("event") == "exited":
                number = int(event["generation"])
                return event["exit_code"], log / f"attempt-{number:06d}.log"
        return now.get("exit_code"), Path(now["log"]) if now.get(
            "log"
        ) else None  # a program that is not there

    def process(self) -> psutil.Process | None:
        """The API server that runs now."""
        now = self._raw()
        if now.get("state") == "running" and groups.is_alive(now["pid"], now["start_time"]):
            with contextlib.suppress(psutil.Error):
                return psutil.Process(int(now["pid"]))
        return None


def tail(log: Path, lines: int = LOG_LINES, size_limit: int = _TAIL) -> tuple[str, ...]:
    """The last lines of a log, without escapes, each bounded; empty if there is none."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - size_limit))
            data = file.read()
    except OSError:
        return ()
    if size > size_limit:
        data = data.partition(b"\n")[2]
    text = data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return tuple(one_line(line, 500) for line in text.split("\n") if line.strip())[-lines:]
