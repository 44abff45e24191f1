from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.checks.judging import result
from tests.histories import WALL, World, experiment, killed
from vqchaos.checks import Result
from vqchaos.history.events import ProcessStarted
from vqchaos.view import RunView


def check(world: World, **settings: Any) -> Result:
    return result(world, {"type": "restarts", **settings})


def loop(times: int) -> World:
    world = World().inject()
    for n in range(times):
        at = 13.0 + 3 * n
        world.add(ProcessStarted(t=at, role="server", pid=200 + n, start_time=WALL + at))
    return world


@pytest.mark.parametrize(
    ("times", "settings", "verdict"),
    [
        (1, {"max": 1}, "pass"),
        (3, {"max": 1}, "fail"),
        (0, {"min": 1}, "fail"),
        (2, {"min": 1, "max": 2}, "pass"),
        (0, {"max": 0}, "pass"),
    ],
)
def test_servers_started_after_the_injection_are_counted(
    times: int, settings: dict[str, int], verdict: str
) -> None:
    found = check(loop(times), **settings)
    assert (found.verdict, found.observed) == (verdict, times)


def test_launcher_and_probe_report_one_start_once() -> None:
    world = killed(30.0)
    world.add(
        ProcessStarted(t=24.9, role="server", pid=200, start_time=WALL + 24.5, source="launcher")
    )
    assert check(world, max=1).observed == 1


def test_other_roles_are_no_restart() -> None:
    world = killed(30.0).add(ProcessStarted(t=26, role="engine", pid=201, start_time=WALL + 26))
    assert check(world, max=1).observed == 1


def test_without_any_server_seen_it_is_unknown() -> None:
    made = experiment(checks=[{"type": "restarts", "max": 1}])
    events = [e for e in killed().build() if not isinstance(e, ProcessStarted)]
    assert made.checks[0].judge(RunView(events, made)).verdict == "unknown"
    assert check(World(), max=1).verdict == "unknown"


@pytest.mark.parametrize("bad", [{}, {"min": 2, "max": 1}, {"max": -1}])
def test_a_limit_is_needed(bad: Any) -> None:
    with pytest.raises(ValidationError):
        experiment(checks=[{"type": "restarts", **bad}])
