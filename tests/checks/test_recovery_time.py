from __future__ import annotations

from typing import Any

import pytest

from tests.checks.judging import result
from tests.histories import World, killed


def check(world: World, **settings: Any) -> Any:
    return result(world, {"type": "recovery_time", **settings})


def test_it_passes_below_its_limit_and_fails_above() -> None:
    found = check(killed(30.0), max="20s")
    assert (found.verdict, found.observed, found.limit, found.unit) == ("pass", 18.1, 20.0, "s")
    found = check(killed(30.0), max="18s")
    assert found.verdict == "fail"
    assert "longest part: process gone to process back, 12.8s" in found.why


def test_no_impact_passes() -> None:
    found = check(World().inject(), max="1s")
    assert (found.verdict, found.observed) == ("pass", 0.0)
    assert "no client" in found.why


def test_not_recovered_is_a_fail_only_if_watched_longer_than_the_limit() -> None:
    world = World().inject().down(12.1, 99)  # watched for 33 s
    found = check(world, max="30s")
    assert found.verdict == "fail"
    assert "not recovered 33s after the last injection, limit 30s" in found.why
    assert "the last thing seen: detected, 135ms after injection" in found.why
    found = check(world, max="40s")
    assert found.verdict == "unknown"
    assert "raise `phases.recovery`" in found.why


@pytest.mark.parametrize(
    ("since", "seconds"), [("anchor", 3.1), ("revert", 3.1), ("injection", 13.1)]
)
def test_it_counts_from_where_it_is_told(since: str, seconds: float) -> None:
    world = World().inject(name="proxy_down", held=True, reverted=22.0).fail(12.0, 25.0)
    assert check(world, max="20s", **{"from": since}).observed == seconds


def test_from_revert_without_a_held_fault_is_unknown() -> None:
    assert check(killed(), max="20s", **{"from": "revert"}).verdict == "unknown"


def test_nothing_injected_is_unknown() -> None:
    assert check(World(), max="20s").verdict == "unknown"


def test_a_relapse_is_told() -> None:
    assert "relapsed once" in check(killed(25.0).fail(40.5, 41.0), max="60s").why
