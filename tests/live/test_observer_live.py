"""The observer on real vLLM: all its shapes are `ok`; a killed engine looks as the facts say."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.observer.conftest import Seen
from vqchaos.clock import RealClock, wait_until
from vqchaos.history.events import (
    CanaryProbe,
    HealthProbe,
    LagProbe,
    MetricsProbe,
    ProcessExited,
    ProcessStarted,
    Request,
)
from vqchaos.load.workload import ObserverSettings, Workload
from vqchaos.observer.config import ObserverConfig
from vqchaos.observer.link import ObserverLink
from vqchaos.probes.fingerprint import Fingerprint, compare
from vqchaos.probes.golden import built_in_canaries, record_golden
from vqchaos.probes.metrics import NAMES
from vqchaos.stack.local.stack import LocalStack

pytestmark = pytest.mark.live

NO_THINKING = {"chat_template_kwargs": {"enable_thinking": False}}


@contextmanager
def observing(
    stack: LocalStack, seen: Seen, workloads: dict[str, Workload], golden: Path | None = None
) -> Iterator[ObserverLink]:
    config = ObserverConfig(
        origin=time.monotonic(),
        endpoints=stack.endpoints,
        workloads=workloads,
        settings=ObserverSettings(),
        seed=1,
        golden=golden,
        sources=stack.probe_sources(),
    )
    with ObserverLink(config, seen) as link:
        yield link


@pytest.fixture
def seen() -> Seen:
    return Seen()


def outcomes(seen: Seen) -> Counter[tuple[str, str]]:
    return Counter((r.workload, r.outcome) for r in seen.of(Request))


def test_every_real_shape_is_ok(live_stack: LocalStack, seen: Seen) -> None:
    shapes: dict[str, dict[str, Any]] = {
        "completions": {},
        "whole": {"stream": False},
        "chat": {"api": "chat"},
        "chat-whole": {"api": "chat", "stream": False},
        "chat-quiet": {"api": "chat", "body": NO_THINKING},
        "exact": {"body": {"ignore_eos": True}},
        "sized": {"prompts": {"tokens": "50..300"}, "max_tokens": 8},
    }
    workloads = {
        name: Workload.model_validate({"rate": 1.5, "arrivals": "constant", **shape})
        for name, shape in shapes.items()
    }
    with observing(live_stack, seen, workloads) as link:
        assert link.token(direct=False, timeout=10)
        assert link.token(direct=True, timeout=10)
        link.start_load()
        for name in shapes:
            seen.wait(Request, 6, workload=name)
        assert link.drain(20)
        seen.wait(MetricsProbe, 2)
        seen.wait(HealthProbe, 4)
    bad = [r for r in seen.of(Request) if r.outcome not in ("ok", "cancelled")]
    assert bad == []
    for request in seen.of(Request, outcome="ok"):
        assert request.completion_tokens >= 1
        assert request.first_token is not None
        if request.stream:
            # Chunks are not tokens: several may come at once, and <think> brings no text.
            assert 1 <= len(request.tokens) <= request.completion_tokens
    assert all(r.completion_tokens == 32 for r in seen.of(Request, workload="exact", outcome="ok"))
    assert {p.role for p in seen.wait(ProcessStarted, 4)} >= {
        "server",
        "engine",
        "worker",
        "tracker",
    }
    assert {p.status for p in seen.of(HealthProbe)} == {200}
    # vLLM counts corrupted requests only with VLLM_COMPUTE_NANS_IN_LOGITS=1.
    assert set(NAMES) - set(seen.of(MetricsProbe)[-1].values) <= {"corrupted_requests_total"}
    lag = sorted(x for e in seen.of(LagProbe) for x in e.samples)
    assert lag[int(0.99 * len(lag))] < 0.1


def test_canaries_are_equal_twenty_times(
    live_stack: LocalStack, seen: Seen, tmp_path: Path
) -> None:
    golden = tmp_path / "golden.json"
    ends = live_stack.endpoints
    record_golden(ends.direct_url, ends.model, built_in_canaries(), model_sha256="").write(golden)
    with observing(live_stack, seen, {"clients": Workload(rate=4)}, golden) as link:
        link.start_load()
        for _ in range(20):
            assert link.canary("baseline", 30)
            link.resume()
    probes = seen.of(CanaryProbe)
    assert len(probes) == 20 * 4
    first = {p.name: p for p in probes[:4]}
    assert "BASIS" in first["licence"].text
    assert first["chat"].text == "The capital of France is Paris."
    for p in probes:
        one = first[p.name]
        found = compare(
            Fingerprint(one.text, one.tokens, one.logprobs),
            Fingerprint(p.text, p.tokens, p.logprobs),
            tolerance=0.0,
        )
        assert found.same, found


def test_a_stopped_engine_hangs_and_health_does_not_know(
    live_stack: LocalStack, seen: Seen
) -> None:
    workload = Workload.model_validate({"rate": 4, "deadline": "3s"})
    with observing(live_stack, seen, {"clients": workload}) as link:
        link.start_load()
        seen.wait(Request, 8, workload="clients", outcome="ok")
        seen.wait(Request, 4, workload="pilot", outcome="ok")
        link.baseline_over()
        engine = live_stack.processes.find("engine")[0]
        assert live_stack.processes.signal(engine, signal.SIGSTOP)
        try:
            seen.wait(Request, 3, workload="clients", outcome="hung")
            seen.wait(Request, 2, workload="pilot", outcome="hung")
            assert seen.of(HealthProbe)[-1].status == 200
        finally:
            live_stack.processes.signal(engine, signal.SIGCONT)
        sent_after = len(seen.of(Request))
        assert wait_until(
            lambda: any(r.outcome == "ok" for r in seen.of(Request)[sent_after:]),
            15,
            RealClock(),
        )
    assert set(dict.fromkeys(o for _, o in outcomes(seen))) <= {"ok", "hung", "cancelled"}


def test_a_killed_engine_is_an_error_inside_the_stream(live_stack: LocalStack, seen: Seen) -> None:
    workload = Workload.model_validate(
        {"rate": 6, "max_tokens": 512, "body": {"ignore_eos": True}, "deadline": "20s"}
    )
    with observing(live_stack, seen, {"clients": workload}) as link:
        link.start_load()
        assert wait_until(lambda: link.status.streaming >= 2, 15, RealClock(), every=0.002)
        engine = live_stack.processes.find("engine")[0]
        killed = time.monotonic()
        os.kill(engine.pid, signal.SIGKILL)
        errors = seen.wait(Request, 2, workload="clients", outcome="stream_error")
        assert time.monotonic() - killed < 5
        assert any(r.tokens for r in errors)  # cut in mid-stream
        assert all("EngineCore" in r.detail for r in errors), errors
        exits = seen.wait(ProcessExited, role="engine")
        assert exits[0].pid == engine.pid
        server = seen.wait(ProcessExited, role="server")[0]
        assert (server.exit_code, server.source) == (0, "launcher")
        assert wait_until(
            lambda: any(p.status == 503 or p.error == "refused" for p in seen.of(HealthProbe)),
            10,
            RealClock(),
        )
        # Back: the first token of the new server, by the clients' own words.
        start = seen.wait(ProcessExited, role="server")[0].t
        assert wait_until(
            lambda: any(
                r.outcome == "ok" and r.sent > start for r in seen.of(Request, workload="pilot")
            ),
            180,
            RealClock(),
            every=0.2,
        )
    found = outcomes(seen)
    print(found)  # noqa: T201 (with -s: what clients saw)
    assert found["clients", "hung"] == 0, found
    assert {o for _, o in found} <= {"ok", "stream_error", "refused", "reset", "error", "shed",
                                     "truncated", "cancelled"}  # fmt: skip
