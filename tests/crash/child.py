"""`vqchaos run` with places to stop at: the crash suite's victim.

``python -m tests.crash.child SAYS,HEARS STEP NTH WORDS…`` runs the command line WORDS. When STEP is
reached for the NTH time it says so on the descriptor SAYS and waits until HEARS says to go on.
Nothing else differs from the real runner.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

STEPS = (
    "preflight",
    "before-ledger",
    "after-ledger",
    "during-inject",
    "after-inject",
    "hold",
    "before-revert",
    "during-revert",
    "recovery",
)


class Stops:
    """Counts how often each step was reached and stops at one of them."""

    def __init__(self, pipes: str, step: str, nth: int) -> None:
        self.says, self.hears = map(int, pipes.split(","))
        self.step = step
        self.left = nth

    def __call__(self, step: str) -> None:
        if step != self.step:
            return
        self.left -= 1
        if self.left == 0:
            befall(os.environ.get("CRASH_DO", ""))
            os.write(self.says, f"reached {step}\n".encode())
            os.read(self.hears, 1)


def befall(what: str) -> None:
    """What happens to the runner's machine at that step."""
    if what == "disk-full":  # no file can grow any more; pipes and new empty files can
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    elif what == "clock-back":
        from vqchaos.clock import RealClock

        RealClock.wall = lambda _self: time.time() - 86400.0  # type: ignore[method-assign,assignment]


def install(reached: Stops, lease: float | None) -> None:
    """Wrap the functions at whose borders the steps lie."""
    from vqchaos.ledger import Entry, Ledger
    from vqchaos.runner import injection, run
    from vqchaos.runner.injection import Injection, Injector
    from vqchaos.runner.undo import undo as real_undo

    if lease is not None:
        run.lease = lambda experiment: lease
    record, preflight = Ledger.record, run.Stages._preflight
    verify, revert_all, undo = Injector._verify, run.Stages._revert_all, real_undo

    def recording(self: Ledger, entry: Entry) -> None:
        reached("before-ledger")
        record(self, entry)
        reached("after-ledger")

    def preflighting(self: run.Stages) -> None:
        reached("preflight")
        preflight(self)

    def verifying(self: Injector, item: Injection) -> None:
        reached("after-inject")
        verify(self, item)
        reached("hold")

    def undoing(entry: Entry, world: Any, ledger: Ledger, said: Callable[[str], None]) -> Any:
        reached("before-revert")

        def reverted(note: str) -> None:
            reached("during-revert")
            said(note)

        return undo(entry, world, ledger, reverted)

    def reverting(self: run.Stages) -> None:
        revert_all(self)
        reached("recovery")

    Ledger.record = recording  # type: ignore[method-assign]
    run.Stages._preflight = preflighting  # type: ignore[method-assign]
    Injector._verify = verifying  # type: ignore[method-assign]
    run.Stages._revert_all = reverting  # type: ignore[method-assign]
    injection.undo = undoing  # type: ignore[attr-defined,assignment]
    _wrap_injects(reached)


def _wrap_injects(reached: Stops) -> None:
    """``during-inject``: the effect is announced and not there yet."""
    from vqchaos.faults import REGISTRY
    from vqchaos.faults.base import State, World

    def wrap(cls: Any) -> None:
        inject = cls.inject

        def injecting(self: Any, world: World, state: State, effect: Callable[[], None]) -> None:
            def stopping() -> None:
                effect()
                reached("during-inject")

            inject(self, world, state, stopping)

        cls.inject = injecting

    for cls in REGISTRY.values():
        if "inject" in vars(cls):
            wrap(cls)
    from vqchaos.faults.base import StartupFault

    wrap(StartupFault)


def main() -> None:
    pipes, step, nth, *words = sys.argv[1:]
    lease = os.environ.get("CRASH_LEASE")
    install(Stops(pipes, step, int(nth)), float(lease) if lease else None)
    from vqchaos.cli.app import run

    sys.exit(run(words))


if __name__ == "__main__":
    main()
