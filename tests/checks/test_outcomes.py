from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.checks.judging import result
from tests.histories import World, experiment
from vqchaos.checks import Result


def check(world: World, **settings: Any) -> Result:
    return result(world, {"type": "outcomes", **settings})


def long_streams() -> World:
    return World(tokens=50)


def test_forbid() -> None:
    world = long_streams().inject().fail(13, 14, "hung").fail(15, 15.2, "truncated")
    found = check(world, forbid=["hung", "truncated"])
    assert found.verdict == "fail"
    assert found.observed == "8 hung, 2 truncated"
    assert "10 of" in found.why
    assert "the first at 13.0 s: hung, made up (vqc-" in found.why
    assert check(world, forbid=["error"]).verdict == "pass"


def test_allow_takes_ok_for_granted() -> None:
    world = long_streams().inject().fail(13, 14, "refused")
    assert check(world, allow=["refused"]).verdict == "pass"
    found = check(world, allow=["shed"])
    assert (found.verdict, found.limit) == ("fail", "only ok, shed")


def test_share_is_a_floor_for_ok_and_a_ceiling_for_others() -> None:
    world = World(rate=20).inject().fail(13, 14, "refused", who="clients")
    assert check(world, share={"ok": "90%"}).verdict == "pass"
    found = check(world, share={"ok": "95%"})
    assert found.verdict == "fail"
    assert "limit ok at least 95%" in found.why
    assert check(world, share={"refused": "10%"}).verdict == "pass"
    assert check(world, share={"ok": "80%", "refused": "5%"}).verdict == "fail"


def test_a_share_needs_one_over_one_minus_the_limit_requests() -> None:
    world = World(rate=4).inject()  # 41 requests
    found = check(world, share={"ok": "99%"})
    assert found.verdict == "unknown"
    assert "less than 100" in found.why
    assert check(world, share={"hung": "1%"}).verdict == "unknown"
    assert check(world, share={"ok": "97%"}).verdict == "pass"


def test_one_failure_decides_against_a_hundred_percent() -> None:
    world = World(rate=4).inject().fail(13, 13.2, "error")
    assert check(world, share={"ok": "100%"}).verdict == "fail"


def test_no_request_is_unknown() -> None:
    assert check(World().inject(), phase="settle", workload="other", forbid=["hung"]).verdict == (
        "unknown"
    )


def test_the_phase_and_the_workload_are_picked() -> None:
    world = World(workloads=("a", "b"), tokens=50).inject().fail(13, 14, "hung", who="a")
    assert check(world, workload="a", forbid=["hung"]).verdict == "fail"
    assert check(world, workload="b", forbid=["hung"]).verdict == "pass"
    assert check(world, phase="recovery", forbid=["hung"]).verdict == "pass"
    assert check(world, phase="all", forbid=["hung"]).verdict == "fail"


def test_the_pilot_is_no_client() -> None:
    world = long_streams().inject().fail(13, 14, "hung", who="pilot")
    assert check(world, forbid=["hung"]).verdict == "pass"


@pytest.mark.parametrize(
    "limits", [{"forbid": ["truncated"]}, {"forbid": ["reset", "hung"]}, {"allow": ["refused"]}]
)
def test_cuts_of_an_instant_fault_are_unknown_with_nothing_in_flight(limits: Any) -> None:
    idle = World(rate=4).inject(12.2)
    found = check(idle, **limits)
    assert found.verdict == "unknown"
    assert "no request was in flight" in found.why
    assert check(long_streams().inject(12.2), **limits).verdict == "pass"


def test_with_nothing_in_flight_other_outcomes_and_held_faults_are_judged() -> None:
    assert check(World(rate=4).inject(12.2), forbid=["hung"]).verdict == "pass"
    assert check(World(rate=4).inject(12.2, held=True), forbid=["reset"]).verdict == "pass"
    cut = World(rate=4).inject(12.2).fail(13, 13.5, "reset")
    assert check(cut, forbid=["reset"]).verdict == "fail"


@pytest.mark.parametrize(
    "bad", [{}, {"allow": [], "forbid": ["hung"]}, {"forbid": []}, {"share": {}}]
)
def test_exactly_one_kind_of_limit(bad: Any) -> None:
    with pytest.raises(ValidationError):
        experiment(checks=[{"type": "outcomes", **bad}])


def test_an_unknown_outcome_is_an_error() -> None:
    with pytest.raises(ValidationError):
        experiment(checks=[{"type": "outcomes", "forbid": ["hanged"]}])
