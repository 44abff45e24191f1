"""One game day from its plan to its report: everything is loaded and looked at before the first
step, and everything is reverted whatever becomes of the screen."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqchaos import __version__
from vqchaos.clock import Clock
from vqchaos.errors import ExitCode, StackUnhealthy, UsageError, VqchaosError
from vqchaos.experiment.gameday import GameDay
from vqchaos.gameday.closing import close, summarise
from vqchaos.gameday.feed import Feed, Item, RunOver
from vqchaos.gameday.hands import Runs, reason
from vqchaos.gameday.live import StepFacts
from vqchaos.gameday.minutes import Minutes
from vqchaos.gameday.session import Session
from vqchaos.gameday.stalled import LastResort
from vqchaos.ledger import Ledger
from vqchaos.runner.folder import make_folder
from vqchaos.runner.interrupts import Interrupts
from vqchaos.runner.sets import Planned, SetOptions, SetRunner, sort_out
from vqchaos.runner.sweep import require_clean
from vqchaos.stack.protocols import Stack
from vqchaos.stack.status import answer_token

_TOKEN = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Loaded:
    """A plan with its experiments; a pause has None."""

    day: GameDay
    planned: Sequence[Planned | None]


@dataclass
class Played:
    """What a game day came to."""

    folder: Path
    summary: dict[str, Any]
    exit_code: ExitCode
    error: VqchaosError | None = None


class Table:
    """Where screen and runs meet: the screen calls ``pull`` before each thing it does."""

    def __init__(self, session: Session, feed: Feed, outer: Interrupts) -> None:
        self.session = session
        self.runs: list[tuple[str, dict[str, Any]]] = []
        self._feed = feed
        self._outer = outer
        self._told: deque[Item] = deque()  # not heard yet

    def pull(self) -> None:
        """A signal, if one came, goes into the session (before the undo that it caused); then what
        the runs told since the last time."""
        if self._outer.first is not None:
            self.session.stopped(self._outer.first, reason(self._outer))
        self._told += self._feed.drain()
        while self._told:
            item = self._told.popleft()
            if isinstance(item, RunOver):
                self.runs.append((item.folder.name, item.verdict))
            self.session.hear(item)

    def stop(self, why: str) -> None:
        """As by SIGHUP: the day ends, and everything is reverted. From any thread."""
        if self._outer.first is None:
            self._outer.why = why
            self._outer.receive(signal.SIGHUP)

    def pull_all(self) -> Exception | None:
        """As ``pull``, but an error of ours in one thing that was told loses none of the others;
        the first such error."""
        first: Exception | None = None
        while True:
            try:
                self.pull()
            except Exception as error:
                first = first or error
            else:
                return first


Show = Callable[[Table, GameDay, Stack], None]


def facts_of(loaded: Loaded) -> list[StepFacts]:
    """The steps, as the session needs them."""
    out = []
    for number, (step, plan) in enumerate(zip(loaded.day.steps, loaded.planned, strict=True), 1):
        if plan is None:
            out.append(
                StepFacts(step.name or f"pause-{number}", ask=step.ask, pause=step.pause or "")
            )
            continue
        experiment = plan.experiment
        out.append(
            StepFacts(
                name=step.name or experiment.name,
                title=experiment.title,
                hypothesis=experiment.hypothesis,
                ask=step.ask,
                repeats=step.repeat or experiment.repeat,
            )
        )
    return out


def look_before(loaded: Loaded, stack: Stack, options: SetOptions) -> None:
    """Nothing may surprise in the middle: what the stack cannot do, a permission that is lacking, a
    stack that does not serve. Raises VqchaosError."""
    sort_out([plan for plan in loaded.planned if plan is not None], stack, options)
    if not answer_token(stack.endpoints, _TOKEN):
        raise StackUnhealthy(
            f"no token came back through {stack.endpoints.client_url}",
            hint="is the stack up? `vqchaos status`, `vqchaos up`",
        )


def play(
    loaded: Loaded,
    stack: Stack,
    clock: Clock,
    options: SetOptions,
    operator: str,
    show: Show,
) -> Played:
    """``show`` is the screen; it returns when the session is over. Raises VqchaosError before the
    first step: the stack is held by another, or not fit."""
    look_before(loaded, stack, options)
    facts = facts_of(loaded)
    outer = Interrupts()
    ledger = Ledger(stack.state_dir)
    feed = Feed(clock.now, lambda: len(ledger.in_force()))
    held = SetOptions(
        out=options.out, yes=options.yes, watchdog=options.watchdog, listener=feed.heard
    )
    runner = SetRunner(stack, clock, feed, outer, held)
    plans = [
        None if plan is None else (plan, fact.repeats)
        for plan, fact in zip(loaded.planned, facts, strict=True)
    ]
    runs = Runs(runner, stack, plans, feed, outer, clock)
    outer.on_signal = lambda signum, _count: runs.stop(signum, reason(outer))
    with outer.installed(), runner.session(f"the game day {loaded.day.name}"):
        require_clean(stack, clock, feed.said)
        folder = make_folder(options.out, "gameday", clock.wall())
        try:
            minutes = Minutes(folder)
        except OSError as error:
            raise UsageError(f"cannot write {folder}: {error.strerror}") from error
        session = Session(facts, clock, minutes, runs, operator)
        session.begin(
            name=loaded.day.name,
            title=loaded.day.title,
            stack=stack.name,
            vqchaos_version=__version__,
            steps=[fact.name for fact in facts],
        )
        table = Table(session, feed, outer)

        def end() -> int:
            _settle(table, runs)
            return _close(folder, table, minutes).exit_code

        last = LastResort(outer, runs.join, end)
        last.start()
        try:
            show(table, loaded.day, stack)
        finally:
            last.screen_gone()
            _settle(table, runs)
            minutes.close()
        played = _close(folder, table, minutes)
    if runs.bug is not None:
        raise runs.bug
    return played


def _settle(table: Table, runs: Runs) -> None:
    """The screen is gone, by itself or not: nothing stays in force, and the minutes get the end."""
    try:
        if not table.session.over:  # its terminal is gone, or an error of ours
            table.stop("the screen went away")
    finally:
        runs.join()
    runs.bug = table.pull_all() or runs.bug


def _close(folder: Path, table: Table, minutes: Minutes) -> Played:
    session = table.session
    codes: list[ExitCode] = []
    if session.signal is not None:  # before the codes of steps that were aborted earlier
        codes.append(ExitCode(128 + session.signal))
    for error in session.errors:  # of a step in the middle: what was asked for was no mistake
        usage = error.exit_code is ExitCode.USAGE
        codes.append(ExitCode.UNKNOWN if usage else error.exit_code)
    if "aborted" in session.marks:  # also where no run was judged as interrupted
        codes.append(ExitCode.SIGINT)
    told = session.errors[-1] if session.errors else None
    try:
        summary = close(folder, minutes.records, table.runs, codes)
    except OSError as caught:
        told = told or VqchaosError(f"{caught.filename}: {caught.strerror}")
        summary = summarise(minutes.records, table.runs, [*codes, ExitCode.UNKNOWN])
    return Played(folder, summary, ExitCode(int(summary["exit_code"])), told)
