"""From a history to a verdict: the worst wins, void never passes, the same bytes twice."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.histories import World, experiment, killed
from vqchaos.checks.no_residue import NoResidue
from vqchaos.errors import ExitCode, InvalidFile, UsageError
from vqchaos.history.events import (
    Event,
    FaultFailed,
    FaultUndone,
    Leftovers,
    Residue,
    RunEnded,
)
from vqchaos.history.store import Writer
from vqchaos.judge import judge, judge_folder, judge_set
from vqchaos.report.spread import set_recovery
from vqchaos.report.verdict import Judgement

PASSES = {"type": "no_residue"}
FAILS = {"type": "recovery_time", "max": "1s"}
UNKNOWN = {"type": "refuses_to_start", "within": "1s"}


def judged(world: World, *checks: dict[str, Any], **changes: Any) -> Judgement:
    return judge(world.build(), experiment(checks=list(checks), **changes))


def kinds(found: Judgement) -> list[str]:
    return [finding["kind"] for finding in found.findings]


# ---------------------------------------------------------------- the verdict


@pytest.mark.parametrize(
    ("checks", "verdict", "code"),
    [
        ([PASSES], "pass", 0),
        ([PASSES, UNKNOWN], "unknown", 3),
        ([PASSES, UNKNOWN, FAILS], "fail", 1),
        ([UNKNOWN, FAILS], "fail", 1),
        ([], "unknown", 3),
    ],
)
def test_the_verdict_is_the_worst_of_the_checks(
    checks: list[dict[str, Any]], verdict: str, code: int
) -> None:
    found = judged(killed(), *checks)
    assert (found.verdict, found.exit_code, found.valid) == (verdict, code, True)


def test_without_checks_it_says_that_nothing_was_judged() -> None:
    assert kinds(judged(killed())) == ["no_checks"]


@pytest.mark.parametrize("check", [PASSES, FAILS])
def test_a_void_run_is_unknown_whatever_its_checks_say(check: dict[str, Any]) -> None:
    world = killed()
    world.how = "error"
    found = judged(world, check)
    assert (found.verdict, found.exit_code, found.valid) == ("unknown", 3, False)
    assert found.void_reasons


def test_a_check_that_crashes_is_unknown() -> None:
    with mock.patch.object(NoResidue, "judge", side_effect=ZeroDivisionError("1/0")):
        found = judged(killed(), PASSES)
    assert found.verdict == "unknown"
    assert found.checks[0].why == "the check itself failed: ZeroDivisionError: 1/0"


def test_checks_of_one_type_get_numbers() -> None:
    found = judged(killed(), PASSES, PASSES, {**PASSES, "name": "tidy"})
    assert [row.name for row in found.checks] == ["no_residue", "no_residue 2", "tidy"]


# ---------------------------------------------------------------- unclean, interrupted


@pytest.mark.parametrize(
    "events",
    [
        [Leftovers(t=46, items=[{"kind": "toxic", "name": "vqchaos.x", "detail": "latency"}])],
        [FaultUndone(t=23, fault="process_kill", answer="no", why="still there")],
        [
            FaultFailed(t=23, fault="process_kill", step="revert", error="timeout"),
            FaultUndone(t=23, fault="process_kill", answer="no"),
        ],
    ],
)
def test_a_failed_revert_or_a_leftover_is_unclean_and_no_pass(events: list[Event]) -> None:
    found = judged(killed().add(*events), PASSES)
    assert found.exit_code == ExitCode.UNCLEAN
    assert found.verdict == "fail"
    assert set(kinds(found)) & {"leftover", "revert_failed"}


def test_a_void_run_can_be_unclean_too() -> None:
    world = killed().add(Leftovers(t=46, items=[{"kind": "port", "name": "8000"}]))
    world.how = "error"
    found = judged(world, PASSES)
    assert (found.verdict, found.exit_code) == ("unknown", 4)


def test_a_revert_that_worked_at_the_second_try_is_clean() -> None:
    world = killed().add(
        FaultFailed(t=22.1, fault="process_kill", step="revert", error="timeout"),
        FaultUndone(t=22.2, fault="process_kill", answer="no"),
        FaultUndone(t=22.5, fault="process_kill", answer="yes"),
    )
    assert judged(world, PASSES).exit_code == 0


def test_a_history_cut_while_a_fault_was_in_force_is_unclean() -> None:
    world = World(how="").inject(reverted=None, undone=None)
    found = judged(world, PASSES)
    assert found.exit_code == 4
    assert "never proven undone" in found.findings[0]["text"]


@pytest.mark.parametrize(("signal", "code"), [(2, 130), (15, 143), (1, 129), (None, 130)])
def test_interrupted_after_everything_was_reverted(signal: int | None, code: int) -> None:
    world = killed()
    world.how = ""
    world.add(RunEnded(t=46.5, how="interrupted", signal=signal))
    found = judged(world, PASSES)
    assert (found.verdict, found.exit_code) == ("unknown", code)


# ---------------------------------------------------------------- known


def known(check: dict[str, Any], until: str = "2027-06-30") -> dict[str, Any]:
    return {**check, "known": {"why": "health reads a flag only", "until": until}}


def test_a_known_fail_is_a_finding_that_does_not_count() -> None:
    found = judged(killed(), known(FAILS))
    assert found.verdict == "pass"
    row = found.checks[0]
    assert row.known == {
        "why": "health reads a flag only", "until": "2027-06-30", "state": "accepted"
    }  # fmt: skip
    assert row.why.startswith("known failure, 18.1s after")
    assert kinds(found) == ["known"]


def test_a_known_pass_is_a_fail() -> None:
    found = judged(killed(), known(PASSES))
    assert found.verdict == "fail"
    assert found.checks[0].why.startswith("fixed: remove `known`")


def test_known_ends_by_its_date() -> None:
    found = judged(killed(), known(FAILS, "2026-11-17"))  # the run was on the 18th
    assert found.verdict == "fail"
    assert "ended on 2026-11-17" in found.checks[0].why
    assert judged(killed(), known(FAILS, "2026-11-18")).verdict == "pass"


def test_known_leaves_unknown_alone() -> None:
    found = judged(killed(), known(UNKNOWN))
    assert found.verdict == "unknown"
    assert found.checks[0].known is not None
    assert found.checks[0].known["state"] == "unused"


def test_the_day_is_the_run_s_so_that_judging_later_says_the_same() -> None:
    events, made = killed().build(), experiment(checks=[known(FAILS, "2026-11-18")])
    assert judge(events, made).verdict == "pass"
    assert judge(events, made, today=date(2026, 12, 1)).verdict == "fail"


# ---------------------------------------------------------------- what else it holds


def test_verdict_json_has_the_keys_of_the_design() -> None:
    found = judged(killed(), PASSES).as_dict()
    keys = """schema vqchaos_version run experiment experiment_digest stack stack_digest seed
        started_wall verdict exit_code valid void_reasons impact in_flight_at_injection faults
        checks recovery outcomes latency by_replica findings leftovers residue"""
    assert set(keys.split()) <= set(found)
    fault = "name type target held injected_at verified verified_at reverted_at error"
    assert set(fault.split()) <= set(found["faults"][0])
    check = "name type phase workload replica verdict observed limit unit why known"
    assert set(check.split()) == set(found["checks"][0])
    recovery = """anchor injected_at detected_at probe_detected_at mitigated_at reverted_at
        first_success_at recovered_at recovery_time since_injection since_revert outage
        longest_outage relapses censored phases"""
    assert set(recovery.split()) <= set(found["recovery"])
    figures = "ttft_p50 ttft_p95 itl_p95 e2e_p95"
    assert set(figures.split()) == set(found["latency"]["clients"]["baseline"])
    assert found["outcomes"]["clients"]["baseline"] == {"ok": 79}
    json.dumps(found, allow_nan=False)


def test_digests_know_the_experiment_and_not_its_seed() -> None:
    digest = judged(killed(), PASSES, seed=1).experiment_digest
    assert judged(killed(), PASSES, seed=2).experiment_digest == digest
    assert judged(killed(), FAILS, seed=1).experiment_digest != digest


def test_residue_without_a_check_is_a_finding() -> None:
    world = killed().add(Residue(t=46, items=[{"kind": "process", "name": "1"}]))
    assert "residue" in kinds(judged(world, {"type": "canary"}))
    assert "residue" not in kinds(judged(world, PASSES))


def test_a_damaged_model_is_void_and_a_finding() -> None:
    world = killed()
    world.canary("baseline", 1.95, name="other", expected_tokens=[1, 2, 3])
    found = judged(world, PASSES)
    assert not found.valid
    assert "canary" in kinds(found)


def test_relapses_and_blind_faults_are_findings() -> None:
    assert "relapse" in kinds(judged(killed(25.0).fail(41.0, 41.5), PASSES))
    world = World().inject(verified="none").fail(13, 14)
    assert "not_verified" in kinds(judged(world, PASSES))


WORLDS = st.builds(
    lambda recovered, how, lost: _world(recovered, how, lost=lost),
    st.sampled_from([20.0, 30.0, 99.0]),
    st.sampled_from(["completed", "completed", "void", "interrupted", "error", ""]),
    st.booleans(),
)
CHECKS = st.lists(
    st.sampled_from([PASSES, FAILS, UNKNOWN, known(FAILS), known(PASSES)]), max_size=4
)


def _world(recovered: float, how: str, *, lost: bool) -> World:
    world = killed(recovered)
    world.how = how
    if lost:
        world.add(Leftovers(t=46, items=[{"kind": "port", "name": "8000"}]))
    return world


@settings(max_examples=60, deadline=None)
@given(WORLDS, CHECKS)
def test_invariants(world: World, checks: list[dict[str, Any]]) -> None:
    events = world.build()
    made = experiment(checks=checks)
    found = judge(events, made)
    assert json.dumps(found.as_dict()) == json.dumps(judge(list(events), made).as_dict())
    rows = {row.verdict for row in found.checks}
    if not found.valid:
        assert found.verdict == "unknown"
    elif found.verdict == "pass":
        assert rows == {"pass"}
        assert found.exit_code == 0
    if found.exit_code == 0:
        assert found.verdict == "pass"
    if "fail" in rows and found.valid:
        assert found.verdict == "fail"
    if world.how != "completed":
        assert not found.valid
    if found.leftovers:
        assert found.exit_code == 4


# ---------------------------------------------------------------- sets


def verdict(  # one run's verdict.json, as far as a set looks at it
    seconds: float | None = 10.0, *, said: str = "pass", code: int = 0, valid: bool = True,
    censored: bool = False, name: str = "toy",
) -> dict[str, Any]:  # fmt: skip
    return {
        "experiment": name, "verdict": said, "exit_code": code, "valid": valid,
        "recovery": {"recovery_time": seconds, "censored": censored},
    }  # fmt: skip


VOID = verdict(None, said="unknown", code=3, valid=False)


def of(*verdicts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return judge_set([(f"run-{n}", v) for n, v in enumerate(verdicts)], **more)


def test_a_set_is_as_bad_as_its_worst_valid_run() -> None:
    assert of(verdict(), verdict())["verdict"] == "pass"
    found = of(verdict(), verdict(said="fail", code=1))
    assert (found["verdict"], found["exit_code"]) == ("fail", 1)


def test_too_few_valid_runs_are_unknown_and_hide_no_fail() -> None:
    assert of(verdict(), VOID)["verdict"] == "unknown"
    found = of(verdict(), VOID, min_valid=1)
    assert (found["verdict"], found["exit_code"]) == ("pass", 0)
    assert of(VOID, min_valid=1)["verdict"] == "unknown"
    assert of(verdict(said="fail", code=1), VOID)["exit_code"] == 1
    assert of()["verdict"] == "unknown"


@pytest.mark.parametrize("code", [4, 130, 143, 129])
def test_unclean_and_interrupted_runs_decide_the_exit_code(code: int) -> None:
    assert (
        of(verdict(), verdict(said="fail", code=1), {**VOID, "exit_code": code})["exit_code"]
        == code
    )


def test_the_spread_of_a_set() -> None:
    found = of(*(verdict(float(s)) for s in (50, 52, 58, 60, 66, 80)))["recovery"]
    assert (found["n"], found["void"], found["censored"]) == (6, 0, 0)
    assert (found["median"], found["mean"]) == (59.0, 61.0)
    low, high = found["interval"]
    assert 50 <= low <= 59 <= high <= 80
    assert found["repeats"]["precision"] == 10.0
    assert found["repeats"]["more"] > 0
    assert found["first"] is None


def test_too_few_runs_have_no_interval_but_say_how_many_make_one() -> None:
    found = of(*(verdict(float(s)) for s in (50, 52, 58, 60)))["recovery"]
    assert (found["median"], found["interval"]) == (55.0, None)
    assert found["repeats"] == {"precision": None, "more": 2}


def test_runs_that_are_all_the_same_need_no_more() -> None:
    assert of(*(verdict(10.0) for _ in range(8)))["recovery"]["repeats"] is None


def test_a_cold_first_run_is_told_apart_and_never_dropped() -> None:
    found = of(*(verdict(float(s)) for s in (90, 50, 51, 52, 53, 54, 55)))
    assert [row["first"] for row in found["runs"]] == [True] + [False] * 6
    recovery = found["recovery"]
    assert recovery["first"] == {"recovery_time": 90.0, "censored": False}
    assert (recovery["n"], recovery["median"]) == (6, 52.5)
    assert "the first run apart, as it differs from all others: 1m30s" in set_recovery(found)


@pytest.mark.parametrize(
    "seconds", [(58, 50, 51, 52, 53, 54, 55), (90, 50, 51, 52, 53), (50, 51, 90, 52, 53, 54)]
)
def test_a_first_run_like_the_others_or_of_too_few_counts_with_them(
    seconds: tuple[int, ...],
) -> None:
    found = of(*(verdict(float(s)) for s in seconds))["recovery"]
    assert found["first"] is None
    assert found["n"] == len(seconds)


def test_a_set_says_what_more_runs_would_buy() -> None:
    found = of(*(verdict(float(s)) for s in (38, 40, 41, 42, 43, 46)), VOID)
    said = set_recovery(found)
    assert said.startswith("n = 6, median 41.5s (95 % interval 38s to 46s), MTTR 41.7s, 1 void; ")
    assert re.search(r"for ±2s about \d+ more runs$", said)
    few = of(verdict(10.0), verdict(12.0))
    assert set_recovery(few).endswith("; 4 more runs for an interval")


def test_a_p95_of_few_answers_is_not_given() -> None:
    found = judge(killed().build(), experiment()).as_dict()
    assert found["latency"]["clients"]["baseline"]["ttft_p95"] is not None
    few = judge(World(rate=1.5).inject().build(), experiment()).as_dict()
    figures = few["latency"]["clients"]["baseline"]
    assert (figures["ttft_p95"], figures["e2e_p95"]) == (None, None)
    assert figures["ttft_p50"] is not None


def test_void_runs_are_counted_and_not_used() -> None:
    found = of(verdict(10.0), verdict(12.0), {**verdict(500.0), "valid": False})["recovery"]
    assert (found["n"], found["void"], found["median"]) == (2, 1, 11.0)


def test_censored_runs_leave_a_kaplan_meier_median_and_no_mean() -> None:
    found = of(verdict(10.0), verdict(12.0), verdict(60.0, censored=True))["recovery"]
    assert (found["censored"], found["median"], found["mean"]) == (1, 12.0, None)
    never = of(verdict(10.0), *(verdict(60.0, censored=True) for _ in range(5)))["recovery"]
    assert never["median"] is None
    assert never["interval"][1] is None


def test_times_of_different_experiments_have_no_common_median() -> None:
    found = of(verdict(10.0, name="a"), verdict(50.0, name="b"))["recovery"]
    assert (found["n"], found["median"], found["mean"]) == (2, None, None)
    assert found["by_experiment"]["b"]["median"] == 50.0


def test_summary_json_has_the_keys_of_the_design() -> None:
    found = of(verdict(), skipped=[{"experiment": "gpu", "reason": "no GPU"}])
    assert {"schema", "runs", "recovery", "verdict", "exit_code"} <= set(found)
    assert found["runs"] == [
        {"dir": "run-0", "experiment": "toy", "verdict": "pass", "valid": True, "first": True}
    ]
    assert found["skipped"] == [{"experiment": "gpu", "reason": "no GPU"}]
    json.dumps(found, allow_nan=False)


# ---------------------------------------------------------------- a folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = experiment(checks=[PASSES, FAILS])
    (tmp_path / "experiment.yaml").write_text(yaml.safe_dump(made.resolved(), sort_keys=False))
    (tmp_path / "stack.json").write_text('{"vllm": "0.32.0"}')
    with Writer(tmp_path / "history.jsonl") as out:
        for event in killed().build():
            out.write(event)
    return tmp_path


def test_a_folder_is_judged_and_the_reports_written(folder: Path) -> None:
    found = judge_folder(folder)
    assert found["verdict"] == "fail"
    assert json.loads((folder / "verdict.json").read_text()) == found
    for name in ("junit.xml", "summary.md", "metrics.prom"):
        assert (folder / name).read_text()
    assert not list(folder.glob("*.part"))


def test_judging_again_gives_the_same_bytes(folder: Path) -> None:
    judge_folder(folder)
    first = {p.name: p.read_bytes() for p in folder.iterdir()}
    judge_folder(folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == first


def test_other_checks_can_be_asked_without_touching_the_folder(
    folder: Path, tmp_path: Path
) -> None:
    edited = tmp_path / "edited.yaml"
    edited.write_text(yaml.safe_dump(experiment(checks=[PASSES]).resolved(), sort_keys=False))
    found = judge_folder(folder, edited, save=False)
    assert found["verdict"] == "pass"
    assert not (folder / "verdict.json").exists()


def test_a_history_with_a_cut_last_line_is_void(folder: Path) -> None:
    text = (folder / "history.jsonl").read_text()
    (folder / "history.jsonl").write_text(text[: len(text) - 40])
    found = judge_folder(folder)
    assert not found["valid"]


def test_what_is_no_run_is_a_clear_error(tmp_path: Path, folder: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UsageError, match="cannot read its history"):
        judge_folder(empty)
    (folder / "history.jsonl").write_text("{}\n")
    with pytest.raises(UsageError, match="not a history"):
        judge_folder(folder)


def test_a_broken_experiment_file_is_a_clear_error(folder: Path) -> None:
    (folder / "experiment.yaml").write_text("name: 3\n")
    with pytest.raises(InvalidFile):
        judge_folder(folder)


@pytest.mark.timeout(60)
def test_a_long_history_is_judged_at_all() -> None:
    """20,000 requests, half of them after a service that flaps: what grows with n squared does not
    come to its end in time. A quarter of a second where nothing else runs."""
    world = killed(30.0)
    world.rate = 500
    for n in range(200):
        world.fail(15 + n / 10, 15.01 + n / 10)
    checks = [FAILS, PASSES, {"type": "health_truthful"}, {"type": "outcomes", "forbid": ["hung"]}]
    events = world.build()
    assert len(events) > 22_000
    judge(events, experiment(checks=checks))
