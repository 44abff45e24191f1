from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.checks.judging import result
from tests.histories import World, changed, experiment, failed, slowed
from vqchaos.experiment.rules import broken_rules

BY_REPLICA = {"type": "neighbour_unharmed", "replica": "server-2"}
BY_WORKLOAD = {"type": "neighbour_unharmed", "workload": "direct"}
TWO: dict[str, Any] = {"workloads": {"clients": {}, "direct": {}}}


def world(rate: float = 40) -> World:
    """Server-1 is broken in the fault phase, server-2 is not."""
    made = World(rate=rate).inject(held=True).answered_by("server-1", "server-2")
    return made.at_replica(12, 22, "server-1", lambda r: failed(r, "truncated", 0.3))


def test_who_serves_on_as_before_is_unharmed() -> None:
    found = result(world(), BY_REPLICA)
    assert found.verdict == "pass"
    assert "ok in the fault phase from replica 'server-2'" in found.why
    assert "p95 100ms, 1.00x the baseline's 100ms, limit 2x" in found.why
    assert (found.observed, found.limit) == ("100%, 1.00x", "99%, 2x")


def test_the_broken_one_is_not() -> None:
    found = result(world(), {**BY_REPLICA, "replica": "server-1"})
    assert found.verdict == "fail"
    assert "truncated; the first at" in found.why


def test_slower_than_its_own_baseline_is_harm() -> None:
    slow = world().at_replica(12, 22, "server-2", lambda r: slowed(r, 2.5))
    found = result(slow, BY_REPLICA)
    assert found.verdict == "fail"
    assert "2.50x the baseline's 100ms, limit 2x" in found.why
    assert result(slow, {**BY_REPLICA, "slowdown": 3.0}).verdict == "pass"


def test_each_replica_has_its_own_baseline() -> None:
    """Server-2 was always slow: that is no harm of this fault."""
    slow = world().at_replica(0, 45, "server-2", lambda r: slowed(r, 5))
    assert result(slow, BY_REPLICA).verdict == "pass"


def test_few_answers_are_judged_by_the_median() -> None:
    few = World(rate=6).inject(held=True).answered_by("server-1", "server-2")
    found = result(few, {**BY_REPLICA, "min": "90%"})
    assert found.verdict == "pass"
    assert "first token p50" in found.why


def test_a_workload_may_be_the_neighbour() -> None:
    made = World(rate=20, workloads=("clients", "direct")).inject(held=True)
    made.fail(13, 20, who="clients")
    assert result(made, BY_WORKLOAD, **TWO).verdict == "pass"
    made.fail(15, 16, who="direct")
    found = result(made, BY_WORKLOAD, **TWO)
    assert found.verdict == "fail"
    assert "of workload 'direct', limit 99" in found.why


def test_too_few_are_unknown() -> None:
    found = result(World(rate=8).inject().answered_by("server-1", "server-2"), BY_REPLICA)
    assert found.verdict == "unknown"
    assert "cannot be told from less than 100" in found.why


def test_without_a_baseline_of_its_own_it_is_unknown() -> None:
    late = World(rate=40).inject(held=True)
    late.band(0, 12, lambda r: changed(r, replica="server-1"))
    late.band(12, 45, lambda r: changed(r, replica="server-2"))
    found = result(late, BY_REPLICA)
    assert found.verdict == "unknown"
    assert "0 answers in the baseline phase of workload 'clients' from replica" in found.why


def test_a_replica_that_was_never_seen_is_unknown() -> None:
    found = result(world(), {**BY_REPLICA, "replica": "server-3"})
    assert found.verdict == "unknown"
    assert "seen: server-1, server-2" in found.why
    assert result(World(rate=40).inject(), BY_REPLICA).verdict == "unknown"


@pytest.mark.parametrize("more", [{}, {"replica": "a", "workload": "clients"}])
def test_exactly_one_neighbour(more: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="exactly one of `replica` and `workload`"):
        experiment(checks=[{"type": "neighbour_unharmed", **more}])


def test_a_share_that_the_load_cannot_show_is_told_before() -> None:
    [(path, text)] = broken_rules(experiment(checks=[BY_REPLICA], workload={"rate": 4}))
    assert path == ("checks", 0, "min")
    assert "needs at least 100 requests in the fault phase" in text
    assert broken_rules(experiment(checks=[BY_REPLICA], workload={"rate": 20})) == []
