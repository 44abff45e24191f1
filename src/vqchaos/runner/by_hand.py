"""Faults held by a program of one's own (a test, a script) instead of a run: the same lock, ledger,
watchdog and undo, and a history of what was done, but no load, no probes and no verdict.

    with FaultHolder(stack, out=Path("runs"), name="my-test") as chaos:
        with chaos.inject(fault):
            ...
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import psutil

from vqchaos import __version__
from vqchaos.clock import Clock, RealClock
from vqchaos.errors import (
    CapabilityMissing,
    FaultError,
    Interrupted,
    UncleanError,
    UsageError,
    VqchaosError,
)
from vqchaos.experiment.model import Experiment
from vqchaos.faults.base import Fault
from vqchaos.history.events import RunEnded, RunStarted
from vqchaos.ledger import Ledger
from vqchaos.runner.abort import refuse_if_blocked
from vqchaos.runner.folder import make_folder, write_experiment, write_json
from vqchaos.runner.injection import Injection, Injector
from vqchaos.runner.interrupts import Interrupts
from vqchaos.runner.lock import patience_of, stack_lock
from vqchaos.runner.progress import Progress, Silent
from vqchaos.runner.recorder import Recorder
from vqchaos.runner.sets import lacking
from vqchaos.runner.sweep import require_clean
from vqchaos.runner.watchdog import Guard, Watchdog
from vqchaos.stack.opening import AnyStack, remember
from vqchaos.stack.protocols import Stack

LIMIT = 600.0  # seconds


class FaultHolder:
    """Holds the stack while its block runs; every fault is reverted when its own block ends, also
    by an exception or Ctrl-C, and by the watchdog if this process is killed.

    ``limit`` seconds after the start the faults are overdue, and the watchdog ends this process and
    reverts: a program that hangs holds no fault for ever. ``yes`` is needed on a production stack.
    """

    def __init__(
        self,
        stack: Stack,
        *,
        out: Path,
        name: str,
        clock: Clock | None = None,
        limit: float = LIMIT,
        max_targets: int = 1,
        yes: bool = False,
        progress: Progress | None = None,
        guard: Guard | None = None,
    ) -> None:
        self.stack = stack
        self.folder: Path | None = None  # of the history, once it is held
        self._out = out
        self._name = name
        self._clock = clock or RealClock()
        self._limit = limit
        self._max_targets = max_targets
        self._yes = yes
        self._progress = progress or Silent()
        self._guard = guard
        self._interrupts = Interrupts()
        self._items: list[Injection] = []
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Raises StackLocked if a run holds the stack, UncleanError if faults of an earlier one are
        in force, UsageError for a production stack without ``yes``."""
        stack, clock = self.stack, self._clock
        if stack.environment == "production" and not self._yes:
            raise UsageError(
                f"stack '{stack.name}' is production", hint="say so: --chaos-yes, or yes=True"
            )
        with ExitStack() as opening:
            patience = patience_of(stack.state_dir)
            opening.enter_context(stack_lock(stack.state_dir, self._name, clock, patience=patience))
            refuse_if_blocked(stack.state_dir, clock)
            self._ledger = Ledger(stack.state_dir)
            require_clean(stack, clock, self._progress.said)
            self._watchdog = self._guard or self._own_guard(opening)
            self._begin(opening)
            self._open = opening.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._open.__exit__(*error)  # type: ignore[arg-type] # as it came

    def _own_guard(self, opening: ExitStack) -> Guard:
        assert isinstance(self.stack, AnyStack), "another process can open it"
        remember(self.stack)
        return opening.enter_context(Watchdog(self.stack))

    def _begin(self, opening: ExitStack) -> None:
        stack, wall = self.stack, self._clock.wall()
        folder = self.folder = make_folder(self._out, self._name, wall)
        write_json(folder / "stack.json", stack.describe())
        self._recorder = rec = Recorder(
            folder / "history.jsonl", self._clock, self._interrupts, self._progress
        )
        opening.callback(self._end)
        self._seed = secrets.randbelow(2**31)
        me = psutil.Process()
        self._injector = Injector(
            stack,
            self._ledger,
            rec,
            run=folder,
            seed=self._seed,
            lease=self._limit,
            max_targets=self._max_targets,
        ).owned_by(os.getpid(), me.create_time())
        rec.emit(
            RunStarted(
                t=0.0,
                vqchaos_version=__version__,
                run=folder.name,
                experiment=self._name,
                stack=stack.name,
                seed=self._seed,
                started_wall=wall,
                started_mono=rec.origin,
            )
        )
        self._watchdog.run_begins(folder, self._limit)

    def _end(self) -> None:
        """Whatever a block that was never left, or was torn from its undo, may still hold."""
        rec, failed = self._recorder, None
        for item in reversed(self._items):
            try:
                with self._whole():
                    self._revert(item)
            except VqchaosError as error:
                failed = failed or error
        how, why = ("error", str(failed)) if failed else ("completed", "")
        rec.emit(RunEnded(t=rec.t(), how=how, why=why, signal=None))
        self._watchdog.run_over()
        rec.close()
        if failed is not None:
            raise failed

    @contextmanager
    def inject(self, fault: Fault) -> Iterator[Injection]:
        """The fault is in force and verified inside; reverted and verified when the block ends.

        Raises CapabilityMissing if the stack cannot do it, FaultError if it did not take hold (it
        is reverted then), UncleanError if it could not be reverted, UsageError for a fault with
        times of its own, Interrupted for a signal that came in the middle of either.
        """
        if fault.at or fault.for_ is not None or fault.every is not None:
            raise UsageError(
                f"{fault.type}: `at`, `for` and `every` are an experiment's",
                hint="here a fault lasts as long as its block",
            )
        if reasons := lacking(fault, self.stack):
            raise CapabilityMissing(
                f"stack '{self.stack.name}' cannot do it: " + "; ".join(reasons)
            )
        number = len(self._items)
        taken = {item.name for item in self._items}
        name = fault.name or fault.type
        name = name if name not in taken else f"{name}-{number}"
        item = Injection(number, name, fault.model_copy(update={"name": name}))
        self._items.append(item)
        self._write()
        try:
            with self._whole():
                self._watchdog.ensure()
                self._injector.inject(item, restarts=False)
            if item.verified is not None and item.verified.answer == "no":
                raise FaultError(f"{item.name} did not take hold: {item.verified.why}")
            yield item
        finally:
            with self._whole():
                self._revert(item)

    def _revert(self, item: Injection) -> None:
        outcome = self._injector.revert(item)
        if outcome is not None and not outcome.done:
            steps = "; ".join(outcome.manual)
            raise UncleanError(
                f"{item.name} could not be reverted: {outcome.proof.why}",
                hint="`vqchaos heal`" + (f", or by hand: {steps}" if steps else ""),
            )

    def _write(self) -> None:
        """experiment.yaml, for whoever completes the history of a run that died."""
        assert self.folder is not None
        data = {"name": "by-hand", "faults": [item.fault for item in self._items]}
        write_experiment(self.folder, Experiment.model_validate(data))

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """A signal waits until an injection or an undo came to its end; then it counts."""
        said = ""
        try:
            with self._interrupts.installed(), self._interrupts.shield():
                yield
        except VqchaosError as error:
            said = f"; {error}"
            if self._interrupts.first is None:
                raise
        finally:
            first, self._interrupts.first = self._interrupts.first, None
        if first is not None:
            raise Interrupted(first, f"interrupted by signal {first}{said}")
