"""What is judged looks at each kind of requests a fixed number of times, however many failed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.histories import World, experiment, failed
from vqchaos.history.events import Request
from vqchaos.history.history import History
from vqchaos.judge import judge

CHECKS: list[dict[str, Any]] = [
    {"type": "recovery_time", "max": "5s"},
    {"type": "availability", "min": 0.9},
    {"type": "outcomes", "allow": ["ok"], "phase": "all"},
    {"type": "health_truthful", "within": "1s"},
    {"type": "latency_ratio", "max": 3.0},
    {"type": "answered_once"},
]


class Counting(list[Any]):
    """Knows how often somebody began to look at all of it."""

    looks = 0

    def __iter__(self) -> Iterator[Any]:
        self.looks += 1
        return super().__iter__()


def looks(every: int, name: str) -> int:
    """How often all keys of a table are looked at, if every n-th request of the fault fails."""

    def fail(request: Request) -> Request:
        return request if int(request.id[4:]) % every else failed(request, "refused", 0.01)

    world = World(rate=20.0).inject().band(12.5, 22.0, fail)
    history = History(world.build())
    table = getattr(history, name)
    table.keys = Counting(table.keys)
    judge(history, experiment(checks=CHECKS))
    return int(table.keys.looks)


@pytest.mark.parametrize("name", ["requests", "health"])
def test_more_failures_are_no_more_looks_at_all_kinds(name: str) -> None:
    assert looks(2, name) == looks(5, name) > 0
