"""``python -m vqchaos.runner.watchdog_process``: reverts when the runner that started it cannot.

Lines of JSON on standard input: first whom to watch, then signs of life. The second half of a
double fork in a session of its own: no terminal, no process group and no parent of the runner's can
take it along. A kill of the whole cgroup or of the host does: then `vqchaos heal`, and the marks.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

FROZEN = 5.0  # seconds that a wait may last too long before it counts as a freeze of the machine
PATIENCE = 120.0  # seconds for whoever holds the stack's lock


class Watch:
    """What the watchdog knows of its runner."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.pid = int(job["pid"])
        self.silence = float(job["silence"])
        self.run: Path | None = None
        self.until: float | None = None
        self.heard = time.monotonic()
        self.deaf = False  # the pipe ended, and the runner did not
        self.over = False
        self._rest = b""
        try:
            self.pidfd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            self.pidfd = -1

    def hear(self, data: bytes) -> None:
        """Lines from the runner; the last may be a part."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        self.heard = time.monotonic()
        for line in filter(None, lines):
            said = json.loads(line)
            if said.get("end"):
                self.over = True
            if "run" in said:
                self.run = Path(said["run"]) if said["run"] else None
                self.until = said["until"]

    def ends_in(self) -> float:
        """Seconds until the runner counts as hung."""
        limits = [self.until] if self.until is not None else []
        if not self.deaf:
            limits.append(self.heard + self.silence)
        return min(limits, default=time.monotonic() + self.silence) - time.monotonic()

    def wait(self) -> str:
        """Until the runner is done (empty), dead or hung: why it needs our help."""
        while not self.over:
            watched = [] if self.deaf else [0]
            watched += [self.pidfd] if self.pidfd >= 0 else []
            patience, asked = max(0.0, self.ends_in()), time.monotonic()
            ready, _, _ = select.select(watched, [], [], patience)
            if time.monotonic() - asked > patience + FROZEN:
                self.heard = time.monotonic()  # we stood still ourselves: the runner may have too
            if 0 in ready:
                data = os.read(0, 65536)
                if data:
                    self.hear(data)
                    continue
                self.deaf = True
                if self.pidfd < 0 or select.select([self.pidfd], [], [], 1.0)[0]:
                    return "the runner died"
            elif self.pidfd in ready:
                self.drain()
                return "" if self.over else "the runner died"
            elif self.ends_in() <= 0:
                return "the runner hung and was killed"
        return ""

    def drain(self) -> None:
        """What it still said before it ended."""
        while not self.deaf and select.select([0], [], [], 0)[0]:
            data = os.read(0, 65536)
            if not data:
                return
            self.hear(data)

    def fence(self) -> None:
        """A runner that hangs must never go on while its faults are undone, nor afterwards."""
        if self.pidfd < 0:
            return
        try:
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        except ProcessLookupError:
            return
        select.select([self.pidfd], [], [], 30.0)


def main() -> int:
    """0 when the runner ended well, 1 when it did not and everything was reverted, 4 if not."""
    if os.fork():
        os._exit(0)
    os.umask(0o077)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # its runner gets them too, and ends in good order
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            return 0
        line += byte
    job = json.loads(line)
    watch = Watch(job)
    # All that an undo needs is loaded before the first fault is there.
    from vqchaos.clock import RealClock  # noqa: PLC0415 (after the fork and the signals)
    from vqchaos.runner.aftermath import revert_all  # noqa: PLC0415
    from vqchaos.runner.lock import stack_lock  # noqa: PLC0415
    from vqchaos.stack.opening import from_recipe  # noqa: PLC0415

    stack = from_recipe(job["stack"])
    with contextlib.suppress(OSError):  # a runner that died meanwhile does not read it
        os.write(1, f"ready {os.getpid()}\n".encode())
    os.dup2(2, 1)
    why = watch.wait()
    if not why:
        return 0
    watch.fence()
    sys.stderr.write(f"{why}: reverting\n")
    clock = RealClock()
    what = f"the watchdog of {watch.run.name if watch.run else 'a dead run'}"
    with stack_lock(stack.state_dir, what, clock, role="watchdog", patience=PATIENCE):
        healed = revert_all(
            stack, clock, by="watchdog", why=f"{why}; the watchdog reverted", folder=watch.run
        )
    for item in healed.undone:
        sys.stderr.write(f"{item.entry.id} {item.entry.type}: done={item.done} {item.proof.why}\n")
    return 1 if healed.clean else 4


if __name__ == "__main__":
    try:
        code = main()
    except Exception:
        traceback.print_exc()
        code = 3
    sys.stderr.flush()
    os._exit(code)
