"""Whole runs, with the real observer process, against a scripted server and a fake world."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import FakeWorld
from tests.runner.fake_stack import QUICK, FakeStack, Lab, events_of
from tests.scripted_server import ScriptedServer
from vqchaos.clock import RealClock
from vqchaos.errors import CapabilityMissing, ExitCode, StackLocked, UsageError
from vqchaos.experiment.gate import Gate
from vqchaos.experiment.model import Experiment
from vqchaos.history.events import (
    CanaryProbe,
    FaultInjected,
    FaultRecorded,
    FaultReverted,
    FaultUndone,
    FaultVerified,
    Note,
    PhaseEnded,
    PhaseStarted,
    Request,
    RunEnded,
    StartAttempt,
)
from vqchaos.history.store import read
from vqchaos.ledger import Ledger
from vqchaos.runner import timeline
from vqchaos.runner.heal import heal
from vqchaos.runner.lock import stack_lock
from vqchaos.runner.sets import Planned, SetOptions, SetResult, sort_out
from vqchaos.stack.attach import AttachStack
from vqchaos.stack.config import AttachStackFile
from vqchaos.stack.protocols import Capability, Item, Removal

LATENCY = {"type": "latency", "latency": "50ms"}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with ScriptedServer() as http:
        stack = FakeStack(tmp_path, http, FakeWorld(tmp_path / "world"))
        yield Lab(stack, tmp_path / "runs")


def command(lab: Lab, **more: Any) -> dict[str, Any]:
    """A held fault that anybody can see: a file that is there while it is in force."""
    mark = str(lab.out.parent / "mark")
    return {
        "type": "command",
        "inject": ["touch", mark],
        "revert": ["rm", "-f", mark],
        "verify": ["test", "-e", mark],
        **more,
    }


def test_a_run_is_recorded_judged_and_leaves_a_folder_that_can_be_judged_alone(lab: Lab) -> None:
    checks = [{"type": "availability", "min": "90%"}, {"type": "no_residue"}]
    result = lab.run(lab.experiment(command(lab), checks=checks))
    [done] = result.runs
    assert result.exit_code == ExitCode.PASS, done.verdict
    assert done.verdict["verdict"] == "pass"
    assert done.verdict["valid"]
    assert not (lab.out.parent / "mark").exists()
    names = {path.name for path in done.folder.iterdir()}
    assert {"history.jsonl", "verdict.json", "experiment.yaml", "stack.json", "junit.xml"} <= names
    events = read(done.folder / "history.jsonl")
    phases = [e.phase for e in events if isinstance(e, PhaseStarted)]
    assert phases == ["warmup", "baseline", "fault", "recovery", "settle"]
    steps = (FaultRecorded, FaultInjected, FaultVerified, FaultReverted)
    assert [type(e) for e in events if isinstance(e, steps)] == list(steps)
    assert isinstance(events[-1], RunEnded)
    assert sum(isinstance(e, Request) for e in events) > 60
    assert Ledger(lab.stack.state_dir).in_force() == []


def test_repeats_make_a_set_with_a_summary(lab: Lab) -> None:
    result = lab.run(lab.experiment(command(lab)), repeat=2, label="twice")
    assert len(result.runs) == 2
    assert result.folder is not None
    summary = json.loads((result.folder / "summary.json").read_text())
    assert [run["experiment"] for run in summary["runs"]] == ["trial", "trial"]
    assert summary["label"] == "twice"
    assert summary["exit_code"] == int(result.exit_code)


def test_a_signal_reverts_everything_and_ends_in_its_exit_code(lab: Lab) -> None:
    talk = lab.talk

    def said(text: str, t: float | None = None) -> None:
        talk.lines.append(text)
        if "verified" in text:
            lab.interrupts.receive(signal.SIGTERM)

    talk.said = said  # type: ignore[method-assign]
    result = lab.run(lab.experiment(LATENCY, phases={"fault": "30s", "baseline": "1200ms"}))
    [done] = result.runs
    assert result.exit_code == ExitCode.SIGTERM
    assert done.verdict["exit_code"] == ExitCode.SIGTERM
    assert "everything is reverted" in talk.lines
    assert lab.stack.world.proxy.listed.keys() == {"somebody-elses"}
    assert Ledger(lab.stack.state_dir).in_force() == []


def test_a_revert_that_fails_is_unclean_and_heal_mends_it(lab: Lab) -> None:
    world = lab.stack.world
    talk = lab.talk

    def phase(name: str, limit: float | None, t: float) -> None:
        if name == "recovery":
            world.proxy.remove = broken  # type: ignore[method-assign]

    def broken(name: str) -> Removal:
        raise OSError("no answer")

    talk.phase = phase  # type: ignore[method-assign]
    result = lab.run(lab.experiment(LATENCY), lab.experiment(LATENCY, name="second"))
    assert result.exit_code == ExitCode.UNCLEAN
    assert len(result.runs) == 1, "nothing is run on an unclean stack"
    [entry] = Ledger(lab.stack.state_dir).in_force()
    assert entry.type == "latency"
    refused = lab.run(lab.experiment(LATENCY))
    assert refused.exit_code == ExitCode.UNCLEAN
    assert refused.error is not None
    assert "vqchaos heal" in (refused.error.hint or "")
    del world.proxy.remove
    healed = heal(lab.stack, RealClock())
    assert healed.clean
    assert [u.entry.id for u in healed.undone] == [entry.id]
    assert heal(lab.stack, RealClock()).found == []


def test_an_injection_that_fails_voids_the_run_and_is_reverted(lab: Lab) -> None:
    mark = lab.out.parent / "mark"
    fault = command(lab, inject=["sh", "-c", f"touch {mark}; exit 7"])
    result = lab.run(lab.experiment(fault))
    [done] = result.runs
    assert result.exit_code == ExitCode.UNKNOWN
    assert not done.verdict["valid"]
    assert any("exited 7" in reason for reason in done.verdict["void_reasons"])
    assert not mark.exists()


def test_nothing_is_injected_into_a_stack_that_is_sick(lab: Lab) -> None:
    talk = lab.talk

    def phase(name: str, limit: float | None, t: float) -> None:
        if name == "baseline":
            lab.stack.http.behaviour = "500"

    talk.phase = phase  # type: ignore[method-assign]
    result = lab.run(lab.experiment(command(lab)))
    assert result.exit_code == ExitCode.UNKNOWN
    events = read(result.runs[0].folder / "history.jsonl")
    assert not any(isinstance(e, FaultRecorded) for e in events)
    assert any("not steady" in r for r in result.runs[0].verdict["void_reasons"])


def test_a_stack_that_serves_nothing_is_void_at_once(lab: Lab) -> None:
    lab.stack.http.behaviour = "500"
    result = lab.run(lab.experiment(command(lab)))
    assert result.exit_code == ExitCode.UNKNOWN
    assert "preflight failed" in result.runs[0].verdict["void_reasons"][0]


def test_residue_is_named_and_removed(lab: Lab) -> None:
    lab.stack.left.append(Item("process", "42", "an orphan"))
    checks = [{"type": "no_residue"}]
    result = lab.run(lab.experiment(command(lab), checks=checks))
    assert result.exit_code == ExitCode.FAIL
    assert result.runs[0].verdict["residue"][0]["name"] == "42"
    assert lab.stack.left == []


def test_a_held_stack_is_refused(lab: Lab) -> None:
    with (
        stack_lock(lab.stack.state_dir, "a colleague's run", RealClock()),
        pytest.raises(StackLocked, match="a colleague's run"),
    ):
        lab.run(lab.experiment(command(lab)))


def planned(lab: Lab, *faults: dict[str, Any], named: bool = False, **more: Any) -> list[Planned]:
    return [Planned(lab.experiment(*faults, **more), Path("trial.yaml"), named=named)]


def test_what_a_stack_cannot_do_is_skipped_with_its_reason(lab: Lab) -> None:
    lab.stack.lacks = {Capability.PROXY: "the stack file names no proxy_api"}
    options = SetOptions(out=lab.out)
    run, skipped = sort_out(planned(lab, LATENCY), lab.stack, options)
    assert run == []
    assert "names no proxy_api" in skipped[0].reason
    with pytest.raises(CapabilityMissing, match="names no proxy_api"):
        sort_out(planned(lab, LATENCY, named=True), lab.stack, options)
    with pytest.raises(CapabilityMissing):
        sort_out(planned(lab, LATENCY), lab.stack, SetOptions(out=lab.out, no_skip=True))


def test_an_endpoint_that_the_stack_does_not_name_is_told_before_anything_runs(lab: Lab) -> None:
    elsewhere: dict[str, Any] = {"workloads": {"b": {"endpoint": "server-3"}}, "workload": None}
    with pytest.raises(UsageError, match=r"trial.yaml: workload 'b': .* 'server-3'; it names none"):
        sort_out(planned(lab, LATENCY, **elsewhere), lab.stack, SetOptions(out=lab.out))
    lab.stack.lacks = {Capability.PROXY: "no Toxiproxy"}  # skipped: where it goes is no matter
    run, skipped = sort_out(planned(lab, LATENCY, **elsewhere), lab.stack, SetOptions(out=lab.out))
    assert (run, len(skipped)) == ([], 1)


def test_a_key_that_cannot_be_sent_is_told_before_anything_runs(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = AttachStackFile.model_validate(
        {"name": "far", "kind": "attach", "environment": "test", "url": lab.stack.http.url,
         "model": "m", "api_key_env": "FAR_KEY"}
    )  # fmt: skip
    stack, options = AttachStack(file, Path("far.yaml")), SetOptions(out=lab.out)
    monkeypatch.setenv("FAR_KEY", "hunter2\n")
    with pytest.raises(UsageError, match="FAR_KEY, which holds a newline at its end"):
        sort_out(planned(lab, command(lab)), stack, options)
    monkeypatch.setenv("FAR_KEY", "hunter2")
    run, _ = sort_out(planned(lab, command(lab)), stack, options)
    assert len(run) == 1


def test_production_needs_yes_and_an_allow_list(lab: Lab) -> None:
    lab.stack.environment = "production"
    yes = SetOptions(out=lab.out, yes=True)
    with pytest.raises(UsageError, match="--yes"):
        sort_out(planned(lab, LATENCY, allow=["latency"]), lab.stack, SetOptions(out=lab.out))
    with pytest.raises(UsageError, match="allow"):
        sort_out(planned(lab, LATENCY), lab.stack, yes)
    with pytest.raises(UsageError, match="does not list latency"):
        sort_out(planned(lab, LATENCY, allow=["proxy_down"]), lab.stack, yes)
    with pytest.raises(UsageError, match="does not list latency"):
        sort_out(planned(lab, LATENCY, allow=[]), lab.stack, yes)
    run, _ = sort_out(planned(lab, LATENCY, allow=["latency"]), lab.stack, yes)
    assert len(run) == 1


@pytest.mark.parametrize(("looks", "blamed"), [(2, False), (10**9, True)])
def test_a_refused_start_may_take_a_moment_to_let_go(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, looks: int, blamed: bool
) -> None:
    orphan = Item("process", "42", "a tracker that outlives its parent")
    left = iter(range(looks))

    def residue() -> list[Item]:
        tried = lab.stack.world.server.latest
        refused = tried.state == "exited" and not tried.clean
        return [orphan] if refused and next(left, None) is not None else []

    monkeypatch.setattr(lab.stack, "residue", residue)
    monkeypatch.setattr(timeline, "LET_GO", 0.5)
    result = lab.run(lab.experiment({"type": "port_conflict"}))
    [attempt] = events_of(StartAttempt, read(result.runs[0].folder / "history.jsonl"))
    assert isinstance(attempt, StartAttempt)
    assert attempt.outcome == "exited"
    assert attempt.left == (["process 42"] if blamed else [])


def test_no_key_of_a_servers_log_comes_into_the_history(lab: Lab) -> None:
    key = "sk-very-secret-0123456789"
    lab.stack.headers = {"Authorization": f"Bearer {key}"}
    lab.stack.world.server.says = (
        f"api_key={key}",
        "x" * 390 + key,  # cut there, half of it would stay
        f"{key}: [Errno 98] address already in use",
        "y" * 390 + f"{key} the end",
    )
    result = lab.run(lab.experiment({"type": "port_conflict"}))
    [attempt] = events_of(StartAttempt, read(result.runs[0].folder / "history.jsonl"))
    assert isinstance(attempt, StartAttempt)
    assert attempt.cause == "[redacted]: [Errno 98] address already in use"
    assert attempt.log_tail[0] == "api_key=[redacted]"
    kept = [path.read_text("utf-8") for path in lab.out.rglob("*") if path.is_file()]
    assert len(kept) > 2
    assert not any(key[:8] in text for text in kept)


def test_every_repeats_a_held_fault_with_an_undo_for_each_time(lab: Lab) -> None:
    fault = {**LATENCY, "for": "300ms", "every": "1s"}
    result = lab.run(lab.experiment(fault, phases={**QUICK, "fault": "2500ms"}))
    [done] = result.runs
    assert done.verdict["valid"], done.verdict["void_reasons"]
    events = read(done.folder / "history.jsonl")
    entries = [e.entry for e in events if isinstance(e, FaultRecorded)]
    assert len(set(entries)) == 3
    steps = (FaultInjected, FaultReverted)
    assert [type(e) for e in events if isinstance(e, steps)] == [*steps] * 3
    assert [e.entry for e in events if isinstance(e, FaultUndone)] == entries
    assert lab.stack.world.proxy.listed.keys() == {"somebody-elses"}
    assert Ledger(lab.stack.state_dir).in_force() == []


def test_a_repeat_without_its_target_is_passed_over_and_said(lab: Lab) -> None:
    kill = {"type": "process_kill", "target": "engine", "every": "1s"}
    result = lab.run(lab.experiment(kill, phases={**QUICK, "fault": "1500ms"}))
    events = read(result.runs[0].folder / "history.jsonl")
    assert len([e for e in events if isinstance(e, FaultInjected)]) == 1
    assert any("passed over this time" in e.text for e in events if isinstance(e, Note))
    assert result.runs[0].verdict["valid"], result.runs[0].verdict["void_reasons"]


def test_a_signal_does_not_wait_for_a_canary_that_gets_no_answer(lab: Lab) -> None:
    talk = lab.talk

    def phase(name: str, limit: float | None, t: float) -> None:
        talk.phases.append(name)
        if name == "canary (baseline)":
            lab.stack.http.behaviour = "hang"
            lab.interrupts.receive(signal.SIGINT)

    talk.phase = phase  # type: ignore[method-assign]
    result = lab.run(lab.experiment(command(lab), canary={"enabled": True}))
    assert result.exit_code == ExitCode.SIGINT
    events = read(result.runs[0].folder / "history.jsonl")
    assert not any(isinstance(e, FaultRecorded) for e in events)
    ended = events[-1]
    assert isinstance(ended, RunEnded)
    assert (ended.how, ended.t < 30) == ("interrupted", True)


def test_a_canary_under_load_is_asked_after_the_recovery_while_requests_go_on(lab: Lab) -> None:
    canary = {"enabled": True, "under_load": True}
    checks = [{"type": "canary", "moment": "load"}]
    result = lab.run(lab.experiment(command(lab), canary=canary, checks=checks))
    events = read(result.runs[0].folder / "history.jsonl")
    loaded = [e for e in events if isinstance(e, CanaryProbe) and e.moment == "load"]
    assert loaded
    recovered = next(e.t for e in events if isinstance(e, PhaseEnded) and e.phase == "recovery")
    assert all(recovered <= e.t for e in loaded)
    [check] = result.runs[0].verdict["checks"]
    assert (check["verdict"], check["observed"]) == ("pass", "unchanged"), check["why"]


def test_a_target_that_is_not_there_is_refused_before_anything_is_injected(lab: Lab) -> None:
    faults = [LATENCY, {"type": "process_kill", "target": "worker", "at": "100ms"}]
    result = lab.run(lab.experiment(*faults))
    [done] = result.runs
    assert result.exit_code == ExitCode.UNKNOWN
    assert "no worker process was found" in done.verdict["void_reasons"][0]
    events = read(done.folder / "history.jsonl")
    assert not any(isinstance(e, (FaultRecorded, Request)) for e in events)


def test_more_than_max_targets_is_refused_before_anything_is_injected(lab: Lab) -> None:
    lab.stack.world.processes.spawn("worker")
    lab.stack.world.processes.spawn("worker")
    kill = {"type": "process_kill", "target": "worker"}
    refused = lab.run(lab.experiment(kill))
    assert refused.exit_code == ExitCode.UNKNOWN
    assert "max_targets is 1" in refused.runs[0].verdict["void_reasons"][0]
    assert lab.stack.world.processes.signals == []
    lab.run(lab.experiment(kill, max_targets=2))
    assert lab.stack.world.processes.signals == [("worker", signal.SIGKILL)] * 2


def gated(lab: Lab, *experiments: Experiment, **gate: Any) -> SetResult:
    made = Gate.model_validate({"rules": [{"type": "verdicts"}], **gate})
    return lab.run(*experiments, gate=(made, lab.out / "gate.yaml"))


def test_a_gates_rules_decide_and_the_summary_has_them(lab: Lab) -> None:
    failing = lab.experiment(command(lab), checks=[{"type": "restarts", "min": 1}])
    result = gated(lab, failing, rules=[{"type": "skipped"}])
    assert result.runs[0].verdict["verdict"] != "pass"
    assert result.exit_code == ExitCode.PASS
    assert result.folder is not None, "one run under a gate is a set too"
    summary = json.loads((result.folder / "summary.json").read_text(encoding="utf-8"))
    assert summary["gate"]["verdict"] == "pass"
    assert "Gate gate: pass" in (result.folder / "summary.md").read_text(encoding="utf-8")


def test_a_gate_may_stop_at_the_first_failure_and_names_what_was_not_run(lab: Lab) -> None:
    talk = lab.talk

    def phase(name: str, limit: float | None, t: float) -> None:
        talk.phases.append(name)
        lab.stack.http.behaviour = "500" if name == "fault" else "ok"

    talk.phase = phase  # type: ignore[method-assign]
    checks = [{"type": "outcomes", "forbid": ["error"]}]
    # The server turns bad when the phase is announced, a moment before the baseline's last answer.
    steady = {"requests": 10, "ok": "90%"}
    first = lab.experiment(command(lab), checks=checks, steady_state=steady)
    second = first.model_copy(update={"name": "second"})
    result = gated(lab, first, second, on_fail="stop")
    assert len(result.runs) == 1
    assert result.not_run == ["second"]
    assert result.exit_code == ExitCode.FAIL
    [row] = result.summary["gate"]["rules"]
    assert "second was not run" in row["why"]


def test_a_gate_over_nothing_is_no_pass(lab: Lab) -> None:
    lab.stack.lacks = {Capability.PROXY: "no proxy_api"}
    planned = [Planned(lab.experiment(LATENCY), Path("x.yaml"), named=False)]
    gate = Gate.model_validate({"rules": [{"type": "skipped", "max": 9}]})
    result = lab.runner(gate=(gate, Path("gate.yaml"))).run(planned)
    assert result.exit_code == ExitCode.UNKNOWN
    assert result.summary["gate"]["verdict"] == "unknown"


def test_what_a_signal_left_undone_is_in_the_gates_reasons(lab: Lab) -> None:
    first = lab.experiment(command(lab))
    talk = lab.talk
    whole = talk.run_ended

    def ended(verdict: dict[str, Any], folder: Path) -> None:
        whole(verdict, folder)
        lab.interrupts.receive(signal.SIGTERM)

    talk.run_ended = ended  # type: ignore[method-assign]
    result = gated(lab, first, first.model_copy(update={"name": "second"}))
    assert result.exit_code == ExitCode.SIGTERM
    assert result.summary["gate"]["verdict"] == "unknown"
    assert result.not_run == ["second"]
