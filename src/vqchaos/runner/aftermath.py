"""What follows a runner's death: its faults reverted, its history completed, its run judged.

The watchdog, ``heal`` and ``abort`` all do this, each in a process of its own, with the stack's
lock in hand and nothing but the ledger, the history and the world to go by.
"""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass, field
from pathlib import Path

from vqchaos.clock import Clock
from vqchaos.history.events import (
    Event,
    FaultFailed,
    FaultReverted,
    FaultUndone,
    Leftovers,
    Note,
    Residue,
    RunEnded,
    RunStarted,
)
from vqchaos.history.store import HistoryError, Writer, read
from vqchaos.judge import judge_folder
from vqchaos.ledger import Entry, Ledger
from vqchaos.runner import marks
from vqchaos.runner.leftovers import leftovers
from vqchaos.runner.logs import keep_logs
from vqchaos.runner.undo import Undo, undo
from vqchaos.stack.protocols import Item, Stack


@dataclass
class Healed:
    """What was in force on one stack and what became of it, newest fault first. ``marks`` are
    expired marks that no ledger knew; ``live`` are those of runs that may still go on elsewhere;
    ``left`` is ours and still there afterwards."""

    stack: str
    found: list[Entry] = field(default_factory=list)
    undone: list[Undo] = field(default_factory=list)
    live: list[marks.Mark] = field(default_factory=list)
    left: list[Item] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Is nothing in force, nothing of ours left, and was everything looked at?"""
        done = all(item.done for item in self.undone) and len(self.undone) == len(self.found)
        return done and not (self.live or self.left or self.problems)


class Story:
    """The history of a run whose runner is dead, from where it broke off. Silent where there is
    none, or where it has its end already."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder = folder
        self._clock = clock
        self._writer: Writer | None = None
        self.began = 0.0  # Unix seconds
        path = folder / "history.jsonl"
        with contextlib.suppress(OSError, HistoryError):
            events = read(path)
            if not any(isinstance(event, RunEnded) for event in events):
                first = events[0]
                assert isinstance(first, RunStarted)
                self._origin = first.started_mono
                self.began = first.started_wall
                self._last = events[-1].t
                self._writer = Writer(path, resume=True)

    @property
    def open(self) -> bool:
        return self._writer is not None

    def t(self) -> float:
        """Seconds since the run's start; never before what was written last (after a reboot the
        monotonic clock begins anew)."""
        return max(self._last, self._clock.now() - self._origin)

    def emit(self, event: Event) -> None:
        """A full disk must not keep an undo from going on."""
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.write(event)

    def end(self) -> None:
        """Close it, and judge the run if it can be."""
        if self._writer is None:
            return
        self._writer.close()
        self._writer = None
        with contextlib.suppress(Exception):  # the undo is what counts; `judge` can do it again
            judge_folder(self.folder)


def revert_all(
    stack: Stack, clock: Clock, *, by: str, why: str, folder: Path | None = None
) -> Healed:
    """Revert everything in the ledger, newest first, going on past a failure; then the expired
    marks; then look at what is left. ``by`` is who does it; ``why`` ends the histories.

    The caller holds the stack's lock. ``folder``: a run to be ended even if it has no fault in
    force. Never raises for what goes wrong in the world.
    """
    ledger = Ledger(stack.state_dir)
    result = Healed(stack.name)
    stories: dict[str, Story] = {}
    if folder is not None:
        stories[folder.name] = Story(folder, clock)
    tokens: dict[str, set[str]] = {}
    for entry in reversed(ledger.in_force()):
        if entry.run not in stories:
            stories[entry.run] = Story(Path(entry.folder or "/nowhere"), clock)
        if "token" in entry.state:
            tokens.setdefault(entry.run, set()).add(str(entry.state["token"]))
        result.found.append(entry)
        result.undone.append(_undo(entry, stack, ledger, stories[entry.run]))
    try:
        _sweep(stack, ledger, clock, result)
        every = {token for mine in tokens.values() for token in mine}
        result.left = [item for item in leftovers(stack, ledger, every) if _ours(item, result)]
    except Exception as error:
        result.problems.append(f"could not look for what is left: {error}")
    for story in stories.values():
        _finish(story, stack, result, by=by, why=why)
    return result


def _undo(entry: Entry, stack: Stack, ledger: Ledger, story: Story) -> Undo:
    def reverted(note: str) -> None:
        if story.open:
            story.emit(FaultReverted(t=story.t(), fault=entry.fault, note=note, entry=entry.id))

    outcome = undo(entry, stack, ledger, reverted)
    if story.open:
        why = outcome.proof.why
        if not outcome.done:
            story.emit(FaultFailed(t=story.t(), fault=entry.fault, step="revert", error=why))
        story.emit(
            FaultUndone(
                t=story.t(),
                fault=entry.fault,
                answer=outcome.proof.answer,
                why=why,
                entry=entry.id,
            )
        )
    return outcome


def _sweep(stack: Stack, ledger: Ledger, clock: Clock, result: Healed) -> None:
    found = marks.find(stack, ledger, clock)
    result.live = found.live
    for mark in found.expired:
        outcome = marks.revert(mark, stack, ledger)
        result.found.append(outcome.entry)
        result.undone.append(outcome)
    if found.blind is not None:
        raise found.blind


def _ours(item: Item, result: Healed) -> bool:
    """Not what was named already: a fault still in the ledger, a live run's mark."""
    failed = {undone.entry.fault for undone in result.undone if not undone.done}
    foreign = {mark.thing.name for mark in result.live}
    return not (item.kind == "fault" and item.name in failed) and item.name not in foreign


def _finish(story: Story, stack: Stack, result: Healed, *, by: str, why: str) -> None:
    if not story.open:
        return
    count = sum(item.done for item in result.undone)
    text = f"{by}: {count} of {len(result.found)} faults reverted"
    story.emit(Note(t=story.t(), text=text, source=by))
    failed = [
        Item("fault", item.entry.fault, f"{item.entry.type}: {item.proof.why}")
        for item in result.undone
        if not item.done
    ]
    items = [asdict(item) for item in [*failed, *result.left]]
    story.emit(Leftovers(t=story.t(), items=items))
    with contextlib.suppress(Exception):  # only a look; the stack may be half down
        story.emit(Residue(t=story.t(), items=[asdict(item) for item in stack.residue()]))
    for remark in keep_logs(stack, story.folder, story.began):
        story.emit(Note(t=story.t(), text=remark, source=by))
    story.emit(RunEnded(t=story.t(), how="died", why=why))
    story.end()
