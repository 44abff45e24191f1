"""Which request belongs where, what is void, what counts as the first evidence."""

from __future__ import annotations

import pytest

from tests.histories import Band, World, changed, experiment, failed, killed
from vqchaos.history.events import (
    CANARY,
    PHASES,
    PILOT,
    Event,
    FaultFailed,
    FaultRecorded,
    FaultUndone,
    FaultVerified,
    HealthProbe,
    LagProbe,
    ProcessExited,
    ProcessStopped,
    Request,
    RunEnded,
)
from vqchaos.view import Group, RunView, figures, stalled_at
from vqchaos.view.faults import fault_records
from vqchaos.view.strip import STEPS, strip
from vqchaos.view.validity import void_reasons

EXTERNAL = {"faults": [{"type": "external"}]}


def view(world: World, **changes: object) -> RunView:
    return RunView(world.build(), experiment(**changes))


def lone(world: World, sent: float, ended: float, **changes: object) -> Request:
    request = world.request(sent, tokens=[ended - 0.01], first_token=ended - 0.01, ended=ended)
    return changed(request, **changes)


# ---------------------------------------------------------------- phases


@pytest.mark.parametrize(
    ("sent", "ended", "phase"),
    [
        (1.0, 1.5, "warmup"),
        (5.0, 6.0, "baseline"),
        (11.0, 13.5, "baseline"),  # it ended before the injection at 14
        (11.0, 14.0, "fault"),  # a part of its life lies after it
        (12.5, 13.0, "fault"),  # where it was sent
        (21.9, 30.0, "fault"),
        (22.1, 30.0, "recovery"),
        (41.0, 41.5, "settle"),
    ],
)
def test_a_request_belongs_to_fault_if_any_part_of_its_life_does(
    sent: float, ended: float, phase: str
) -> None:
    world = World(rate=8).inject(14.0)
    request = lone(world, sent, ended)
    run = view(world.add(request))
    assert [name for name in PHASES if request in run.select(name)] == [phase]


def test_baseline_figures_use_only_requests_that_ended_before_the_first_injection() -> None:
    world = World().inject(12.0)
    late = lone(world, 11.0, 19.0)
    run = view(world.add(late))
    assert late not in run.baseline_requests["clients"]
    assert run.baseline("clients").e2e_p95 == pytest.approx(0.18)


def test_requests_of_the_warm_up_are_no_baseline() -> None:
    run = view(World().slow(0, 2, 10).inject())
    assert run.baseline("clients").ttft_p95 == pytest.approx(0.1)


def test_the_quiet_canary_is_no_workload() -> None:
    world = World().inject()
    world.add(world.request(1.0, CANARY))
    assert CANARY not in view(world).outcomes()


def test_cancelled_requests_are_in_no_share() -> None:
    world = World().inject()
    run = view(world.band(13, 14, lambda r: changed(r, outcome="cancelled")))
    assert "cancelled" not in {r.outcome for r in run.select("fault")}
    assert run.outcomes()["clients"]["fault"]["cancelled"] == 8


def test_in_flight_at_injection_counts_clients_that_were_sent_and_had_not_ended() -> None:
    world = World(rate=8, tokens=50, itl=0.02).inject(12.0)  # each lasts 1.08 s
    assert view(world).in_flight_at_injection == 9
    assert view(World(rate=0.5).inject(12.4)).in_flight_at_injection == 0
    assert view(World()).in_flight_at_injection is None


# ---------------------------------------------------------------- stalls


def test_a_request_stalls_before_between_and_after_tokens() -> None:
    world = World()
    good = world.request(5.0)
    assert stalled_at(good, 1.0) is None
    assert stalled_at(failed(good, "hung", 9.0), 1.0) == 6.0
    assert stalled_at(changed(good, tokens=[5.1, 7.0], ended=7.0), 1.0) == 6.1
    assert stalled_at(changed(good, tokens=[5.1], ended=7.0), 1.0) == 6.1
    assert stalled_at(changed(good, tokens=[6.0, 7.0, 8.0], ended=8.0), 1.0) is None


def test_the_stall_limit_is_five_baseline_p95s_and_at_least_a_second() -> None:
    assert view(World(ttft=0.1).inject()).stall("clients") == 1.0
    assert view(World(ttft=0.5).inject()).stall("clients") == pytest.approx(2.5)
    assert view(World(ttft=0.5).inject()).stall("unheard of") == 1.0


def test_every_workload_has_its_own_stall_limit() -> None:
    world = World(workloads=("clients", "slow ones")).slow(0, 99, 10, who="slow ones").inject()
    run = view(world)
    assert run.stall("clients") == 1.0
    assert run.stall("slow ones") == pytest.approx(5.0)


# ---------------------------------------------------------------- figures


def test_token_gaps_are_thinned_evenly() -> None:
    world = World(tokens=2000, itl=0.001)
    found = figures(Group.of(world.request(float(n)) for n in range(60)))
    assert found.gaps == 60 * 1999
    assert found.itl_p95 == pytest.approx(0.001)


def test_failures_are_in_no_latency() -> None:
    world = World()
    found = figures(Group.of([world.request(1.0), failed(world.request(2.0), "hung", 10)]))
    assert found.count == 1
    assert found.e2e_p95 == pytest.approx(0.18)


# ---------------------------------------------------------------- void


def reasons(world: World, **changes: object) -> str:
    return "; ".join(void_reasons(view(world, **changes)))


def test_an_ordinary_run_is_valid() -> None:
    assert reasons(killed()) == ""


def test_void_when_the_preflight_failed() -> None:
    world = World(how="").add(RunEnded(t=46.2, how="void", why="preflight failed: no token"))
    assert reasons(world) == "preflight failed: no token"


def test_a_run_that_ended_early_is_not_blamed_for_its_thin_baseline() -> None:
    events: list[Event] = [RunEnded(t=3.0, how="interrupted", why="interrupted by signal 2")]
    run = RunView(events, experiment())
    assert void_reasons(run) == ["the run was not completed: interrupted, interrupted by signal 2"]


@pytest.mark.parametrize("how", ["interrupted", "error"])
def test_void_when_the_run_was_not_completed(how: str) -> None:
    world = killed()
    world.how = how
    assert f"not completed: {how}" in reasons(world)


def test_void_when_the_history_has_no_end() -> None:
    world = killed()
    world.how = ""
    assert "has no end" in reasons(world)


def test_void_when_the_baseline_was_too_thin() -> None:
    assert "10 requests ended in the baseline, 20 are needed" in reasons(World(rate=1).inject())
    assert not reasons(World(rate=1).inject(), steady_state={"requests": 5, "ok": "99%"})


def test_void_when_the_baseline_was_not_ok() -> None:
    world = World().fail(5, 5.2, "error").inject()
    assert "of 79 baseline requests were ok, 99% are needed" in reasons(world)
    assert not reasons(world, steady_state={"requests": 20, "ok": "90%"})


def test_the_pilot_is_no_part_of_a_steady_baseline() -> None:
    assert not reasons(World().fail(5, 7, "error", who=PILOT).inject())


def test_void_when_a_baseline_canary_is_not_the_golden_answer() -> None:
    world = World().inject().canary("baseline", 1.9, expected_tokens=[4, 8, 16])
    assert "not the golden answer" in reasons(world)
    good = World().inject().canary("baseline", 1.9, expected_tokens=[4, 8, 15])
    assert not reasons(good)


def test_void_when_a_verification_said_no() -> None:
    assert "did not take hold" in reasons(World().inject(verified="no"))


def test_void_when_a_fault_could_not_be_injected_and_said_once() -> None:
    why = "process_kill: inject failed: no such process"
    world = World(how="").add(
        FaultFailed(t=12, fault="process_kill", step="inject", error="no such process"),
        RunEnded(t=46.2, how="void", why=why),
    )
    assert reasons(world) == why


def test_none_voids_only_if_nothing_reacted() -> None:
    quiet = World().inject(name="mine", kind="command", verified="none")
    assert "nothing reacted" in reasons(quiet)
    for reacted in (
        World().inject(verified="none").fail(13, 13.2),
        World().inject(verified="none").health(13, 14, 503),
        World().inject(verified="none").restart(13, 14),
        World().inject(verified="none").slow(12, 22, 1.5),
    ):
        assert reasons(reacted) == ""


def test_void_when_nothing_was_injected() -> None:
    assert reasons(World()) == "nothing was injected"


def test_void_when_the_observer_was_late() -> None:
    world = World().inject().add(LagProbe(t=15, samples=[0.001] * 80 + [0.3] * 5))
    assert "lag p99 300ms, at most 100ms" in reasons(world)
    assert not reasons(world, observer={"max_lag": "1s"})


def test_lag_of_the_warm_up_does_not_count() -> None:
    assert not reasons(World().inject().add(LagProbe(t=1, samples=[3.0] * 50)))


# ---------------------------------------------------------------- external


def external(world: World) -> World:
    return world.inject(None, name="external", verified="none")


@pytest.mark.parametrize(
    ("events", "at", "by"),
    [
        ([ProcessExited(t=13.5, role="engine", pid=101)], 13.5, "the engine process exited"),
        ([ProcessStopped(t=13.4, role="worker", pid=1, stopped=True)], 13.4, "worker process was"),
        ([HealthProbe(t=13.3, sent=13.2, status=503)], 13.3, "health said 503"),
        ([HealthProbe(t=13.3, sent=13.2, status=None, error="refused")], 13.3, "said refused"),
        ([ProcessStopped(t=13.4, role="worker", pid=1, stopped=False)], None, ""),
        ([ProcessExited(t=11.0, role="engine", pid=101)], None, ""),  # before the fault phase
    ],
)
def test_an_external_fault_is_dated_by_the_first_evidence(
    events: list[Event], at: float | None, by: str
) -> None:
    run = view(external(World()).add(*events), **EXTERNAL)
    assert run.first_injection == at
    if at is not None:
        assert by in run.faults[0].injected_by


def test_the_first_failure_is_evidence() -> None:
    run = view(external(World().fail(14.0, 15.0)), **EXTERNAL)
    assert run.first_injection == pytest.approx(14.01)
    assert run.faults[0].injected_by in (
        "a client's request: refused", "a pilot's request: refused"
    )  # fmt: skip


def test_a_stall_is_evidence() -> None:
    run = view(external(World().hang(14.0, 15.0, who="clients")), **EXTERNAL)
    assert run.first_injection == pytest.approx(15.0)
    assert run.faults[0].injected_by == "a client's request stalled"


def test_a_person_s_mark_is_the_injection() -> None:
    world = World().inject(15.0, name="external", verified="none").fail(14.0, 16.0)
    assert view(world, **EXTERNAL).first_injection == 15.0


def test_an_external_fault_that_nobody_made_is_void() -> None:
    assert "nothing reacted" in reasons(
        external(World()), **EXTERNAL
    ) or "nothing was injected" in reasons(external(World()), **EXTERNAL)


def test_bands_script_the_world() -> None:
    world = World()
    world.bands.append(Band(3, 4, lambda r: failed(r, "shed", 0.1), None))
    assert view(world).outcomes()["clients"]["baseline"] == {"ok": 72, "shed": 8}


def test_of_a_fault_s_several_times_the_worst_is_told() -> None:
    def recorded(t: float, entry: str) -> FaultRecorded:
        return FaultRecorded(t=t, fault="f", kind="latency", entry=entry, target=None, held=True)

    def undone(t: float, entry: str, answer: str) -> FaultUndone:
        return FaultUndone(t=t, fault="f", answer=answer, entry=entry)

    def verified(t: float, answer: str) -> FaultVerified:
        return FaultVerified(t=t, fault="f", answer=answer, why=str(t))

    begun = [recorded(1, "r.0"), verified(2, "yes"), undone(3, "r.0", "yes")]
    [once] = fault_records(begun)
    assert (once.in_force, once.verified, once.recorded_at) == (False, "yes", 1)
    [again] = fault_records([*begun, recorded(4, "r.1"), verified(5, "no")])
    assert (again.in_force, again.revert_failed, again.recorded_at) == (True, None, 1)
    assert (again.verified, again.verified_at, again.verified_why) == ("no", 5, "5")
    both = [*begun, recorded(4, "r.1"), undone(5, "r.1", "yes")]
    assert not fault_records(both)[0].in_force
    [failed] = fault_records([*both, undone(6, "r.0", "no")])
    assert failed.in_force
    assert failed.revert_failed == "the world is not as it was before"
    [mended] = fault_records([*both, undone(6, "r.0", "no"), undone(7, "r.0", "none")])
    assert not mended.in_force


def test_no_p99_is_made_of_few_samples() -> None:
    world = World().inject().add(LagProbe(t=15, samples=[0.001] * 20 + [0.3]))
    assert "lag highest of 41 300ms, at most 100ms" in reasons(world)


def test_a_strip_has_few_steps_however_late_a_request_says_it_was_sent() -> None:
    def late(request: Request) -> Request:
        return changed(request, sent=1e12) if request.id == "vqc-000009" else request

    world = World(workloads=("clients", "batch")).inject().band(0, 99, late)
    found = strip(RunView(world.build(), experiment()))
    assert len(found["ok"]) <= STEPS + 1
    assert sum(found["ok"]) + sum(found["failed"]) > 100
