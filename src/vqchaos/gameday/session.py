"""The game day itself, apart from any screen: which step is on, what a key does now, what is
written into the minutes. Everything here happens in one thread; the runs are made by ``Hands``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from vqchaos.clock import Clock
from vqchaos.errors import VqchaosError
from vqchaos.gameday import feed
from vqchaos.gameday.live import Hands, Live, StepFacts
from vqchaos.gameday.minutes import Minutes
from vqchaos.gameday.results import Result, how_it_ended, record_of
from vqchaos.report.minutes import seconds, tidy
from vqchaos.runner.progress import Snapshot

_LOG = 200  # lines kept for the screen
_NOT = "NOT everything could be reverted: end (q), then `vqchaos heal`."
_KEY = "the key"


class Session:
    """``state``: ready (the step waits for people), running, reverting (aborted, not over yet),
    after (its result is on the screen), over."""

    def __init__(
        self,
        steps: Sequence[StepFacts],
        clock: Clock,
        minutes: Minutes,
        hands: Hands,
        operator: str,
    ) -> None:
        self.steps = list(steps)
        self.marks = ["todo"] * len(self.steps)
        self.at = 0
        self.state = "ready"
        self.operator = tidy(operator) or "unknown"
        self.live = Live()
        self.results: list[Result] = []  # of the step that is on, or was last
        self.log: deque[str] = deque(maxlen=_LOG)
        self.message = ""
        self.error: VqchaosError | None = None  # of the step that is on, or was last
        self.errors: list[VqchaosError] = []  # of every step
        self.signal: int | None = None
        self.ends_after = False  # once the step's runs are over
        self._why = "all steps are done"
        self._asked_by = _KEY  # to abort
        self.began = clock.now()
        self._clock = clock
        self._minutes = minutes
        self._hands = hands
        self._dirs: list[str] = []

    @property
    def step(self) -> StepFacts:
        return self.steps[min(self.at, len(self.steps) - 1)]

    @property
    def running(self) -> bool:
        return self.state in ("running", "reverting")

    @property
    def over(self) -> bool:
        return self.state == "over"

    @property
    def left(self) -> int:
        """How many steps nobody has started or skipped."""
        return self.marks.count("todo")

    @property
    def problem(self) -> str:
        """Why the minutes are not whole; empty if they are."""
        return self._minutes.problem

    def begin(self, **facts: Any) -> None:
        """The first record of the minutes."""
        self._write("session.started", **facts)

    # ---------------------------------------------------------------- keys

    def go_on(self) -> None:
        """Start the step that waits, or go on from a result to the next."""
        if self.state == "ready":
            self._start()
        elif self.state == "after":
            self._next()
        elif self.running:
            self.message = "The step is running; `a` aborts it."

    def skip(self) -> None:
        if self.state == "ready":
            self.marks[self.at] = "skipped"
            self._write_step("skipped", why=f"skipped by {self.operator}")
            self._next()
        elif self.running:
            self.message = "The step is running; `a` aborts it."
        else:
            self.message = "Nothing to skip; enter goes on."

    def revert(self) -> None:
        """The undo of ``abort`` alone, from any thread; the session hears of the key as of any."""
        if self.running:
            self._hands.abort()

    def abort(self, at: float | None = None) -> None:
        """``at``: when the key was pressed. The revert is asked for before anything else."""
        pressed = self._clock.now() if at is None else at
        if self.running:
            pressed = min(pressed, self._hands.abort())
        if self.state == "reverting":
            self.message = "Still reverting; a second key does not hurry it."
        elif self.state == "running":
            self.state = "reverting"
            self.live.aborted_at, self._asked_by = pressed, _KEY
            self.message = "ABORT: reverting every fault …"
            self._write("abort", pressed, step=self.at + 1, name=self.step.name)
        else:
            self.message = self._idle()

    def _idle(self) -> str:
        left = self._hands.in_force()
        if left == 0:
            return "Nothing is running, and nothing is in force."
        return _NOT if left else "Nothing is running. The ledger cannot be read: `vqchaos status`."

    def seen(self, at: float | None = None) -> None:
        """People see that something is wrong; the first time after an injection counts."""
        pressed = self._clock.now() if at is None else at
        live = self.live
        if not self.running:
            self.message = "No step is running."
        elif live.injected_at is None or pressed < live.injected_at:
            self.message = "Nothing is injected yet: a false alarm, written down as such."
            self._write("detected", pressed, since=None)
            self._hands.note(f"{self.operator} saw something before the injection", pressed)
        elif live.people_at is not None:
            self.message = f"Seen already, {seconds(live.since(live.people_at))} after it."
        else:
            live.people_at, live.people = pressed, self.operator
            since = live.since(pressed)
            self.message = f"People saw it {seconds(since)} after the injection."
            self._write("detected", pressed, since=since, step=self.at + 1)
            self._hands.note(f"detected by people ({self.operator})", pressed)

    def note(self, text: str, at: float | None = None) -> None:
        """``at``: when the note was begun."""
        if not (text := tidy(text)):
            return
        pressed = self._clock.now() if at is None else at
        self._write("note", pressed, text=text)
        self._hands.note(f"{self.operator}: {text}", pressed)
        self._say(f"note: {text}")
        self.message = "Noted."

    def hand_over(self, name: str) -> None:
        """Somebody else takes the switch."""
        if not (name := tidy(name)) or name == self.operator:
            return
        self._write("operator", None, **{"from": self.operator, "to": name})
        self._hands.note(f"{name} takes the switch from {self.operator}")
        self.operator = name
        self.message = f"{name} is at the switch."

    def end(self) -> None:
        """Now, or after the abort of the step that runs."""
        self._why = f"ended by {self.operator}"
        if self.running:
            self.ends_after = True
            if self.state == "running":
                self.abort()
        else:
            self._over()

    def stopped(self, signum: int, why: str) -> None:
        """A signal came, or another terminal asked; the runs know it already."""
        if self.signal is not None or self.over:
            return
        self.signal, self._why = signum, why
        asked = self._hands.abort() if self.running else self._clock.now()
        self._write("signal", asked, text=why)
        if self.running:
            self.ends_after = True
            self.message = f"{why}: reverting every fault …"
            if self.state == "running":
                self.state, self.live.aborted_at = "reverting", asked
                self._asked_by = _by(why)
        else:
            self._over()

    # ---------------------------------------------------------------- what the runs tell

    def hear(self, item: feed.Item) -> None:
        live = self.live
        match item:
            case feed.RunBegan():
                key = live.aborted_at if self.state == "reverting" else None
                self.live = Live(item.number, item.of, aborted_at=key)
            case feed.Filed():
                facts = {"number": live.number, "of": live.of, "name": self.step.name}
                self._write("run.started", None, step=self.at + 1, dir=item.dir, **facts)
            case feed.PhaseBegan():
                live.phase, live.limit = item.name, item.limit
            case feed.Said():
                self._say(item.text if item.t is None else f"{item.t:6.1f}s {item.text}")
            case feed.Tick():
                self._sample(item.snapshot)
            case feed.Recorded():
                live.in_force.add(item.fault)
            case feed.Injected():
                if live.injected_at is None:
                    live.injected_at = item.at
                self._write("fault.injected", item.at, fault=item.fault)
            case feed.Probed():
                live.probe_at, live.probe_text = item.at, item.text
                since = live.since(item.at)
                self._write("probe", item.at, since=since, text=tidy(item.text))
            case feed.Undone():
                self._undone(item)
            case feed.RunOver():
                self._run_over(item)
            case feed.StepOver():
                self._step_over(item.error)

    def _undone(self, item: feed.Undone) -> None:
        live = self.live
        self._write("fault.undone", item.at, fault=item.fault, answer=item.answer)
        if item.answer != "no":
            live.in_force.discard(item.fault)
        if item.left == 0:
            live.in_force.clear()
            live.reverted = True
            if live.aborted_at is not None and item.at >= live.aborted_at:
                live.reverted_after = item.at - live.aborted_at
                facts = {"since": live.reverted_after, "by": self._asked_by}
                self._write("reverted", item.at, **facts)
                self.message = self._ending("aborted", None)

    def _sample(self, snapshot: Snapshot) -> None:
        live = self.live
        live.snapshot = snapshot
        second = int(snapshot.t)
        ok, rate = snapshot.recent_ok, snapshot.recent_rate
        values = (ok, 0.0 if ok is None else rate * (1 - ok), snapshot.recent_ttft)
        if second == live.sampled and live.series:
            live.series[-1] = values
        else:
            live.series.append(values)
            live.sampled = second

    def _run_over(self, item: feed.RunOver) -> None:
        live = self.live
        by_people = live.since(live.people_at)
        result = Result(
            step=self.at + 1,
            name=self.step.name,
            folder=item.folder,
            verdict=item.verdict,
            how=how_it_ended(
                item.verdict,
                aborted=live.aborted_at is not None,
                by_signal=self.signal is not None,
            ),
            by_people=by_people,
            by_whom=live.people,
            reverted_after=live.reverted_after,
            injected=live.injected_at is not None,
        )
        self.results.append(result)
        self._dirs.append(item.folder.name)
        self._write("run.ended", **record_of(result))

    def _step_over(self, error: VqchaosError | None) -> None:
        self.error = error
        order = ("unclean", "error", "aborted", "interrupted", "fail", "void", "unknown", "pass")
        seen = {result.how for result in self.results}
        made, planned = len(self.results), self.step.repeats
        why, left_out = "", error is None and made < planned
        if error is not None:
            self.errors.append(error)
            seen.add("error")
            why = tidy(error.message)
        elif left_out and "unclean" not in seen:
            seen.add("aborted" if self.signal is None else "interrupted")
        how = next(word for word in order if word in seen)
        self.marks[self.at] = how
        self.message = self._ending(how, error)
        if left_out:
            why = f"{made} of {planned} runs made"
            self.message += f" {made} of {planned} runs were made." if planned > 1 else ""
        self._write_step(how, why=why, runs=self._dirs, left_out=left_out)
        self.state = "after"
        if self.ends_after:
            self._over()

    # ---------------------------------------------------------------- inside

    def _ending(self, how: str, error: VqchaosError | None) -> str:
        """What the screen says of a step that is over, above its result."""
        if error is not None:
            return tidy(error.message)
        if how == "unclean":
            return _NOT
        if how not in ("aborted", "interrupted"):
            return ""
        after = self.live.reverted_after
        if after is not None:
            return f"ABORTED: everything reverted {seconds(after)} after {self._asked_by}."
        if self.live.injected_at is not None:
            return "ABORTED: everything is reverted."  # before it, or nobody saw when
        return "ABORTED: nothing was in force."

    def _start(self) -> None:
        step = self.step
        self.results, self._dirs, self.message, self.live = [], [], "", Live()
        self.error = None
        self.marks[self.at] = "now"
        facts = {"hypothesis": step.hypothesis, "ask": step.ask, "pause": step.pause}
        self._write("step.started", None, step=self.at + 1, name=step.name, **facts)
        if step.pause:
            self.marks[self.at] = "done"
            self._write_step("done")
            self._next()
            return
        self.state = "running"
        self._hands.start(self.at)

    def _next(self) -> None:
        self.message, self.results, self.live = "", [], Live()
        self.at += 1
        self.state = "ready"
        if self.at >= len(self.steps):
            self._over()

    def _over(self) -> None:
        self.state = "over"
        left = f", {self.left} of {len(self.steps)} steps not begun" if self.left else ""
        self._write("session.ended", why=self._why + left)

    def _say(self, text: str) -> None:
        self.log.append(tidy(text))

    def _write_step(
        self, how: str, why: str = "", runs: Sequence[str] = (), *, left_out: bool = False
    ) -> None:
        facts = {"how": how, "why": why, "runs": list(runs), "left_out": left_out}
        self._write("step.ended", None, step=self.at + 1, name=self.step.name, **facts)

    def _write(self, kind: str, at: float | None = None, /, **facts: Any) -> None:
        """``at``: monotonic; default now."""
        wall = self._clock.wall()
        if at is not None:
            wall -= self._clock.now() - at
        self._minutes.write({"kind": kind, "wall": round(wall, 3), "who": self.operator, **facts})


def _by(why: str) -> str:
    """Of a stop from outside: after what everything was reverted."""
    if why.startswith("interrupted by "):
        return "the signal"
    return "`vqchaos abort`" if why == "aborted from another terminal" else why
