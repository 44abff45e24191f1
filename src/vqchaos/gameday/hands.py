"""Who makes the runs of a step: a thread beside the screen's, with interrupts of its own, so that
an aborted step does not end the day."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence

from vqchaos.clock import Clock
from vqchaos.errors import ExitCode, Interrupted, VqchaosError
from vqchaos.gameday.feed import Feed, StepOver
from vqchaos.ledger import Ledger
from vqchaos.runner.interrupts import Interrupts
from vqchaos.runner.sets import Planned, SetRunner, of_the_disk
from vqchaos.stack.protocols import Stack


def reason(outer: Interrupts) -> str:
    """Why the day was stopped, in words; empty if it was not."""
    if outer.why or outer.first is None:
        return outer.why
    return f"interrupted by {signal.Signals(outer.first).name}"


class Runs:
    """Implements ``live.Hands``. ``plans``: for each step its experiment and how often, or None
    for a pause. ``outer``: the signals that end the whole day; they are passed on by ``stop``."""

    def __init__(
        self,
        runner: SetRunner,
        stack: Stack,
        plans: Sequence[tuple[Planned, int] | None],
        feed: Feed,
        outer: Interrupts,
        clock: Clock,
    ) -> None:
        self.bug: BaseException | None = None  # an error of vqchaos itself
        self._runner = runner
        self._stack = stack
        self._plans = plans
        self._feed = feed
        self._outer = outer
        self._clock = clock
        self._interrupts = Interrupts()
        self._asked_at: float | None = None  # monotonic second of the first stop
        self._thread: threading.Thread | None = None

    def start(self, step: int) -> None:
        found = self._plans[step]
        assert found is not None
        self._asked_at, self._interrupts = None, Interrupts()
        # A signal of a moment ago reached only the interrupts before these; one from here on
        # reaches these.
        self._pass_on()
        self._thread = threading.Thread(
            target=self._work, args=(*found, self._interrupts), name="gameday-runs", daemon=True
        )
        self._thread.start()

    def abort(self) -> float:
        self._pass_on()
        self.stop(signal.SIGINT, "aborted by a key")
        return self._clock.now() if self._asked_at is None else self._asked_at

    def stop(self, signum: int, why: str) -> None:
        """As ``abort``, by a signal. From any thread, and from a signal's handler."""
        if self._interrupts.first is None:
            self._asked_at, self._interrupts.why = self._clock.now(), why
        self._interrupts.receive(signum)

    def _pass_on(self) -> None:
        if self._outer.first is not None:
            self.stop(self._outer.first, reason(self._outer))

    def in_force(self) -> int | None:
        try:
            return len(Ledger(self._stack.state_dir).in_force())
        except (VqchaosError, OSError):
            return None

    def note(self, text: str, at: float | None = None) -> bool:
        return self._runner.note(text, at)

    def join(self) -> None:
        """Until the runs have ended: after an abort that is the undo and its proof."""
        if self._thread is not None:
            self._thread.join()

    def _work(self, plan: Planned, repeats: int, interrupts: Interrupts) -> None:
        error: VqchaosError | None = None
        try:
            for number in range(1, repeats + 1):
                interrupts.check()
                done = self._runner.one(plan, number, repeats, interrupts)
                if done.verdict["exit_code"] == ExitCode.UNCLEAN:
                    break
        except Interrupted:
            pass
        except VqchaosError as caught:
            error = caught
        except OSError as caught:
            error = of_the_disk(caught, self._stack)
        except BaseException as caught:
            self.bug = caught
            error = VqchaosError(f"an error of vqchaos itself: {type(caught).__name__}: {caught}")
        finally:
            self._feed.put(StepOver(error))
