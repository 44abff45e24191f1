"""Every sentence of MEASURE's "Recovery", on scripted histories."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.histories import World, changed, experiment, failed, killed, slowed
from vqchaos.history.events import (
    PILOT,
    ContainerEvent,
    Event,
    FaultInjected,
    MetricsProbe,
    PhaseEnded,
    PhaseStarted,
    ProcessExited,
    ProcessStarted,
    Request,
    StartAttempt,
)
from vqchaos.recovery import Recovery, RecoveryWatch, recover
from vqchaos.view import RunView

EXTERNAL = [{"type": "external"}]


def recovery(world: World, **changes: Any) -> Recovery:
    return recover(RunView(world.build(), experiment(**changes)))


def moment(found: Recovery, stage: str) -> tuple[float, str]:
    """When, to the millisecond, and who says so."""
    at = found.phases[stage]
    assert at is not None, stage
    return round(at.at, 3), at.source


# ---------------------------------------------------------------- detection


def test_detected_at_is_the_first_impact_that_a_client_saw() -> None:
    world = World().inject().fail(13.0, 14.0, "refused", who="clients").hang(12.5, 12.6)
    # The hung one stalls at 13.5; the refused ones fail from 13.01 on.
    assert recovery(world).detected_at == pytest.approx(13.01)


def test_a_stall_is_an_impact_before_the_request_ends() -> None:
    world = World(deadline=8.0).inject().hang(12.0, 13.0, who="clients")
    found = recovery(world)
    assert found.detected_at == pytest.approx(13.0)
    assert found.impact == "failed"


def test_a_stalled_request_that_ends_ok_is_an_impact() -> None:
    world = World().inject()
    slow = world.request(12.5, first_token=14.5, tokens=[14.5], ended=14.5)
    found = recovery(world.add(slow))
    assert found.impact == "stalled"
    assert found.detected_at == pytest.approx(13.5)


def test_probe_detected_at_is_apart() -> None:
    world = World().inject().health(12.4, 13.0, 503).fail(13.0, 14.0, who="clients")
    found = recovery(world)
    assert found.probe_detected_at == pytest.approx(12.505)
    assert found.detected_at == pytest.approx(13.01)


def test_the_pilot_is_a_probe() -> None:
    found = recovery(World().inject().fail(13.0, 14.0, who=PILOT))
    assert found.probe_detected_at == pytest.approx(13.01)
    assert found.detected_at is None
    assert found.impact == "failed"


def test_trouble_before_the_injection_is_no_impact() -> None:
    found = recovery(World().fail(5, 5.2).inject())
    assert found.impact == "none"
    assert found.detected_at is None


# ---------------------------------------------------------------- the window


def test_recovered_at_is_the_first_token_of_the_first_request_of_the_window() -> None:
    found = recovery(killed(30.0))
    assert found.recovered_at == pytest.approx(30.1)
    assert found.since_injection == pytest.approx(18.1)


def test_the_window_is_in_order_of_sending_and_late_failures_before_it_do_not_touch_it() -> None:
    world = World(deadline=20.0).inject().hang(12.1, 15.0, who="clients")
    found = recovery(world)  # the hung ones end from 32.1 on, long after the window
    assert found.recovered_at == pytest.approx(15.1)
    assert found.relapses == 0


def test_one_failure_in_the_window_starts_it_again() -> None:
    world = killed(30.0)
    bad = failed(world.request(31.0), "error", 0.1)
    assert recovery(world.add(bad)).recovered_at == pytest.approx(31.1, abs=0.13)


def test_one_stalled_request_in_the_window_starts_it_again_though_it_ended_ok() -> None:
    world = killed(30.0)
    slow = world.request(31.0, first_token=33.0, tokens=[33.0], ended=33.0)
    found = recovery(world.add(slow))
    assert found.recovered_at == pytest.approx(31.1, abs=0.13)


def test_the_pilot_is_in_the_window() -> None:
    world = killed(30.0).fail(31.0, 31.1, who=PILOT)
    found = recovery(world)
    assert found.recovered_at is not None
    assert found.recovered_at > 31.1


def test_a_window_spans_for() -> None:
    world = killed(38.0)
    world.settle = None  # watched until 40: 2 s of service
    assert recovery(world).censored
    world = killed(36.0)
    world.settle = None
    assert recovery(world).recovered_at == pytest.approx(36.1)


def test_a_window_holds_successes_of_workloads_and_the_pilot_s_do_not_count() -> None:
    quiet = {"for": "3s", "successes": 60, "slowdown": 2}
    world = killed(36.0)  # 9 s at 8/s until the end of settle
    assert recovery(world, recovered=quiet).recovered_at == pytest.approx(36.1)
    quiet["successes"] = 80
    assert recovery(world, recovered=quiet).censored


def test_no_request_of_the_window_is_sent_before_the_last_injection() -> None:
    world = World().inject(12.0, name="first").fail(12.1, 12.5)
    world.inject(20.0, name="second", kind="process_kill")
    found = recovery(world)
    assert found.recovered_at == pytest.approx(20.1)
    assert found.since_injection == pytest.approx(0.1)
    assert found.injected_at == 12.0


def test_a_slow_service_has_not_recovered() -> None:
    world = killed(30.0).slow(30.0, 35.0, 3.0)
    assert recovery(world).recovered_at == pytest.approx(35.1)


def test_below_40_samples_the_median_decides() -> None:
    # Every fourth request is ten times as slow: the p95 is far off, the median is not.
    world = killed(30.0)
    for n in range(10):
        start = 30.375 + n * 0.5
        world.slow(start, start + 0.1, 8.0, who="clients")
    found = recovery(world)
    assert found.recovered_at == pytest.approx(30.1)
    # With 40 samples the p95 does.
    long = {"for": "6s", "successes": 10, "slowdown": 2}
    later = recovery(world, recovered=long).recovered_at
    assert later is not None
    assert later > 30.5


def test_a_window_does_not_begin_with_a_slow_request() -> None:
    world = killed(30.0).slow(30.0, 30.6, 5.0, who="clients").fail(30.0, 30.6, who=PILOT)
    assert recovery(world).recovered_at == pytest.approx(30.725, abs=0.13)


def test_workloads_are_each_compared_with_their_own_baseline() -> None:
    world = killed(30.0)
    world.workloads = ("clients", "slow ones")
    world.bands.insert(0, world.slow(0, 99, 6.0, who="slow ones").bands.pop())
    assert recovery(world).recovered_at == pytest.approx(30.1)


def test_cancelled_requests_do_not_count_unless_they_had_stalled() -> None:
    world = killed(30.0)
    quick = changed(world.request(32.0), outcome="cancelled", tokens=[], first_token=None)
    assert recovery(world.add(quick)).recovered_at == pytest.approx(30.1)
    stuck = changed(
        world.request(32.0), outcome="cancelled", tokens=[], first_token=None, ended=38.0
    )
    found = recovery(world.add(stuck))
    assert found.recovered_at == pytest.approx(32.1, abs=0.13)


# ---------------------------------------------------------------- settle and relapse


def test_impact_in_settle_is_a_relapse_and_the_window_starts_again() -> None:
    world = killed(25.0).fail(40.5, 41.0)
    found = recovery(world)
    assert found.relapses == 1
    assert found.recovered_at == pytest.approx(41.1)


def test_a_relapse_without_a_window_after_it_is_censored() -> None:
    found = recovery(killed(25.0).fail(44.0, 44.4))
    assert found.relapses == 1
    assert found.recovered_at is None
    assert found.censored


def test_a_crash_loop_that_is_up_for_seconds_has_not_recovered() -> None:
    world = World().inject().fail(12.1, 15.0)
    for start in range(15, 45, 4):  # up 2 s, down 2 s
        world.down(start + 2, start + 4)
    found = recovery(world)
    assert found.recovered_at is None
    assert found.relapses == 0
    assert found.censored


def test_a_crash_loop_that_is_up_long_enough_relapses() -> None:
    world = World().inject().fail(12.1, 15.0)
    for start in range(15, 40, 6):  # up 4 s, down 2 s
        world.down(start + 4, start + 6)
    assert recovery(world).relapses == 5


def test_what_happens_after_settle_does_not_count() -> None:
    world = killed(30.0)
    world.add(failed(world.request(45.5), "refused", 0.1))
    assert recovery(world).recovered_at == pytest.approx(30.1)


# ---------------------------------------------------------------- anchor


def test_the_anchor_is_the_last_injection_for_instant_faults() -> None:
    found = recovery(killed(30.0))
    assert found.anchor == "injection"
    assert found.recovery_time == found.since_injection
    assert found.since_revert is None
    assert found.reverted_at is None


def test_the_anchor_is_the_last_revert_if_any_fault_was_held() -> None:
    world = World().inject(name="proxy_down", held=True, reverted=22.0).fail(12.0, 25.0)
    found = recovery(world)
    assert found.anchor == "revert"
    assert found.reverted_at == 22.0
    assert found.recovery_time == pytest.approx(3.1)
    assert found.since_revert == found.recovery_time
    assert found.since_injection == pytest.approx(13.1)


def test_a_held_fault_that_was_never_reverted_is_counted_from_its_injection() -> None:
    world = World().inject(held=True, reverted=None, undone=None).fail(12.0, 25.0)
    assert recovery(world).anchor == "injection"


def test_no_impact_is_a_recovery_time_of_0() -> None:
    found = recovery(World().inject())
    assert found.impact == "none"
    assert found.recovery_time == 0
    assert not found.censored
    assert found.outage == 0


def test_never_recovered_is_censored_with_the_time_watched() -> None:
    world = World().inject().down(12.1, 99.0)
    found = recovery(world)
    assert found.censored
    assert found.recovered_at is None
    assert found.recovery_time == pytest.approx(33.0)


def test_nothing_injected_has_no_recovery() -> None:
    found = recovery(World())
    assert found.impact is None
    assert found.recovery_time is None


def test_external_counts_from_the_evidence() -> None:
    world = killed(30.0)
    world.extra = [e for e in world.extra if not e.type.startswith("fault.")]
    world.inject(None, name="external", verified="none")
    found = recovery(world, faults=EXTERNAL)
    assert found.injected_at == pytest.approx(12.135, abs=0.01)
    assert found.recovered_at == pytest.approx(30.1)
    assert found.anchor == "injection"


# ---------------------------------------------------------------- slow impact


def test_latency_without_failures_is_an_impact() -> None:
    world = World().inject(name="latency", held=True, reverted=22.0)
    world.slow(12.0, 22.0, 5.0, who="clients")
    found = recovery(world)
    assert found.impact == "slow"
    assert found.detected_at == pytest.approx(12.5)
    assert found.recovered_at == pytest.approx(22.1)
    assert found.recovery_time == pytest.approx(0.1)
    assert found.mitigated_at is None


# ---------------------------------------------------------------- mitigation


def test_mitigated_at_is_a_window_while_a_held_fault_is_in_force() -> None:
    world = World().inject(name="proxy_down", held=True, reverted=22.0).fail(12.0, 14.0)
    found = recovery(world)
    assert found.mitigated_at == pytest.approx(14.1)
    assert found.recovery_time == 0


def test_a_window_that_ends_after_the_revert_is_no_mitigation() -> None:
    world = World().inject(name="proxy_down", held=True, reverted=22.0).fail(12.0, 20.5)
    found = recovery(world)
    assert found.mitigated_at is None
    assert found.recovered_at == pytest.approx(20.6)


def test_impact_of_the_revert_itself_is_no_relapse_of_a_mitigated_fault() -> None:
    world = World().inject(name="proxy_down", held=True, reverted=22.0)
    found = recovery(world.fail(12.0, 14.0).fail(22.0, 24.0))
    assert found.mitigated_at == pytest.approx(14.1)
    assert found.relapses == 0
    assert found.recovery_time == pytest.approx(2.1)


def test_a_server_that_serves_under_a_startup_fault_has_not_recovered_until_its_clean_start() -> (
    None
):
    world = World().inject(name="model_corruption", held=True, startup=True, reverted=24.0)
    world.down(12.1, 15.0)
    world.add(
        StartAttempt(
            t=15.0, fault="model_corruption", outcome="served", started=13.0, exit_code=None
        )
    )
    found = recovery(world)  # it serves on: the window of the broken server is none
    assert found.recovered_at == pytest.approx(24.1)
    assert found.mitigated_at is None
    assert found.recovery_time == pytest.approx(0.1)


# ---------------------------------------------------------------- outage


def test_outage_is_the_gap_between_tokens_that_holds_a_failure() -> None:
    found = recovery(killed(30.0))
    assert found.longest_outage == pytest.approx(17.9, abs=0.15)
    assert found.outage == found.longest_outage


def test_outages_add_up_and_the_longest_is_named() -> None:
    world = World().inject().fail(13.0, 15.0).fail(20.0, 25.0)
    found = recovery(world)
    assert found.outage == pytest.approx(7.0, abs=0.3)
    assert found.longest_outage == pytest.approx(5.0, abs=0.2)


def test_an_outage_that_lasts_goes_on_to_the_end_of_watching() -> None:
    found = recovery(World().inject().down(12.1, 99.0))
    assert found.outage == pytest.approx(45.0 - 12.2, abs=0.2)


def test_the_pilot_s_tokens_split_an_outage_of_the_clients() -> None:
    world = World().inject().fail(13.0, 20.0, who="clients")
    found = recovery(world)
    assert found.outage == pytest.approx(7.0, abs=0.3)
    assert found.longest_outage == pytest.approx(0.5)


def test_one_of_two_replicas_down_is_no_outage() -> None:
    world = World(rate=8).inject()
    for n in range(40):  # every second request fails
        world.fail(12.125 + n * 0.25, 12.126 + n * 0.25, who="clients")
    found = recovery(world)
    assert found.impact == "failed"
    assert found.outage == 0


def hiccup(world: World, at: float) -> World:
    """All answers wait 1.5 s, once."""

    def late(request: Request) -> Request:
        tokens = [max(t, at + 1.5) for t in request.tokens]
        first = tokens[0]
        return changed(
            request, tokens=tokens, first_byte=first, first_token=first, ended=tokens[-1]
        )

    return world.band(at, at + 1.5, late)


def test_a_hiccup_in_the_baseline_hides_no_outage() -> None:
    found = recovery(hiccup(World(), 6.0).inject().fail(14.0, 16.0))
    assert found.outage == pytest.approx(2.0, abs=0.2)


def test_three_hiccups_in_the_baseline_are_its_way() -> None:
    world = World().inject().fail(14.0, 16.0)
    for at in (3.0, 6.0, 9.0):
        hiccup(world, at)
    assert recovery(world).outage == 0


@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(100, 250), max_size=40), st.booleans())
def test_single_failures_are_no_outage(which: set[int], hiccups: bool) -> None:
    """However many, as long as no two follow one another."""
    world = World().inject()
    if hiccups:
        hiccup(world, 6.0)
    for n in which:
        if n - 1 not in which:
            world.fail(n / 8 - 0.01, n / 8 + 0.01, who="clients")
    assert recovery(world).outage == 0


def test_tokens_of_wrong_answers_are_no_service() -> None:
    def wrong(request: Request) -> Request:
        return changed(request, outcome="corrupted")

    found = recovery(World().inject().band(13.0, 18.0, wrong))
    assert found.outage == pytest.approx(5.0, abs=0.3)


# ---------------------------------------------------------------- stages


def test_the_stages_of_a_restart_each_with_its_source() -> None:
    found = recovery(killed(30.0))
    assert moment(found, "process_gone") == (12.2, "engine, probe")
    assert moment(found, "process_back") == (25.0, "server, probe")
    assert moment(found, "port_open") == (30.005, "health probe: 200")
    assert moment(found, "health")[0] == pytest.approx(30.005)
    assert moment(found, "first_token") == (30.1, "client")
    assert moment(found, "sustained")[0] == pytest.approx(30.1)
    assert "successes" in moment(found, "sustained")[1]


def test_detected_is_the_earliest_of_client_and_probe() -> None:
    found = recovery(killed(30.0))
    assert moment(found, "detected") == (12.135, "client: refused")
    world = killed(30.0).add(ProcessExited(t=12.05, role="worker", pid=102, exit_code=-9))
    assert moment(recovery(world), "detected") == (12.05, "worker process exited")


def test_an_old_server_s_200_is_no_recovery_of_health() -> None:
    world = killed(30.0).health(12.1, 20.0, 200)
    assert moment(recovery(world), "health")[0] == pytest.approx(30.005)


def test_port_open_may_come_long_before_health() -> None:
    world = killed(30.0).health(27.0, 30.0, 503)
    found = recovery(world)
    assert moment(found, "port_open") == (27.005, "health probe: 503")
    assert moment(found, "health")[0] == pytest.approx(30.005)


def test_in_a_crash_loop_the_process_that_served_counts() -> None:
    world = killed(30.0)
    world.add(
        ProcessStarted(t=14.0, role="server", pid=150, start_time=1.0),
        ProcessExited(t=16.0, role="server", pid=150, exit_code=1),
    )
    assert moment(recovery(world), "process_back")[0] == 25.0


def test_with_a_spare_the_dead_one_is_back_after_the_clients() -> None:
    world = World().inject().fail(12.1, 12.3)
    world.add(
        ProcessExited(t=12.2, role="server", pid=100, exit_code=137, source="docker"),
        ProcessStarted(
            t=16.0, role="server", pid=150, start_time=1.0, title="4a2e0e360b6e", source="docker"
        ),
        ContainerEvent(
            t=19.0,
            action="health_status",
            word="healthy",
            role="server",
            service="server-2",
            container="6c14254a23aa",
        ),
        ContainerEvent(
            t=21.0,
            action="health_status",
            word="healthy",
            role="server",
            service="server-1",
            container="4a2e0e360b6e",
        ),
    )
    found = recovery(world)
    assert moment(found, "sustained")[0] < 16.0
    assert moment(found, "process_back") == (16.0, "server, docker")
    assert moment(found, "health") == (21.0, "Docker's health check")
    assert found.phases["port_open"] is None  # the spare's port was never closed
    assert moment(found, "first_token")[0] < 16.0


def test_without_a_process_that_went_health_is_back_when_it_answers_again() -> None:
    world = World().inject(name="proxy_down", held=True).down(12.1, 22.0)
    found = recovery(world)
    assert found.phases["process_gone"] is None
    assert found.phases["process_back"] is None
    assert moment(found, "port_open")[0] == pytest.approx(22.005)
    assert moment(found, "first_token")[0] == pytest.approx(22.1)


def test_stages_that_never_came_are_none() -> None:
    world = World().inject().down(12.1, 99.0)
    world.add(ProcessExited(t=12.2, role="engine", pid=101, exit_code=-9))
    found = recovery(world)
    assert all(
        found.phases[s] is None for s in ("process_back", "port_open", "health", "sustained")
    )


def test_first_success_is_the_first_token_after_the_first_impact() -> None:
    world = World().inject().fail(12.1, 15.0).fail(16.0, 18.0)
    found = recovery(world)
    assert found.first_success_at == pytest.approx(15.1)
    assert found.recovered_at == pytest.approx(18.1)


# ---------------------------------------------------------------- the watch


def watched(events: list[Event], **changes: Any) -> tuple[RecoveryWatch, int]:
    """A watch that was made when the baseline ended, as the runner does, and the split."""
    split = next(
        n for n, e in enumerate(events, 1) if isinstance(e, PhaseEnded) and e.phase == "baseline"
    )
    return RecoveryWatch(experiment(**changes), events[:split]), split


def test_the_watch_says_so_as_soon_as_the_window_is_whole() -> None:
    events = killed(30.0).build()
    watch, split = watched(events)
    said = None
    for event in events[split:]:
        watch.add(event)
        if watch.recovered_at is not None and said is None:
            said = event.t
    assert said == pytest.approx(33.18, abs=0.15)
    assert watch.recovered_at == pytest.approx(30.1)


def test_the_watch_takes_it_back_on_a_relapse() -> None:
    events = killed(25.0).fail(44.0, 44.4).build()
    watch, split = watched(events)
    states = []
    for event in events[split:]:
        watch.add(event)
        states.append(watch.recovered_at is not None)
    assert states.count(True) > 100
    assert not states[-1]


BAD = st.tuples(
    st.floats(11.0, 44.0),
    st.floats(0.05, 6.0),
    st.sampled_from(["refused", "hung", "slow", "cut", "cancelled"]),
    st.sampled_from([None, "clients", PILOT]),
)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Event], dict[str, Any]]:
    """A history of bands of trouble, one or two faults of any kind, and the events of the
    observer late by up to half a second."""
    world = World(rate=draw(st.sampled_from([2.0, 6.0])), deadline=3.0)
    faults: list[dict[str, Any]] = [{"type": "process_kill", "target": "engine"}]
    if draw(st.booleans()):
        faults = EXTERNAL
        world.inject(None, name="external", verified="none")
        sick = draw(st.floats(10, 44))
        world.health(sick, sick + draw(st.floats(0, 20)), 503)
        if draw(st.booleans()):
            world.restart(draw(st.floats(11, 20)), draw(st.floats(21, 30)))
    else:
        held, startup = draw(st.sampled_from([(False, False), (True, False), (True, True)]))
        reverted = draw(st.one_of(st.none(), st.floats(22, 30)))
        world.inject(draw(st.floats(12, 16)), held=held, startup=startup, reverted=reverted)
        if draw(st.booleans()):
            world.inject(draw(st.floats(12, 21)), name="second")
    for start, length, what, who in draw(st.lists(BAD, max_size=4)):
        if what == "hung":
            world.hang(start, start + length, who)
        elif what == "slow":
            world.slow(start, start + length, draw(st.sampled_from([1.5, 3.0, 20.0])), who)
        elif what == "cut":
            world.fail(start, start + length, "truncated", who, after=0.3)
        elif what == "cancelled":
            world.band(start, start + length, lambda r: changed(r, outcome="cancelled"), who)
        else:
            world.fail(start, start + length, who=who)
    events = world.build()
    late = random.Random(draw(st.integers(0, 9)))
    shuffled = sorted(
        events[2:-3],
        key=lambda e: e.t + (late.random() * 0.5 if isinstance(e, Request) else 0.0),
    )
    cut = draw(st.integers(0, 400))
    rule = {
        "for": draw(st.sampled_from(["0s", "1s", "4s"])),
        "successes": draw(st.sampled_from([1, 5, 20])),
        "slowdown": 2.0,
    }
    return [*events[:2], *shuffled[: len(shuffled) - cut]], {"faults": faults, "recovered": rule}


@settings(max_examples=60, deadline=None)
@given(histories())
def test_the_watch_agrees_with_the_pure_function_on_the_same_events(
    case: tuple[list[Event], dict[str, Any]],
) -> None:
    events, changes = case
    split = next(
        (n for n, e in enumerate(events) if isinstance(e, PhaseEnded) and e.phase == "baseline"), 0
    )
    watch = RecoveryWatch(experiment(**changes), events[:split])
    for number, event in enumerate(events[split:], split + 1):
        watch.add(event)
        if number % 191 == 0:
            expected = recover(RunView(events[:number], experiment(**changes))).recovered_at
            assert watch.recovered_at == expected
    found = recover(RunView(events, experiment(**changes)))
    assert watch.recovered_at == found.recovered_at


SMALL = World(rate=3, recovery=None, settle=None, fault_phase=(12.0, 12.0)).build()
START = [e for e in SMALL if e.t < 11.5]
ANSWER = st.tuples(
    st.integers(0, 40),  # when it was sent, in tenths of a second after the injection
    st.sampled_from(["ok", "ok", "ok", "slow", "bad", "cancelled"]),
    st.sampled_from(["clients", "clients", PILOT]),
    st.booleans(),  # sent in the baseline
)


@settings(max_examples=250, deadline=None)
@given(
    st.lists(ANSWER, max_size=30),
    st.sampled_from(["0s", "500ms", "1s"]),
    st.integers(1, 4),
    st.integers(0, 30),
)
def test_the_watch_agrees_whatever_the_order_in_which_requests_become_known(
    answers: list[tuple[int, str, str, bool]], span: str, successes: int, injected: int
) -> None:
    rules = {"for": span, "successes": successes, "slowdown": 2.0}
    world = World()
    events: list[Event] = [PhaseStarted(t=12.0, phase="fault")]
    for number, (tenths, what, who, early) in enumerate(answers):
        sent = 11.8 if early else 12.5 + tenths / 10
        request = world.request(sent, who, id=f"vqc-late-{number:03d}")
        if what == "slow":
            request = slowed(request, 4.0)
        elif what != "ok":
            request = failed(request, "hung" if what == "bad" else what, 0.3)
        events.append(request)
    events.insert(min(injected, len(events)), FaultInjected(t=12.4, fault="process_kill"))
    watch = RecoveryWatch(experiment(recovered=rules), START)
    for number, event in enumerate(events, 1):
        watch.add(event)
        pure = recover(RunView([*START, *events[:number]], experiment(recovered=rules)))
        assert watch.recovered_at == pure.recovered_at


@settings(max_examples=40, deadline=None)
@given(histories())
def test_recovery_is_consistent(case: tuple[list[Event], dict[str, Any]]) -> None:
    events, changes = case
    found = recover(RunView(events, experiment(**changes)))
    if found.impact is None:
        assert found.recovery_time is None
        return
    assert (found.recovered_at is None and found.impact != "none") == found.censored
    assert found.recovery_time is not None
    assert found.recovery_time >= 0
    assert 0 <= (found.longest_outage or 0) <= (found.outage or 0) + 1e-9
    assert (found.detected_at is None) or found.impact in ("failed", "stalled", "slow")
    for value in (found.detected_at, found.probe_detected_at, found.first_success_at):
        assert value is None or (found.injected_at is not None and value >= found.injected_at)


@pytest.mark.timeout(60)
def test_the_watch_is_cheap_where_the_service_stays_slow() -> None:
    """Thousands of slow answers, asked after each: the work must not grow with their square."""
    world = World(rate=100, pilot_every=1.0, recovery=(22.0, 80.0), settle=None, tokens=1)
    world.inject().fail(12.1, 13.0).slow(13.0, 99.0, 3.0)
    events = world.build()
    watch, split = watched(events)
    for event in events[split:]:
        watch.add(event)
        assert watch.recovered_at is None


def test_a_late_request_of_the_baseline_changes_what_is_slow_for_the_watch_too() -> None:
    """It ended before the injection, but was reported after it: the baseline grows."""
    world = World(rate=2, baseline=(2.0, 12.0), recovery=None, settle=None)
    base = [e for e in world.build() if e.t < 3.0]
    late = [slowed(world.request(3.0 + n / 4), 10.0) for n in range(30)]
    after = [slowed(world.request(13.0 + n / 4), 8.0) for n in range(20)]
    fault: list[Event] = [
        PhaseStarted(t=12.0, phase="fault"), FaultInjected(t=12.4, fault="process_kill")
    ]  # fmt: skip
    events: list[Event] = [*fault, *after, *late]
    watch = RecoveryWatch(experiment(), base)
    states = []
    for event in events:
        watch.add(event)
        states.append(watch.recovered_at)
    assert states[len(fault) + len(after) - 1] is None
    assert states[-1] == pytest.approx(13.8)
    assert states[-1] == recover(RunView([*base, *events], experiment())).recovered_at


def cached(t: float, queries: float, hits: float) -> MetricsProbe:
    return MetricsProbe(
        t=t, values={"prefix_cache_queries_total": queries, "prefix_cache_hits_total": hits}
    )


def test_the_cache_is_warm_when_it_is_hit_as_in_the_baseline() -> None:
    world = killed().add(cached(3, 1000, 600), cached(11, 2000, 1200))  # 60 %
    world.add(cached(31, 100, 0), cached(32, 200, 30), cached(33, 300, 90), cached(34, 400, 150))
    stage = recover(RunView(world.build(), experiment())).phases["cache_warm"]
    assert stage is not None
    assert stage.at == 33
    assert stage.source == "vLLM's metrics: 60% of prompt tokens from the prefix cache, 60% before"


def test_a_cache_that_nobody_used_or_saw_is_not_called_warm() -> None:
    unused = killed().add(cached(3, 0, 0), cached(11, 500, 0), cached(33, 9, 9), cached(34, 19, 19))
    for world in (killed(), unused):
        assert recover(RunView(world.build(), experiment())).phases["cache_warm"] is None
