"""``gameday``: people, a plan, a screen."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vqchaos.cli.common import (
    SET_OPTION,
    STACK_OPTION,
    add_command,
    console,
    experiment_sets,
    open_named_stack,
    say,
    show_error,
)
from vqchaos.errors import InvalidFile, Problem, UsageError

if TYPE_CHECKING:
    from vqchaos.gameday.play import Loaded
    from vqchaos.runner.sets import Planned
    from vqchaos.stack.protocols import Stack


def register(app: typer.Typer) -> None:
    add_command(app, gameday)


def gameday(
    plan: Annotated[Path, typer.Argument(help="A game day's file.", show_default=False)],
    stack: str = STACK_OPTION,
    sets: list[str] = SET_OPTION,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the folders go.")] = Path("runs"),
    operator: Annotated[
        str | None,
        typer.Option(help="Who is at the switch; default your login name.", show_default=False),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Needed where the stack is production.")
    ] = False,
    no_watchdog: Annotated[
        bool,
        typer.Option("--no-watchdog", help="Killed, this process leaves its faults to heal."),
    ] = False,
) -> None:
    """Each step waits for a key. While it runs, `a` aborts: every fault is reverted at once; `d`
    says that people see it, `n` takes a note. Everything is checked before the first step. The
    minutes are in runs/TIME-gameday-ID/, with the report over all steps. It needs a terminal; over
    SSH 80 columns and 24 lines are enough."""
    _require_terminal()
    from vqchaos.clock import RealClock
    from vqchaos.gameday.play import play
    from vqchaos.gameday.screen import show_with
    from vqchaos.runner.sets import SetOptions

    opened = open_named_stack(stack, sets)
    loaded = load(plan, experiment_sets(sets), opened)
    clock = RealClock()
    options = SetOptions(out=out, yes=yes, watchdog=not no_watchdog)
    played = play(loaded, opened, clock, options, operator or _login(), show_with(clock))
    if played.error is not None:
        show_error(played.error)
    if played.summary["runs"]:
        from vqchaos.report.terminal import render_set
        from vqchaos.saved import verdicts_of

        verdicts = verdicts_of(played.folder, played.summary)
        console().print(render_set(played.summary, verdicts))
    say(f"minutes: {played.folder}/minutes.md")
    say(f"report: {played.folder}/index.html")
    raise typer.Exit(played.exit_code)


def _require_terminal() -> None:
    """The screen is drawn on stderr, so that is asked too."""
    lacking = [
        name
        for name, stream in (("stdin", sys.stdin), ("stdout", sys.stdout), ("stderr", sys.stderr))
        if stream is None or not stream.isatty()
    ]
    hint = "`vqchaos run` runs the same experiments without a person"
    if lacking:
        raise UsageError(
            f"a game day needs a terminal, and {', '.join(lacking)} is none", hint=hint
        )
    if os.environ.get("TERM", "dumb") in ("dumb", "unknown", ""):
        raise UsageError(
            "a game day needs a terminal that can be drawn on; TERM is "
            f"'{os.environ.get('TERM', '')}'",
            hint=f"set TERM, such as xterm-256color; {hint}",
        )


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def load(path: Path, sets: list[str], stack: Stack) -> Loaded:
    """The plan with all its experiments; every problem of every file at once."""
    from vqchaos.cli.experiments import load_one, with_golden
    from vqchaos.experiment.files import load_gameday
    from vqchaos.gameday.play import Loaded

    day = load_gameday(path)
    planned: list[Planned | None] = []
    problems: list[Problem] = []
    for step in day.steps:
        if step.experiment is None:
            planned.append(None)
            continue
        try:
            plan = load_one(step.file(path), [*step.set_, *sets], named=True)
        except InvalidFile as error:
            problems += error.problems
        else:
            planned.append(with_golden(plan, stack))
    if problems:
        raise InvalidFile(problems, hint="nothing was run; mend these first")
    return Loaded(day, planned)
