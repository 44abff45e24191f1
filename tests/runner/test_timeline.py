"""The fault phase's own time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from tests.histories import experiment
from vqchaos.runner.injection import Injection
from vqchaos.runner.timeline import STREAM_WAIT, FaultPhase, injections


@dataclass
class Times:
    """A recorder whose waits pass in no time; what was done, and when."""

    now: float = 20.0
    done: list[tuple[str, float]] = field(default_factory=list)

    def t(self) -> float:
        return self.now

    def wait(self, until: Callable[[], bool], limit: float) -> bool:
        end = self.now + limit
        while not until() and self.now < end:
            self.now = min(end, self.now + 0.5)
        return until()

    def inject(self, item: Injection, **_more: object) -> None:
        self.done.append(("inject", self.now))

    def revert(self, item: Injection) -> None:
        self.done.append(("revert", self.now))


def phase(times: Times, streams_from: float, **more: Any) -> list[tuple[str, float]]:
    class Status:
        @property
        def streaming(self) -> int:
            return int(times.now >= streams_from)

    exp = experiment(
        faults=[{"type": "proxy_down", **more}],
        phases={"warmup": "0s", "baseline": "5s", "fault": "4s", "recovery": "9s", "settle": "0s"},
    )
    observer = SimpleNamespace(status=Status())
    made = FaultPhase(exp, *(cast("Any", one) for one in (None, times, observer, times)))
    assert made.run(injections(exp)) == "time is up"
    return [*times.done, ("over", times.now)]


def test_a_wait_for_a_stream_is_not_taken_from_the_fault() -> None:
    done = phase(Times(), streams_from=23.0, **{"at": "500ms", "for": "1500ms"})
    assert done == [("inject", 23.0), ("revert", 24.5), ("over", 26.5)]


def test_with_a_stream_nothing_moves() -> None:
    done = phase(Times(), streams_from=0.0, **{"at": "500ms", "for": "1500ms"})
    assert done == [("inject", 20.5), ("revert", 22.0), ("over", 24.0)]


def test_a_stream_that_never_comes_costs_its_limit() -> None:
    done = phase(Times(), streams_from=1e9)
    assert done == [("inject", 20.0 + STREAM_WAIT), ("over", 24.0 + STREAM_WAIT)]
