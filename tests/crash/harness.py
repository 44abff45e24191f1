"""Drives a victim to a step, does something to it there, and says what became of the world."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from vqchaos.clock import RealClock, wait_until
from vqchaos.ledger import Ledger
from vqchaos.runner.lock import holder

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0  # seconds; a hang guard, not a measure


@dataclass
class Victim:
    """A runner that stands at its step, or has ended."""

    process: subprocess.Popen[str]
    says: int
    hears: int
    out: Path

    def await_step(self) -> None:
        """Raises AssertionError with its output if it ended instead."""
        ready, _, _ = select.select([self.says], [], [], PATIENCE)
        said = os.read(self.says, 100) if ready else b""
        if not said.startswith(b"reached"):
            self.process.kill()
            raise AssertionError(f"the step was never reached: {self.process.communicate()}")

    def go_on(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(self.hears, b"g")

    def ends(self) -> int:
        self.go_on()
        return self.process.wait(PATIENCE)

    def watchdog(self) -> psutil.Process | None:
        """Its watchdog, by the runner it was told to watch: a child of nobody's."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if "vqchaos.runner.watchdog_process" in process.cmdline() and (
                    process.environ().get("CRASH_VICTIM") == str(self.out)
                ):
                    return process
        return None

    @property
    def folder(self) -> Path:
        """The run's."""
        [folder] = [p for p in self.out.iterdir() if (p / "history.jsonl").exists()]
        return folder

    def history(self) -> list[dict[str, Any]]:
        text = (self.folder / "history.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.split("\n")[:-1]]  # the last may be growing

    def ended_as(self) -> str:
        return str(next((e["how"] for e in self.history() if e["type"] == "run.ended"), "never"))


@contextlib.contextmanager
def victim(
    step: str,
    words: list[str],
    out: Path,
    env: Mapping[str, str] | None = None,
    nth: int = 1,
    terminal: int | None = None,
) -> Iterator[Victim]:
    """A runner that stops at the step. Whatever the test did, no process of its stays.
    ``terminal``: a pseudo-terminal's far end, which becomes its controlling terminal."""
    from_child, says = os.pipe()
    hears, to_child = os.pipe()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.crash.child",
            f"{says},{hears}",
            step,
            str(nth),
            *words,
            "--out",
            str(out),
        ],
        cwd=ROOT,
        stdin=subprocess.DEVNULL if terminal is None else terminal,
        stdout=subprocess.PIPE if terminal is None else terminal,
        stderr=subprocess.PIPE if terminal is None else terminal,
        text=True,
        pass_fds=(says, hears),
        start_new_session=True,
        preexec_fn=None if terminal is None else take_terminal,  # noqa: PLW1509 (one ioctl)
        env={**os.environ, **(env or {}), "CRASH_VICTIM": str(out)},
    )
    for fd in (says, hears):
        os.close(fd)
    it = Victim(process, from_child, to_child, out)
    try:
        yield it
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        for fd in (from_child, to_child):
            os.close(fd)
        dog = it.watchdog()
        if dog is not None:
            assert wait_until(lambda: not _runs(dog), PATIENCE, RealClock()), "the watchdog stays"


def take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _runs(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def settled(state: Path) -> bool:
    """Is nothing in force by the ledger, and nobody at work?"""
    return holder(state) is None and not Ledger(state).in_force()
