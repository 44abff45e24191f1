"""The life of the faults of one run: ledger, inject, verify, revert, and an event for each."""

from __future__ import annotations

import random
import string
from dataclasses import asdict, dataclass
from pathlib import Path

from vqchaos.errors import FaultError, VqchaosError
from vqchaos.faults.base import Fault, StartupFault, Ticket, Verification, World, require_few
from vqchaos.history.events import (
    FaultFailed,
    FaultInjected,
    FaultRecorded,
    FaultReverted,
    FaultUndone,
    FaultVerified,
    Note,
)
from vqchaos.ledger import Entry, Ledger
from vqchaos.runner.recorder import Recorder
from vqchaos.runner.undo import Undo, undo

_OF_CONTAINERS = ("containers", "start-up")  # families
_TOKEN = string.ascii_lowercase + string.digits


@dataclass
class Injection:
    """One fault of the run and how far it got."""

    number: int
    name: str
    fault: Fault
    at: float = 0.0  # seconds into the fault phase
    again: bool = False  # a repeat, by `every`
    entry: Entry | None = None
    injected: bool = False
    over: bool = False  # reverted, or instant and nothing left to do before the phase ends
    verified: Verification | None = None  # whether it took hold, once that was asked

    @property
    def in_force(self) -> bool:
        return self.entry is not None and not self.over


class Injector:
    """Injects and reverts; the ledger entry is on disk before anything happens."""

    def __init__(
        self,
        world: World,
        ledger: Ledger,
        recorder: Recorder,
        *,
        run: Path,
        seed: int,
        lease: float,
        max_targets: int,
    ) -> None:
        self._world = world
        self._ledger = ledger
        self._recorder = recorder
        self._run = run.name
        self._folder = str(run.resolve())
        self._seed = seed
        self._max_targets = max_targets
        self._lease = lease  # seconds after which every fault of this run must be gone
        self._tokens = random.SystemRandom()
        self._runner: tuple[int, float] = (0, 0.0)

    def owned_by(self, pid: int, start_time: float) -> Injector:
        """Whose faults these are, for the ledger."""
        self._runner = (pid, start_time)
        return self

    def inject(self, item: Injection, *, restarts: bool) -> None:
        """Capture, record, inject, verify. Raises FaultError if a step fails; what was begun is
        then in the ledger and reverted with the rest. A repeat that finds no target (the last
        time killed it, and it is not back yet) is passed over with a note."""
        fault, rec = item.fault, self._recorder
        wall = self._world.clock.wall()
        ticket = Ticket(
            run=self._run,
            number=item.number,
            token="".join(self._tokens.choices(_TOKEN, k=8)),
            deadline_wall=wall + self._lease,
            seed=self._seed + item.number,
        )
        try:
            require_few(fault, self._world, self._max_targets)
            state = fault.capture(self._world, ticket)
            # A proxy or a process is found without the daemon: its undo must not need it.
            daemon = self._world.daemon() if fault.family in _OF_CONTAINERS else None
        except Exception as error:
            if item.again and isinstance(error, FaultError):
                text = f"{item.name} passed over this time: {error}"
                rec.emit(Note(t=rec.t(), text=text))
                rec.progress.said(text, rec.t())
                return
            raise self._failed(item, "capture", error) from error
        if isinstance(fault, StartupFault):
            state["restarts"] = restarts
        entry = Entry(
            id=f"{self._run}.{item.number}",
            run=self._run,
            number=item.number,
            fault=item.name,
            type=fault.type,
            target=fault.target_name(),
            held=fault.is_held,
            state=state,
            recorded_wall=wall,
            deadline_wall=ticket.deadline_wall,
            runner_pid=self._runner[0],
            runner_start=self._runner[1],
            folder=self._folder,
            daemon={} if daemon is None else asdict(daemon),
        )
        # From here on the fault may be in force: it is reverted whatever happens.
        item.entry = entry
        try:
            self._ledger.record(entry)
        except OSError as error:
            text = f"{self._ledger.path} cannot be written: {error.strerror}; nothing was injected"
            raise self._failed(item, "record", FaultError(text)) from error
        rec.emit(
            FaultRecorded(
                t=rec.t(),
                fault=item.name,
                kind=fault.type,
                entry=entry.id,
                target=entry.target,
                held=fault.is_held,
                startup=fault.startup,
            )
        )

        def effect() -> None:
            # `external` injects nothing: its injection is found in the history.
            if fault.type != "external":
                rec.emit(FaultInjected(t=rec.t(), fault=item.name))
            item.injected = True

        try:
            with rec.interrupts.shield():
                fault.inject(self._world, state, effect)
        except Exception as error:
            raise self._failed(item, "inject", error) from error
        self._verify(item)

    def _verify(self, item: Injection) -> None:
        rec = self._recorder
        assert item.entry is not None
        try:
            answer = item.fault.verify(self._world, item.entry.state)
        except Exception as error:
            raise self._failed(item, "verify", error) from error
        item.verified = answer
        rec.emit(FaultVerified(t=rec.t(), fault=item.name, answer=answer.answer, why=answer.why))
        mark = {"yes": "verified", "no": "NOT verified", "none": "not verifiable"}[answer.answer]
        rec.progress.said(f"{item.name} injected, {mark}: {answer.why}", rec.t())

    def _failed(self, item: Injection, step: str, error: Exception) -> VqchaosError:
        rec = self._recorder
        text = str(error) or type(error).__name__
        rec.emit(FaultFailed(t=rec.t(), fault=item.name, step=step, error=text))
        hint = error.hint if isinstance(error, VqchaosError) else None
        return FaultError(f"{item.name}: {step} failed: {text}", hint=hint)

    def revert(self, item: Injection) -> Undo | None:
        """Revert one fault, shielded; None if there is nothing to revert."""
        if not item.in_force or item.entry is None:
            return None
        rec, entry = self._recorder, item.entry

        def reverted(note: str) -> None:
            rec.emit(FaultReverted(t=rec.t(), fault=item.name, note=note, entry=entry.id))

        with rec.interrupts.shield():
            outcome = undo(entry, self._world, self._ledger, reverted)
            if outcome.done:
                item.over = True
            else:
                rec.emit(
                    FaultFailed(t=rec.t(), fault=item.name, step="revert", error=outcome.proof.why)
                )
            rec.emit(
                FaultUndone(
                    t=rec.t(),
                    fault=item.name,
                    answer=outcome.proof.answer,
                    why=outcome.proof.why,
                    entry=entry.id,
                )
            )
        said = "reverted" if outcome.done else "REVERT FAILED"
        why = outcome.note or outcome.proof.why
        rec.progress.said(f"{item.name} {said}" + (f": {why}" if why else ""), rec.t())
        return outcome
