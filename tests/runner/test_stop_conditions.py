from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import FakeWorld
from tests.runner.fake_stack import QUICK, FakeStack, Lab
from tests.scripted_server import ScriptedServer
from vqchaos.errors import ExitCode
from vqchaos.history.events import PhaseStarted, Request, RunEnded
from vqchaos.history.store import read
from vqchaos.ledger import Ledger
from vqchaos.runner.stop_conditions import StopConditionMet, StopWatch
from vqchaos.stop_rules import AnyStopRule, StopAvailability, StopTtft

RULE = StopAvailability.model_validate({"type": "availability", "below": "95%", "for": "5s"})
LATENCY = {"type": "latency", "latency": "50ms"}


def request(
    at: float, outcome: str = "ok", workload: str = "clients", ttft: float = 0.1
) -> Request:
    return Request(
        t=at,
        workload=workload,
        id="vqc-1",
        api="completions",
        stream=True,
        due=at - ttft,
        sent=at - ttft,
        first_byte=at,
        first_token=at if outcome == "ok" else None,
        ended=at,
        deadline=5.0,
        outcome=outcome,
    )


class Bench:
    """A watch whose time and requests in flight a test sets."""

    def __init__(self, *rules: AnyStopRule) -> None:
        self.now = 0.0
        self.waiting = {"clients": 0}
        self.watch = StopWatch(rules, lambda: self.now, lambda: self.waiting)
        self.watch.load_begins()

    def stops(self) -> str | None:
        try:
            self.watch.check()
        except StopConditionMet as error:
            return error.message
        return None


def test_it_stops_when_the_share_over_a_full_window_is_under_the_limit() -> None:
    bench = Bench(RULE)
    for second in range(5):
        bench.watch.add(request(float(second), "refused"))
    bench.now = 4.9
    assert bench.stops() is None, "the window is not full"
    bench.now = 5.0
    assert "it was 0% of 5" in (bench.stops() or "")


def test_what_lies_before_the_window_is_forgotten() -> None:
    bench = Bench(RULE)
    for second in range(20):
        bench.watch.add(request(float(second), "refused" if second < 10 else "ok"))
    bench.now = 19.0
    assert bench.stops() is None


@pytest.mark.parametrize("workload", ["pilot", "canary"])
def test_probes_and_what_vqchaos_cancelled_do_not_count(workload: str) -> None:
    bench = Bench(RULE)
    for second in range(6):
        bench.watch.add(request(float(second), "refused", workload))
        bench.watch.add(request(float(second), "cancelled"))
    bench.now = 6.0
    assert bench.stops() is None


def test_no_answer_at_all_while_some_wait_is_no_availability() -> None:
    bench = Bench(RULE)
    bench.watch.add(request(1.0))
    bench.now = 7.0
    assert bench.stops() is None, "nobody waits"
    bench.waiting = {"clients": 4}
    assert "no request came to its end" in (bench.stops() or "")


def test_a_rule_of_one_workload_hears_no_other() -> None:
    bench = Bench(RULE.model_copy(update={"workload": "protected"}))
    for second in range(6):
        bench.watch.add(request(float(second), "refused", "others"))
        bench.watch.add(request(float(second), "ok", "protected"))
    bench.now = 6.0
    assert bench.stops() is None
    bench.now, bench.waiting = 20.0, {"others": 3, "protected": 0}
    assert bench.stops() is None, "it had no request in the window, and none waits"
    bench.waiting = {"others": 0, "protected": 1}
    assert "no request came to its end" in (bench.stops() or "")


def test_slow_first_tokens_stop_it() -> None:
    bench = Bench(StopTtft.model_validate({"type": "ttft", "above": "2s", "for": "5s"}))
    for second in range(1, 6):
        bench.watch.add(request(float(second), ttft=3.0))
    bench.now = 5.5
    assert "it was 3s" in (bench.stops() or "")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with ScriptedServer() as http:
        yield Lab(FakeStack(tmp_path, http, FakeWorld(tmp_path / "world")), tmp_path / "runs")


def experiment(lab: Lab, **more: Any) -> Any:
    rule = {"type": "availability", "below": "80%", "for": "600ms"}
    return lab.experiment(LATENCY, phases={**QUICK, "fault": "60s"}, abort_when=[rule], **more)


def test_a_run_that_hurts_too_much_ends_at_once_reverted_and_failed(lab: Lab) -> None:
    def said(text: str, t: float | None = None) -> None:
        lab.talk.lines.append(text)
        if "verified" in text:  # not earlier: the baseline must stay steady
            lab.stack.http.behaviour = "500"

    lab.talk.said = said  # type: ignore[method-assign]
    result = lab.run(experiment(lab))
    [done] = result.runs
    assert result.exit_code == ExitCode.FAIL, done.verdict["void_reasons"]
    assert done.verdict["valid"], done.verdict["void_reasons"]
    [finding] = [f for f in done.verdict["findings"] if f["kind"] == "stopped"]
    assert "availability of all workloads under 80% over 600ms" in finding["text"]
    assert any("stopped: " in line for line in lab.talk.lines)
    events = read(done.folder / "history.jsonl")
    assert [e.phase for e in events if isinstance(e, PhaseStarted)][-1] == "fault"
    ended = events[-1]
    assert isinstance(ended, RunEnded)
    assert ended.how == "stopped"
    assert lab.stack.world.proxy.listed.keys() == {"somebody-elses"}
    assert Ledger(lab.stack.state_dir).in_force() == []


def test_a_healthy_run_is_not_stopped(lab: Lab) -> None:
    rule = {"type": "availability", "below": "80%", "for": "600ms"}
    result = lab.run(lab.experiment(LATENCY, abort_when=[rule]))
    assert not any(f["kind"] == "stopped" for f in result.runs[0].verdict["findings"])
    assert result.runs[0].verdict["valid"]
