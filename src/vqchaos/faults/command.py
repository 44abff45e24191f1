"""``command``: whatever the catalogue lacks, by the user's own commands."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, ClassVar, Literal, Self

import psutil
from pydantic import Field, model_validator

from vqchaos.errors import FaultError
from vqchaos.faults.base import Fault, State, Ticket, Verification, World
from vqchaos.stack.environ import TOKEN_VARIABLE, carriers
from vqchaos.stack.protocols import Capability
from vqchaos.units import Duration, format_duration

Words = Annotated[list[str], Field(min_length=1)]
UNDO_VARIABLE = "VQCHAOS_UNDO"
_ENDS = 5.0  # seconds for killed processes to vanish
_OUTPUT = 400  # characters of a command's output that are kept
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None)
_READ = 8 * _OUTPUT  # bytes of it that are read


class Command(Fault):
    """Runs argument lists, never a shell. A held fault needs ``revert``; it must be idempotent,
    because it also runs when ``inject`` failed half-way. What ``inject`` left running is ended
    before it. ``verify`` exits 0 while the effect is there; without it the run is only valid if
    something reacted."""

    held: ClassVar[bool] = True
    family: ClassVar[str] = "anything"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.HOST})
    summary: ClassVar[str] = "Runs your own inject, verify and revert commands."
    graceful: ClassVar[str] = "As the hypothesis of the experiment says."
    undo: ClassVar[str] = "the command `revert`, after what `inject` left running was ended"
    revert_timeout: ClassVar[float] = 660.0  # the command's own timeout is the tighter one

    type: Literal["command"]
    inject_: Words = Field(alias="inject", description="The command that does it")
    revert_: Words | None = Field(default=None, alias="revert", description="… that undoes it")
    verify_: Words | None = Field(
        default=None, alias="verify", description="… that exits 0 while the effect is there"
    )
    timeout: Annotated[Duration, Field(gt=0, le=600)] = Field(
        default=30.0, description="Of each command"
    )
    held_: bool = Field(default=True, alias="held", description="false: the effect is instant")

    @model_validator(mode="after")
    def _can_be_undone(self) -> Self:
        if self.held_ and self.revert_ is None:
            raise ValueError("a held command needs `revert`; or say `held: false`")
        return self

    @property
    def is_held(self) -> bool:
        return self.held_

    def longest(self) -> float:
        return 5 * self.timeout  # inject, verify, revert, verify, and one to spare

    def target_name(self) -> str | None:
        return self.inject_[0]

    def plan(self, world: World) -> list[str]:
        undo = " ".join(self.revert_) if self.revert_ else "none; the effect is instant"
        return [f"run: {' '.join(self.inject_)}", f"undo: {undo}"]

    def capture(self, world: World, ticket: Ticket) -> State:
        return {
            "token": ticket.token,
            "revert": self.revert_,
            "verify": self.verify_,
            "timeout": self.timeout,
        }

    def inject(self, world: World, state: State, effect: Callable[[], None]) -> None:
        effect()
        # What an instant command starts is meant to stay.
        marks = {TOKEN_VARIABLE: state["token"]} if self.held_ else {}
        code, said = _run(self.inject_, self.timeout, marks)
        if code != 0:
            raise FaultError(f"`{self.inject_[0]}` exited {code}: {said or 'no output'}")

    def verify(self, world: World, state: State) -> Verification:
        if self.verify_ is None:
            return Verification("none", "no `verify` command is given")
        code, said = _run(self.verify_, self.timeout, {})
        return Verification("yes" if code == 0 else "no", f"verify exited {code}: {said}")

    @classmethod
    def revert(cls, world: World, state: State) -> str:
        if state["revert"] is None:
            return "an instant command has no undo"
        # An inject whose runner was killed may still be at it, and so may that runner's undo.
        _end(TOKEN_VARIABLE, state["token"])
        _end(UNDO_VARIABLE, state["token"])
        code, said = _run(state["revert"], state["timeout"], {UNDO_VARIABLE: state["token"]})
        if code != 0:
            raise FaultError(f"revert exited {code}: {said or 'no output'}")
        return said

    @classmethod
    def verify_undone(cls, world: World, state: State) -> Verification:
        if state["revert"] is None:
            return Verification("none", "an instant command has no undo")
        if state["verify"] is None:
            return Verification("none", "no `verify` command is given")
        code, said = _run(state["verify"], state["timeout"], {})
        if code == 0:
            return Verification("no", f"verify still exits 0: {said}")
        return Verification("yes", f"verify exits {code}")

    @classmethod
    def manual(cls, state: State) -> list[str]:
        return [" ".join(state["revert"])] if state["revert"] else []


def _end(variable: str, token: str) -> None:
    """SIGKILL to all that carry it, children's children too; returns when they are gone."""
    deadline = time.monotonic() + _ENDS
    while found := list(carriers(variable, {token})):
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        if time.monotonic() > deadline:
            pids = ", ".join(str(process.pid) for process in found)
            raise FaultError(f"processes of the fault do not end: {pids}")
        time.sleep(0.01)


def _die_with_the_runner() -> None:
    """In the child: what outlived its killed runner would act after, or beside, the undo."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _run(words: Sequence[str], timeout: float, marks: Mapping[str, str]) -> tuple[int, str]:
    """Exit code and the end of the output, on one line. Raises FaultError if it cannot run.

    It dies with this process; ``marks`` in its environment tell the undo of what it started itself.
    What it leaves running in the background stays (that may be the fault), unless its time is up:
    then its whole group is killed. Its output goes to a file, since a pipe would stay open for as
    long as anything in the background holds it.
    """
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                list(words),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_the_runner,  # noqa: PLW1509 (one call of C)
                env={**os.environ, **marks},
            )
        except (OSError, ValueError) as error:  # ValueError: a NUL in a word
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise FaultError(f"`{words[0]}` cannot be run: {reason}") from error
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise FaultError(
                f"`{words[0]}` did not end within {format_duration(timeout)}"
            ) from error
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        size = output.seek(0, os.SEEK_END)
        output.seek(max(0, size - _READ))
        text = output.read().decode("utf-8", "replace")
    line = " ".join("".join(c for c in text if c.isprintable() or c.isspace()).split())
    return code, line[-_OUTPUT:]
