"""Every error vqchaos raises on purpose, and the exit code each one ends in.

VqchaosError                3  an error of vqchaos itself unless a subclass says more
├── UsageError              2  the command line or a file is wrong; the user mends it
│   └── InvalidFile         2  one file, with every problem in it at once
├── StackError              3  the stack is not there, not healthy or not ours to use
│   ├── StackLocked         3  another run holds the stack
│   ├── StackUnhealthy      3  no token could be served
│   └── CapabilityMissing   3  the stack cannot do what the experiment asks
│       └── StackDown       3  … because it is not up
├── FaultError              3  a fault could not be injected or verified
├── UncleanError            4  faults are in force, or a revert failed; `vqchaos heal` is needed
└── Interrupted             130, 143 or 129  stopped by a signal, after everything was reverted

A message says what is wrong, where, what was expected and how to mend it. ``hint`` holds the way
out and is printed on a line of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of the design; ``worst`` knows their order over several runs."""

    PASS = 0
    FAIL = 1
    USAGE = 2
    UNKNOWN = 3
    UNCLEAN = 4
    SIGHUP = 129
    SIGINT = 130
    SIGTERM = 143


_SEVERITY = {
    ExitCode.PASS: 0,
    ExitCode.UNKNOWN: 1,
    ExitCode.FAIL: 2,
    ExitCode.SIGHUP: 3,
    ExitCode.SIGINT: 3,
    ExitCode.SIGTERM: 3,
    ExitCode.UNCLEAN: 4,
    ExitCode.USAGE: 5,
}


def worst(codes: list[ExitCode]) -> ExitCode:
    """The exit code of several runs: 4, then interrupted, then 1, then 3, then 0."""
    return max(codes, key=_SEVERITY.__getitem__, default=ExitCode.UNKNOWN)


class VqchaosError(Exception):
    """Base of all errors a user may see; ``hint`` is the way out."""

    exit_code: ExitCode = ExitCode.UNKNOWN

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(VqchaosError):
    """The command line or a file is wrong."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong in a file. ``line`` and ``column`` count from 1; 0 is the file as a whole."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.message}"


class InvalidFile(UsageError):
    """One or more files with problems, all of them at once, in file order."""

    def __init__(self, problems: list[Problem], *, hint: str | None = None) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems), hint=hint)


class StackError(VqchaosError):
    """The stack is not there, not healthy or not ours to use."""


class StackLocked(StackError):
    """Another run holds the stack."""


class StackUnhealthy(StackError):
    """No token could be served."""


class CapabilityMissing(StackError):
    """The stack cannot do what the experiment asks."""


class StackDown(CapabilityMissing):
    """The whole stack is down: nothing of it can be in force."""


class FaultError(VqchaosError):
    """A fault could not be injected or verified."""


class UncleanError(VqchaosError):
    """Faults are in force, or a revert failed."""

    exit_code = ExitCode.UNCLEAN


class Interrupted(VqchaosError):
    """Stopped by a signal; ``signum`` decides the exit code."""

    def __init__(self, signum: int, why: str = "") -> None:
        super().__init__(why or f"interrupted by signal {signum}")
        self.signum = signum
        self.exit_code = ExitCode(128 + signum)
