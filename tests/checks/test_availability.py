from __future__ import annotations

from tests.checks.judging import result
from tests.histories import World, changed


def test_the_share_of_ok_in_the_phase() -> None:
    world = World(rate=20).inject().fail(13, 14, "refused", who="clients")  # 20 of about 201
    found = result(world, {"type": "availability", "min": "90%"})
    assert found.verdict == "pass"
    assert found.observed is not None
    found = result(world, {"type": "availability", "min": "95%"})
    assert found.verdict == "fail"
    assert "20 refused; the first at 13.0 s" in found.why


def test_too_few_requests_are_unknown() -> None:
    found = result(World(rate=4).inject(), {"type": "availability", "min": "99%"})
    assert found.verdict == "unknown"
    assert "99% cannot be told from less than 100" in found.why


def test_no_request_is_unknown() -> None:
    world = World().inject()
    check = {"type": "availability", "min": "50%", "workload": "other"}
    assert result(world, check).verdict == "unknown"


def test_cancelled_requests_are_in_no_share() -> None:
    world = World().inject().band(12, 22, lambda r: changed(r, outcome="cancelled"), "clients")
    found = result(world, {"type": "availability", "min": "50%", "phase": "fault"})
    assert found.verdict == "pass"  # the two that were sent before are left
    assert found.observed == 1.0


def test_the_whole_run() -> None:
    world = World(rate=20).inject().fail(13, 14, "refused", who="clients")
    check = {"type": "availability", "min": "95%", "phase": "all"}
    assert result(world, check).verdict == "pass"


def test_what_was_in_flight_at_the_injection_can_stand_apart() -> None:
    world = World(rate=20).inject().fail(11.9, 12.0, "truncated", who="clients", after=0.5)
    check = {"type": "availability", "min": "99.5%"}
    whole = result(world, check)
    assert (whole.verdict, whole.why.count("2 truncated")) == ("fail", 1)
    apart = result(world, {**check, "in_flight": "apart"})
    assert (apart.verdict, apart.observed) == ("pass", 1.0)
    assert "(apart: 4 requests in flight, 2 ok, 2 truncated)" in apart.why
