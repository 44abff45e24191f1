"""`replica:` of the checks that count requests."""

from __future__ import annotations

from typing import Any

import pytest

from tests.checks.judging import result
from tests.histories import World, failed, slowed
from vqchaos.view import NOBODY

CHECKS: list[dict[str, Any]] = [
    {"type": "availability", "min": "90%"},
    {"type": "outcomes", "forbid": ["truncated"]},
    {"type": "outcomes", "allow": ["hung"]},
    {"type": "outcomes", "share": {"ok": "90%"}},
    {"type": "latency_ratio", "max": 2},
]


def half_broken() -> World:
    """In the fault phase server-1 cuts every other answer and is five times as slow."""
    world = World(rate=40).inject(held=True).answered_by("server-1", "server-2")
    world.at_replica(12.0, 22.0, "server-1", lambda r: slowed(r, 5.0))
    cut = lambda r: failed(r, "truncated", 0.2) if int(r.id[4:]) % 4 else r  # noqa: E731
    return world.at_replica(12.0, 22.0, "server-1", cut)


@pytest.mark.parametrize("check", CHECKS)
def test_one_replica_is_judged_apart_from_the_other(check: dict[str, Any]) -> None:
    bad = result(half_broken(), {**check, "replica": "server-1"})
    good = result(half_broken(), {**check, "replica": "server-2"})
    assert (bad.verdict, good.verdict) == ("fail", "pass")
    assert "replica 'server-1'" in bad.why


@pytest.mark.parametrize("check", CHECKS)
def test_an_unknown_replica_is_told_with_those_seen(check: dict[str, Any]) -> None:
    found = result(half_broken(), {**check, "replica": "server-3"})
    assert found.verdict == "unknown"
    assert "'server-3' answered nothing" in found.why
    assert "server-1, server-2" in found.why
    blind = result(World(rate=40).inject(), {**check, "replica": "server-1"})
    assert blind.verdict == "unknown"
    assert "`replica_header`" in blind.why


@pytest.mark.parametrize("check", CHECKS)
def test_what_nobody_answered_can_be_asked_for(check: dict[str, Any]) -> None:
    found = result(half_broken(), {**check, "replica": NOBODY})
    assert found.verdict == "unknown"
    assert "replica 'none'" in found.why
