"""What the commands share: the console, the stack a name means, and how errors are shown."""

from __future__ import annotations

import contextlib
import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from vqchaos.cli.overview import summary
from vqchaos.errors import ExitCode, InvalidFile, UsageError, VqchaosError
from vqchaos.text import clean

if TYPE_CHECKING:
    from rich.console import Console

    from vqchaos.stack.local.stack import LocalStack
    from vqchaos.stack.protocols import Stack

STACK_OPTION = typer.Option(
    "local", "--stack", "-s", help="A stack's name (stacks/NAME.yaml) or the path of its file."
)
SET_OPTION = typer.Option(
    [],
    "--set",
    metavar="PATH=VALUE",
    help="Change a value of the file: phases.baseline=8s, faults.latency.for=5s, stack.url=URL.",
)
JSON_OPTION = typer.Option(False, "--json", help="Machine-readable output on stdout.")


def add_command(app: typer.Typer, function: Callable[..., None]) -> None:
    """Under its own name; its help is the overview's line, then its docstring."""
    name = function.__name__
    more = inspect.cleandoc(function.__doc__ or "")
    flowing = re.sub(r"(?<!\n)\n(?!\n)", " ", more)  # the terminal wraps it
    app.command(name, help=f"{summary(name)}\n\n{flowing}")(function)


def console(*, stderr: bool = False) -> Console:
    """A rich console that falls back to plain text where there is no terminal. When its reader
    goes away it falls silent: rich's own would end the process, with faults in force."""
    from rich.console import Console

    class Silenced(Console):
        def on_broken_pipe(self) -> None:
            self.quiet = True

    return Silenced(stderr=stderr, highlight=False, soft_wrap=False)


def say(text: str) -> None:
    """Text for a person, on stderr: never markup, and no control of the target's gets through."""
    with contextlib.suppress(BrokenPipeError):  # nobody reads it any more
        print(clean(text), file=sys.stderr, flush=True)


def data_path(*parts: str) -> Path:
    """A file that ships in the package."""
    return Path(str(resources.files("vqchaos"))).joinpath("data", *parts)


def stack_file(name: str) -> Path:
    """``local`` → ./stacks/local.yaml, else the one that ships; a path is taken as it is."""
    if "/" in name or name.endswith((".yaml", ".yml")):
        return Path(name)
    here = Path("stacks") / f"{name}.yaml"
    if here.exists():
        return here
    shipped = data_path("stacks", f"{name}.yaml")
    if shipped.exists():
        return shipped
    known = sorted(
        {p.stem for p in [*Path("stacks").glob("*.yaml"), *data_path("stacks").glob("*")]}
    )
    raise UsageError(
        f"no stack called '{name}': there is no stacks/{name}.yaml here",
        hint=f"known here: {', '.join(known) or 'none'}; or name a stack file by its path",
    )


def stack_sets(sets: list[str]) -> list[str]:
    """The ``--set stack.…`` among the sets, without the prefix."""
    return [item.removeprefix("stack.") for item in sets if item.startswith("stack.")]


def experiment_sets(sets: list[str]) -> list[str]:
    """The others: values of the experiments."""
    return [item for item in sets if not item.startswith("stack.")]


def open_named_stack(name: str, sets: list[str] | None = None) -> Stack:
    """The stack adapter of a name or path. Raises InvalidFile or UsageError."""
    from vqchaos.experiment.files import load_stack
    from vqchaos.stack.opening import open_stack

    path = stack_file(name)
    return open_stack(load_stack(path, sets=stack_sets(sets or [])), path)


def require_local(stack: Stack) -> LocalStack:
    """The local stack, which alone the demo can set up. Raises UsageError for another."""
    from vqchaos.stack.local.stack import LocalStack

    if not isinstance(stack, LocalStack):
        raise UsageError(
            f"stack '{stack.name}' is of kind {stack.kind}: the demo is of a local stack",
            hint="leave --stack out, or break this one with `vqchaos run FILE --stack NAME`",
        )
    return stack


def show_error(error: VqchaosError, about: str | None = None) -> ExitCode:
    """Message and way out on stderr, ``about`` which stack; returns the exit code."""
    if isinstance(error, InvalidFile):
        for problem in error.problems:
            say(str(problem))
        count = len(error.problems)
        say(f"{count} problem{'s' if count != 1 else ''}")
    else:
        say(f"vqchaos: {about + ': ' if about else ''}{error.message}")
    if error.hint:
        say(f"  → {error.hint}")
    return error.exit_code


def show_bug(error: BaseException) -> ExitCode:
    """An error of vqchaos itself: its traceback goes to a log, never to the terminal."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state")
    logs = state / "vqchaos" / "logs"
    name = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ") + f"-{os.getpid()}.txt"
    try:
        logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        (logs / name).write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        where = f"the traceback is in {logs / name}"
    except OSError as problem:
        where = f"its traceback could not be saved ({problem.strerror})"
    say(f"vqchaos: an error of vqchaos itself: {type(error).__name__}: {error}")
    say(f"  → please report it; {where}")
    return ExitCode.UNKNOWN
