"""A game day in a real terminal: whatever becomes of it, nothing stays in force."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.crash.harness import PATIENCE, ROOT, settled, take_terminal
from tests.scripted_server import ScriptedServer
from vqchaos.clock import RealClock, wait_until

pytestmark = pytest.mark.crash

STACK = "version: 1\nname: far\nkind: attach\nenvironment: test\nmodel: qwen3\nurl: {url}\n"
EXPERIMENT = """\
version: 1
name: mark
hypothesis: nobody minds a file
workload: {{rate: 20, arrivals: constant, max_tokens: 4, deadline: 2s}}
phases: {{warmup: 100ms, baseline: 1200ms, fault: 60s, recovery: 5s, settle: 100ms}}
canary: {{enabled: false}}
observer: {{max_lag: 5s}}
faults:
  - {{type: command, inject: [touch, {mark}], revert: [rm, -f, {mark}], verify: [test, -e, {mark}]}}
checks: [{{type: no_residue}}]
"""


@dataclass
class Terminal:
    """A session in a pseudo-terminal of 80x24; what it draws is read and kept."""

    process: subprocess.Popen[bytes]
    near: int
    mark: Path
    out: Path
    state: Path
    reader: threading.Thread = field(init=False)
    drawn: bytearray = field(default_factory=bytearray)
    closed: bool = False
    stalled: bool = False  # takes no more output

    def read(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while not self.stalled:
                if select.select([self.near], [], [], 0.05)[0]:
                    self.drawn += os.read(self.near, 65536)

    def stall(self) -> None:
        self.stalled = True
        self.reader.join(PATIENCE)
        before = -1
        while before != (before := self.waiting()):  # until the screen can write no more
            for _ in range(60):
                self.press("?")
            wait_until(lambda: self.waiting() > before, 3.0, RealClock())

    def waiting(self) -> int:
        """Bytes that were drawn and that nobody reads."""
        count = array("i", [0])
        fcntl.ioctl(self.near, termios.FIONREAD, count)
        return count[0]

    def press(self, keys: str) -> None:
        os.write(self.near, keys.encode())

    def hang_up(self) -> None:
        self.closed = True
        os.close(self.near)

    def until(self, condition: Callable[[], object]) -> None:
        held = wait_until(lambda: bool(condition()), PATIENCE, RealClock())
        assert held, self.drawn[-3000:].decode(errors="replace")

    def to_injected(self) -> None:
        self.until(lambda: b"START" in self.drawn)
        self.press("\r")
        self.until(self.mark.exists)

    def ends(self) -> int:
        return self.process.wait(PATIENCE)

    def folder(self) -> Path:
        [folder] = self.out.glob("*-gameday-*")
        return folder

    def kinds(self) -> list[str]:
        lines = (self.folder() / "minutes.jsonl").read_text().splitlines()
        return [json.loads(line)["kind"] for line in lines]


@pytest.fixture
def terminal(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Terminal]:
    controlling = getattr(request, "param", True)
    mark, out, state = tmp_path / "mark", tmp_path / "runs", tmp_path / "state"
    (tmp_path / "mark.yaml").write_text(EXPERIMENT.format(mark=mark))
    (tmp_path / "day.yaml").write_text("steps: [{experiment: mark.yaml}]\n")
    with ScriptedServer() as server:
        (tmp_path / "far.yaml").write_text(STACK.format(url=server.url))
        near, far = pty.openpty()
        fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        process = subprocess.Popen(
            [
                sys.executable, "-m", "vqchaos", "gameday", str(tmp_path / "day.yaml"),
                "--stack", str(tmp_path / "far.yaml"), "--out", str(out), "--operator", "eva",
            ],
            cwd=ROOT, stdin=far, stdout=far, stderr=far, start_new_session=True,
            preexec_fn=take_terminal if controlling else None,  # noqa: PLW1509 (one ioctl)
            env={**os.environ, "XDG_STATE_HOME": str(state), "TERM": "xterm-256color"},
        )  # fmt: skip
        os.close(far)
        made = Terminal(process, near, mark, out, state)
        made.reader = threading.Thread(target=made.read, daemon=True)
        made.reader.start()
        try:
            yield made
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(PATIENCE)
            if not made.closed:
                os.close(near)
            made.reader.join(PATIENCE)
            made.until(lambda: settled(next(state.glob("vqchaos/stacks/*"), state)))


def test_a_key_reverts_and_the_day_ends_when_people_say_so(terminal: Terminal) -> None:
    terminal.to_injected()
    terminal.press("d")
    terminal.press("a")
    terminal.until(lambda: not terminal.mark.exists())
    terminal.until(lambda: b"judged" in terminal.drawn)
    assert terminal.process.poll() is None
    terminal.press("\r")
    assert terminal.ends() == 130
    assert {"detected", "abort", "reverted", "session.ended"} <= set(terminal.kinds())
    assert "aborted" in (terminal.folder() / "minutes.md").read_text()


def test_a_connection_that_drops_reverts_and_ends(terminal: Terminal) -> None:
    terminal.to_injected()
    terminal.hang_up()
    assert terminal.ends() == 129
    assert not terminal.mark.exists()
    assert terminal.kinds()[-1] == "session.ended"
    assert (terminal.folder() / "index.html").exists()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_reverts_and_ends(terminal: Terminal, signum: int) -> None:
    terminal.to_injected()
    terminal.process.send_signal(signum)
    assert terminal.ends() == 128 + signum
    assert not terminal.mark.exists()
    assert terminal.kinds()[-1] == "session.ended"


def test_a_terminal_that_takes_no_more_output_holds_up_no_end(terminal: Terminal) -> None:
    terminal.to_injected()
    terminal.stall()
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.ends() == 143
    assert not terminal.mark.exists()
    assert terminal.kinds()[-1] == "session.ended"
    assert (terminal.folder() / "index.html").exists()


def test_ctrl_c_reverts_though_the_terminal_takes_no_more_output(terminal: Terminal) -> None:
    terminal.to_injected()
    terminal.stall()
    terminal.press("\x03")
    terminal.until(lambda: not terminal.mark.exists())
    assert terminal.process.poll() is None
    terminal.process.send_signal(signal.SIGHUP)
    assert terminal.ends() == 129


@pytest.mark.parametrize("terminal", [False], indirect=True)
def test_a_terminal_that_is_not_the_controlling_one_goes_without_a_signal(
    terminal: Terminal,
) -> None:
    terminal.to_injected()
    terminal.hang_up()
    assert terminal.ends() == 129
    assert not terminal.mark.exists()
    assert "the terminal went away" in (terminal.folder() / "minutes.md").read_text()


def test_of_a_killed_session_the_watchdog_reverts_and_the_minutes_stay(terminal: Terminal) -> None:
    terminal.to_injected()
    terminal.until(lambda: "fault.injected" in terminal.kinds())
    terminal.process.kill()
    assert terminal.ends() == -signal.SIGKILL
    terminal.until(lambda: not terminal.mark.exists())
    done = subprocess.run(
        [sys.executable, "-m", "vqchaos", "report", str(terminal.folder())],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "was killed" in (terminal.folder() / "minutes.md").read_text()
