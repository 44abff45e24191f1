"""Health, pilot, lag and canary on fakes: no sockets, no waiting."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import pytest

from vqchaos.history.events import CanaryProbe, Event, HealthProbe, LagProbe, Request
from vqchaos.probes.canary import CanaryProbes
from vqchaos.probes.golden import Canary, GoldenAnswer
from vqchaos.probes.health import HealthWatch
from vqchaos.probes.lag import LagWatch
from vqchaos.probes.pilot import Pilot
from vqchaos.probes.protocols import Question


def request(question: Question, outcome: str = "ok", took: float = 0.1, **change: Any) -> Request:
    base = Request(
        t=question.due + took,
        workload=question.workload,
        id="vqc-1",
        api=question.api,
        stream=False,
        due=question.due,
        sent=question.due,
        first_byte=None,
        first_token=None,
        ended=question.due + took,
        deadline=question.deadline,
        outcome=outcome,
    )
    return dataclasses.replace(base, **change)


def never(error: BaseException) -> None:
    raise error


# ---------------------------------------------------------------- health


@dataclass
class Got:
    status: int | None
    body: bytes = b""
    error: str = ""


def test_health_overlaps_when_it_hangs() -> None:
    async def go() -> int:
        waiting = 0
        enough = asyncio.Event()

        async def get(_url: str, _timeout: float) -> Got:
            nonlocal waiting
            waiting += 1
            if waiting >= 3:
                enough.set()
            await asyncio.Event().wait()
            raise AssertionError

        watch = HealthWatch(
            url="u",
            interval=0.005,
            timeout=2,
            get=get,
            emit=out.append,
            now=lambda: 0.0,
            crashed=never,
        )
        task = asyncio.create_task(watch.run())
        async with asyncio.timeout(5):
            await enough.wait()
        task.cancel()
        await asyncio.wait([task])
        return waiting

    out: list[Event] = []
    assert asyncio.run(go()) >= 3
    assert out == []


def test_health_says_what_it_got() -> None:
    async def get(_url: str, timeout: float) -> Got:
        assert timeout == 2
        return Got(None, error="refused")

    out: list[Event] = []
    watch = HealthWatch(
        url="u", interval=1, timeout=2, get=get, emit=out.append, now=lambda: 3.0, crashed=never
    )
    asyncio.run(watch.once())
    assert out == [HealthProbe(t=3.0, sent=3.0, status=None, error="refused")]


# ---------------------------------------------------------------- pilot


def pilot(took: list[float], outcome: str = "ok") -> tuple[Pilot, list[Question]]:
    asked: list[Question] = []

    async def ask(question: Question) -> tuple[Request, Any]:
        asked.append(question)
        return request(question, outcome, took[len(asked) - 1]), None

    return Pilot(
        base_url="http://x",
        model="m",
        interval=0.005,
        deadline=2.0,
        ask=ask,
        emit=lambda _: None,
        now=lambda: 0.0,
        crashed=never,
    ), asked


def test_the_pilots_deadline_is_learnt_from_the_baseline() -> None:
    probe, asked = pilot([0.1] * 19 + [1.0] + [50.0])
    for _ in range(20):
        asyncio.run(probe.once(0.0))
    probe.baseline_over()
    assert probe.deadline == 2.0  # p95 is 0.1
    asyncio.run(probe.once(0.0))  # under the fault: teaches nothing
    probe.baseline_over()
    assert probe.deadline == 2.0
    assert asked[-1].deadline == 2.0
    assert asked[0].body["max_tokens"] == 1
    assert asked[0].workload == "pilot"


def test_a_slow_baseline_makes_a_patient_pilot() -> None:
    probe, asked = pilot([3.0] * 5)
    for _ in range(5):
        asyncio.run(probe.once(0.0))
    assert asked[0].deadline == 10.0  # while it learns it is patient: 3 s are seen
    probe.baseline_over()
    assert probe.deadline == 15.0


def test_failures_teach_nothing() -> None:
    probe, _ = pilot([9.0] * 5, "hung")
    for _ in range(5):
        asyncio.run(probe.once(0.0))
    probe.baseline_over()
    assert probe.deadline == 2.0


def test_pilots_overlap_and_can_be_held() -> None:
    async def go() -> None:
        gate = asyncio.Event()

        async def ask(question: Question) -> tuple[Request, Any]:
            await gate.wait()
            return request(question), None

        out: list[Event] = []
        probe = Pilot(
            base_url="u",
            model="m",
            interval=0.005,
            deadline=2.0,
            ask=ask,
            emit=out.append,
            now=lambda: 0.0,
            crashed=never,
        )
        task = asyncio.create_task(probe.run())
        async with asyncio.timeout(5):
            while probe.in_flight < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        probe.hold()
        gate.set()
        await probe.quiet()
        assert probe.in_flight == 0
        count = len(out)
        assert count >= 3
        await asyncio.sleep(0.03)  # six pilots' time
        assert len(out) == count
        probe.release()
        async with asyncio.timeout(5):
            while len(out) == count:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.wait([task])
        await probe.cancel()

    asyncio.run(go())


# ---------------------------------------------------------------- lag


def test_lag_is_reported_in_batches_and_at_once_when_it_is_bad() -> None:
    out: list[Event] = []
    watch = LagWatch(emit=out.append, now=lambda: 1.0)
    for _ in range(20):
        watch.add(0.001)
    watch.add(0.002)
    assert out == [LagProbe(t=1.0, samples=[0.001] * 20)]
    watch.add(0.7)
    watch.flush()
    assert out[1:] == [LagProbe(t=1.0, samples=[0.002, 0.7])]


def test_lag_sees_a_blocked_loop() -> None:
    async def go() -> None:
        import time

        task = asyncio.create_task(LagWatch(emit=out.append, now=lambda: 0.0).run())
        await asyncio.sleep(0)
        time.sleep(0.6)  # noqa: ASYNC251 (what a blocking library does)
        async with asyncio.timeout(5):
            while not out:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        task.cancel()

    out: list[Event] = []
    asyncio.run(go())
    assert isinstance(out[0], LagProbe)
    assert max(out[0].samples) > 0.5


# ---------------------------------------------------------------- canary

PLAIN = Canary(name="one", api="completions", prompt="One,", max_tokens=9)
GOLDEN = GoldenAnswer(
    name="one",
    api="completions",
    prompt="One,",
    max_tokens=9,
    text="ab",
    tokens=(1, 2),
    logprobs=(-0.1, -0.2),
)


def answer(text: str, tokens: list[int], logprobs: list[float]) -> dict[str, Any]:
    choice = {"text": text, "token_ids": tokens, "logprobs": {"token_logprobs": logprobs}}
    return {"choices": [choice]}


def sing(
    canary: Canary, body: Any, moment: str = "baseline", **change: Any
) -> tuple[bool, list[Event]]:
    async def ask(question: Question) -> tuple[Request, Any]:
        assert question.base_url == "http://x"
        assert question.body["temperature"] == 0
        return request(question, **change), body

    out: list[Event] = []
    probes = CanaryProbes(
        [canary], model="m", deadline=5, ask=ask, emit=out.append, now=lambda: 1.0
    )
    return asyncio.run(probes.run(moment, "http://x")), out


def test_a_right_answer() -> None:
    for canary in (PLAIN, GOLDEN):
        ok, out = sing(canary, answer("ab", [1, 2], [-0.1, -0.2]))
        assert ok
        probe = out[1]
        assert isinstance(out[0], Request)
        assert isinstance(probe, CanaryProbe)
        assert (probe.outcome, probe.tokens, probe.logprobs) == ("ok", [1, 2], [-0.1, -0.2])
        assert probe.expected_text == (None if canary is PLAIN else "ab")


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (answer("!" * 8, [0] * 8, [-0.1 * n for n in range(8)]), "repeated"),
        (answer("abcd", [1, 2, 3, 4], [-7.6] * 4), "every log-probability"),
        (answer("a\ufffd", [1], [-0.1]), "U+FFFD"),
        (answer("a", [1], [math.nan]), "not finite"),
    ],
)
def test_garbage_needs_no_reference(body: Any, word: str) -> None:
    ok, out = sing(PLAIN, body)
    probe = out[1]
    assert isinstance(probe, CanaryProbe)
    assert not ok
    assert probe.outcome == "corrupted"
    assert word in probe.garbage[0]
    assert all(math.isfinite(v) for v in probe.logprobs)


def test_another_answer_than_the_golden_one() -> None:
    ok, out = sing(GOLDEN, answer("ac", [1, 3], [-0.1, -0.4]))
    probe = out[1]
    assert isinstance(probe, CanaryProbe)
    assert not ok
    assert probe.outcome == "corrupted"
    assert probe.garbage == []
    assert "position 1" in probe.detail
    assert sing(PLAIN, answer("ac", [1, 3], [-0.1, -0.4]))[0]


def test_under_load_a_near_tie_may_fall_either_way() -> None:
    tied = dataclasses.replace(GOLDEN, logprobs=(-0.1, -0.7))
    near = answer("ac", [1, 3], [-0.12, -0.72])
    assert not sing(tied, near)[0]
    assert sing(tied, near, moment="load")[0]
    ok, out = sing(GOLDEN, answer("ac", [1, 3], [-0.1, -0.2]), moment="load")
    probe = out[1]
    assert isinstance(probe, CanaryProbe)
    assert (ok, probe.moment, probe.outcome) == (False, "load", "corrupted")
    assert "under load" in probe.detail


def test_under_load_what_cannot_be_judged_is_no_corruption() -> None:
    assert sing(GOLDEN, {"choices": [{"text": "ac"}]}, moment="load")[0]


def test_nan_that_vllm_blames_on_json() -> None:
    detail = "HTTP 400: Out of range float values are not JSON compliant: nan"
    ok, out = sing(PLAIN, None, outcome="error", status=400, detail=detail)
    probe = out[1]
    assert isinstance(probe, CanaryProbe)
    assert (ok, probe.outcome) == (False, "corrupted")
    assert "not finite" in probe.garbage[0]


def test_an_unanswered_canary_is_not_corrupted() -> None:
    ok, out = sing(GOLDEN, None, outcome="refused", detail="connection refused")
    probe = out[1]
    assert isinstance(probe, CanaryProbe)
    assert (ok, probe.outcome, probe.garbage) == (False, "refused", [])


def test_a_cancelled_canary_asks_no_more() -> None:
    with pytest.raises(asyncio.CancelledError):
        sing(PLAIN, None, outcome="cancelled")
