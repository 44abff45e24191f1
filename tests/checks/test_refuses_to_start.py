from __future__ import annotations

from typing import Any

import pytest

from tests.checks.judging import result
from tests.histories import World
from vqchaos.checks import Result
from vqchaos.history.events import StartAttempt


def check(*attempts: dict[str, Any]) -> Result:
    world = World().inject(name="port_conflict", held=True, startup=True)
    for changes in attempts:
        data: dict[str, Any] = {
            "t": 19.5, "started": 12.0, "fault": "port_conflict", "outcome": "exited",
            "exit_code": 1, "cause": "OSError: [Errno 98] Address already in use",
            "log_tail": ["Traceback …", "  bye  ", ""],
        }  # fmt: skip
        world.add(StartAttempt(**{**data, **changes}))
    return result(world, {"type": "refuses_to_start", "within": "10s"})


def test_a_fast_refusal_that_names_its_cause_passes() -> None:
    found = check({})
    assert (found.verdict, found.observed) == ("pass", 7.5)
    assert "refused after 7.5s with exit code 1: OSError: [Errno 98]" in found.why


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"t": 30.0}, "it took 18s to refuse, limit 10s"),
        ({"exit_code": 0}, "exit code was 0"),
        ({"cause": None}, "no line of its log names the cause; its last line: 'bye'"),
        ({"left": ["process 4711"]}, "left 1 thing behind: process 4711"),
        ({"outcome": "served"}, "started and served after 7.5s instead of refusing"),
        ({"outcome": "neither"}, "neither served nor refused"),
    ],
)
def test_each_way_to_do_it_badly_fails(changes: dict[str, Any], why: str) -> None:
    found = check(changes)
    assert found.verdict == "fail"
    assert why in found.why


def test_everything_wrong_is_said_at_once() -> None:
    found = check({"t": 30.0, "exit_code": 0, "cause": None})
    assert found.why.count(";") >= 2


def test_a_kill_by_signal_is_not_zero() -> None:
    assert check({"exit_code": -9}).verdict == "pass"


def test_an_exit_code_that_nobody_knows_is_unknown() -> None:
    assert check({"exit_code": None}).verdict == "unknown"


def test_every_attempt_is_judged() -> None:
    assert check({}, {"t": 40.0, "started": 20.0}).verdict == "fail"


def test_no_attempt_is_unknown() -> None:
    assert check().verdict == "unknown"
