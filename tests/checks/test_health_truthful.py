from __future__ import annotations

from typing import Any

from tests.checks.judging import result
from tests.histories import World, killed
from vqchaos.checks import Result
from vqchaos.history.events import MetricsProbe, ProcessExited, ProcessStarted


def check(world: World, within: str = "5s", **changes: Any) -> Result:
    return result(world, {"type": "health_truthful", "within": within}, **changes)


def hung() -> World:
    """SIGSTOP of the engine: nothing is served for ten seconds, health says 200."""
    return World().inject(name="process_pause", held=True).hang(12.0, 22.0)


def test_a_stack_that_tells_the_truth_passes() -> None:
    found = check(killed(30.0))
    assert found.verdict == "pass"
    assert "never lied" in found.why


def test_dead_with_200_is_a_lie() -> None:
    found = check(hung())
    assert found.verdict == "fail"
    assert found.observed is not None
    assert 9.0 <= float(found.observed) <= 10.1
    assert "health said 200 for 9.5s while nothing was served" in found.why
    assert "after the injection" in found.why
    assert len(found.findings) == 1


def test_a_lie_as_short_as_the_limit_passes_and_is_told() -> None:
    found = check(hung(), within="12s")
    assert found.verdict == "pass"
    assert "the longest 9.5s" in found.why


def test_a_client_s_token_is_a_sign_of_life() -> None:
    world = World().inject(held=True).hang(12.0, 22.0, who="pilot")
    assert check(world).verdict == "pass"


def test_vllm_s_iteration_counter_is_a_sign_of_life() -> None:
    world = hung()
    for n in range(12):
        values = {"iteration_tokens_total_count": 100.0 + n}
        world.add(MetricsProbe(t=11.5 + n, values=values))
    assert check(world).verdict == "pass"
    world = hung()
    for n in range(12):
        world.add(MetricsProbe(t=11.5 + n, values={"iteration_tokens_total_count": 100.0}))
    assert check(world).verdict == "fail"


def test_serving_with_not_200_is_a_lie() -> None:
    found = check(World().inject().health(14.0, 21.0, 503))
    assert found.verdict == "fail"
    assert "health said 503 for 6.5s while the pilot was served" in found.why


def test_serving_with_no_answer_is_a_lie_too() -> None:
    found = check(World().inject().health(14.0, 21.0, None))
    assert found.verdict == "fail"
    assert "health said refused for" in found.why


def test_a_failed_pilot_between_breaks_the_streak() -> None:
    world = World().inject().health(14.0, 21.0, 503).fail(17.4, 17.6, who="pilot")
    assert check(world).verdict == "pass"


def test_200_of_a_process_older_than_the_restart_is_a_lie() -> None:
    # A start-up fault stops the server; it drains for 7 s: health 200, its streams go on.
    world = World().inject(name="port_conflict", held=True, startup=True)
    world.fail(12.5, 30.0, "error", who="pilot")
    world.health(19.5, 30.0, None)
    for n in range(14):
        values = {"iteration_tokens_total_count": 100.0 + n}
        world.add(MetricsProbe(t=12.0 + n * 0.5, values=values))
    world.add(
        ProcessExited(t=19.4, role="server", pid=100, exit_code=0),
        ProcessStarted(t=24.0, role="server", pid=200, start_time=1.0),
    )
    found = check(world)
    assert found.verdict == "fail"
    assert "from a process older than the restart" in found.why


def test_every_lie_is_a_finding() -> None:
    world = hung().health(24.0, 31.0, 503)
    found = check(world)
    assert len(found.findings) == 2
    assert "and 1 more lie" in found.why


def test_fewer_than_three_samples_are_unknown() -> None:
    assert check(World(pilot_every=0).inject()).verdict == "unknown"
    assert check(World(health_every=20.0).inject()).verdict == "unknown"
    assert check(World()).verdict == "unknown"


def test_trouble_before_the_injection_does_not_count() -> None:
    assert check(World().health(3.0, 11.0, 503).inject()).verdict == "pass"
