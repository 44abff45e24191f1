"""Stopping a live run from outside: ask it to; if it does not answer, end it and revert."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqchaos.clock import Clock, wait_until
from vqchaos.errors import StackLocked
from vqchaos.ledger import Ledger
from vqchaos.runner.aftermath import Healed, revert_all
from vqchaos.runner.control import NoAnswerError, ask
from vqchaos.runner.lock import holder, stack_lock
from vqchaos.stack.local.groups import is_alive
from vqchaos.stack.local.state_files import read_json, write_json
from vqchaos.stack.protocols import Stack
from vqchaos.units import format_duration

ANSWER = 1.0  # seconds a live runner has to answer
ENDING = 120.0  # seconds it then has to revert and end
_BLOCK = "block.json"


@dataclass
class Aborted:
    """``how``: none (nothing ran), asked (it ended by itself) or stopped (we ended it)."""

    how: str
    what: str
    healed: Healed


def abort(stack: Stack, clock: Clock, say: Callable[[str], None] = lambda _text: None) -> Aborted:
    """The live runner reverts and ends; whatever is in force afterwards is reverted here.

    Raises StackLocked if somebody else keeps the lock.
    """
    folder = stack.state_dir
    live = holder(folder)
    how, what = "none", "nothing"
    if live is not None and live.get("role", "run") == "run":
        what = str(live.get("what", "a run"))
        how = _stop(folder, live, clock, say)
    with stack_lock(folder, "abort", clock, role="abort", patience=ENDING):
        healed = revert_all(
            stack, clock, by="abort", why="the runner did not answer; `vqchaos abort` reverted"
        )
    return Aborted(how, what, healed)


def _stop(folder: Path, live: dict[str, Any], clock: Clock, say: Callable[[str], None]) -> str:
    pid = int(live.get("pid", 0))
    try:
        ask(folder, {"do": "abort"}, ANSWER)
    except NoAnswerError:
        say(f"process {pid} does not answer: ending it")
    else:
        say(f"process {pid} answered: it reverts and ends")
        if wait_until(lambda: _is_over(folder, pid), ENDING, clock):
            return "asked"
        say(f"process {pid} has not ended after {format_duration(ENDING)}: ending it")
    _kill(pid, float(live.get("start_time", 0.0)))
    return "stopped"


def _is_over(folder: Path, pid: int) -> bool:
    now = holder(folder)
    return now is None or now.get("pid") != pid


def _kill(pid: int, start_time: float) -> None:
    """SIGKILL to that very process, and wait for its end."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:  # gone by itself
        return
    try:
        if not is_alive(pid, start_time):
            return
        signal.pidfd_send_signal(fd, signal.SIGKILL)
        if not select.select([fd], [], [], 30.0)[0]:
            raise StackLocked(
                f"process {pid} was killed and does not end: it hangs in the kernel",
                hint="`vqchaos heal` once it is gone",
            )
    except ProcessLookupError:
        return
    finally:
        os.close(fd)


def in_force(stack: Stack) -> int:
    """How many faults are."""
    return len(Ledger(stack.state_dir).in_force())


# ---------------------------------------------------------------- refusing new runs


def block(folder: Path, seconds: float, clock: Clock) -> None:
    """Refuse new runs on this stack for so long; 0 lifts it."""
    if seconds <= 0:
        (folder / _BLOCK).unlink(missing_ok=True)
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_json(folder / _BLOCK, {"since_wall": clock.wall(), "until_wall": clock.wall() + seconds})


def refuse_if_blocked(folder: Path, clock: Clock) -> None:
    """Raises StackLocked while a block is on."""
    data = read_json(folder / _BLOCK)
    left = float(data["until_wall"]) - clock.wall() if data else 0.0
    if left > 0:
        raise StackLocked(
            f"new runs on this stack are refused for another {format_duration(left)} "
            "(`vqchaos abort --block`)",
            hint="lift it with `vqchaos abort --block 0s`",
        )
