from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqchaos.history.events import OUTCOMES
from vqchaos.load.classify import Exchange, classify, excerpt
from vqchaos.load.wire import Answer

ME, OTHER = "vqc-00000001", "vqc-00000002"
SSE = "text/event-stream; charset=utf-8"
GOOD = Answer(
    text="hi",
    ids=(f"cmpl-{ME}",),
    finish=((0, "stop"),),
    done=True,
    events=3,
    tokens=2,
    completion_tokens=2,
)


def error_body(code: int, message: str = "no") -> bytes:
    error = {"message": message, "type": "t", "param": None, "code": code}
    return json.dumps({"error": error}).encode()


def seen(*, stream: bool = True, answer: dict[str, Any] | None = None, **change: Any) -> Exchange:
    """A perfect exchange, but for what is named."""
    base: dict[str, Any] = {
        "id": ME,
        "stream": stream,
        "end": "complete",
        "status": 200,
        "content_type": SSE if stream else "application/json",
        "answer": dataclasses.replace(GOOD, **{"done": stream, **(answer or {})}),
        "issued": frozenset({ME, OTHER}),
    }
    return Exchange(**{**base, **change})


def refusal(status: int, body: bytes = b"", **change: Any) -> Exchange:
    blank = {f.name: f.default for f in dataclasses.fields(Answer)}
    return seen(
        status=status, body=body, answer=blank, **{"content_type": "application/json", **change}
    )


CASES: list[tuple[str, str, Exchange]] = [
    ("ok", "a stream", seen()),
    ("ok", "a whole answer", seen(stream=False)),
    ("ok", "cut by max_tokens", seen(answer={"finish": ((0, "length"),)})),
    ("ok", "a tool call", seen(answer={"finish": ((0, "tool_calls"),), "text": ""})),
    ("ok", "no usage from this server", seen(answer={"completion_tokens": None})),
    ("ok", "counted, no text", seen(answer={"tokens": 0, "text": ""})),
    ("ok", "an id of the server's own", seen(answer={"ids": ("cmpl-a6058992e37d6d79",)})),
    ("ok", "a made-up nonce in the text", seen(answer={"text": "[vqc-deadbeef] x"})),
    ("ok", "its own nonce in the text", seen(answer={"text": f"[{ME}] x"})),
    ("ok", "the exact count", seen(expected_tokens=2)),
    ("cancelled", "by us", seen(end="cancelled")),
    ("cancelled", "even if it was misrouted", seen(end="cancelled", answer={"ids": (OTHER,)})),
    ("misrouted", "another id", seen(answer={"ids": (f"cmpl-{OTHER}",)})),
    ("misrouted", "an id of an earlier run", seen(answer={"ids": ("cmpl-vqc-deadbeef",)})),
    ("misrouted", "a second id", seen(answer={"ids": (f"cmpl-{ME}", f"cmpl-{OTHER}")})),
    ("misrouted", "another nonce", seen(answer={"text": f"as [{OTHER}] said"})),
    ("misrouted", "not streamed", seen(stream=False, answer={"ids": (f"cmpl-{OTHER}",)})),
    ("misrouted", "before an error", seen(answer={"ids": (OTHER,), "error": "e"})),
    ("stream_error", "then [DONE]", seen(answer={"error": "EngineCore died"})),
    ("stream_error", "then a hang", seen(end="deadline", answer={"error": "e"})),
    ("stream_error", "then a cut", seen(end="cut", answer={"error": "e", "done": False})),
    ("hung", "headers only", refusal(200, end="deadline")),
    (
        "hung",
        "while connecting",
        seen(end="deadline", status=None, answer={"done": False, "tokens": 0}),
    ),
    ("hung", "after tokens", seen(end="deadline", answer={"done": False})),
    ("hung", "after [DONE], never closed", seen(end="deadline")),
    ("truncated", "a cut stream", seen(end="cut", answer={"done": False})),
    ("truncated", "a cut after [DONE]", seen(end="cut")),
    ("truncated", "a cut body", seen(stream=False, end="cut")),
    ("truncated", "a cut error body", refusal(500, b'{"err', end="cut")),
    ("truncated", "cut in the headers", seen(end="cut", status=None)),
    ("truncated", "abort", seen(answer={"finish": ((0, "abort"),)})),
    ("truncated", "abort, not streamed", seen(stream=False, answer={"finish": ((0, "abort"),)})),
    ("truncated", "content filter", seen(answer={"finish": ((0, "content_filter"),)})),
    ("truncated", "no [DONE]", seen(answer={"done": False})),
    ("truncated", "no finish", seen(answer={"finish": ((0, None),)})),
    ("truncated", "no finish, not streamed", seen(stream=False, answer={"finish": ((0, None),)})),
    ("truncated", "one choice of two", seen(answer={"finish": ((0, "stop"), (1, None))})),
    ("truncated", "an empty stream", seen(answer={"finish": (), "done": False, "tokens": 0})),
    ("truncated", "[DONE] alone", seen(answer={"finish": (), "tokens": 0})),
    ("reset", "before the first byte", seen(end="reset", status=None)),
    ("refused", "no connection", seen(end="refused", status=None)),
    ("shed", "429", refusal(429, error_body(429))),
    ("shed", "429 of a proxy", refusal(429, b"<html>")),
    ("shed", "503 of vLLM", refusal(503, error_body(503))),
    ("shed", "503 with Retry-After", refusal(503, b"<html>", retry_after=True)),
    ("error", "503 of a router", refusal(503, b"<html>503", content_type="text/html")),
    ("error", "503 without a body", refusal(503)),
    ("error", "500", refusal(500, error_body(500))),
    ("error", "400", refusal(400, error_body(400))),
    ("error", "unknown route", refusal(404, b'{"detail":"Not Found"}')),
    ("error", "502 of a proxy", refusal(502, b"Bad Gateway", content_type="text/plain")),
    ("error", "not streamed", refusal(500, error_body(500), stream=False)),
    ("malformed", "code is not the status", refusal(500, error_body(400))),
    ("malformed", "no message", refusal(500, b'{"error": {"code": 500}}')),
    ("malformed", "a redirect", refusal(302)),
    ("malformed", "no HTTP", seen(end="not_http", status=None)),
    ("malformed", "201", seen(status=201)),
    ("malformed", "204", refusal(204, stream=False)),
    ("malformed", "a page instead of a stream", refusal(200, b"<html>", content_type="text/html")),
    ("malformed", "JSON instead of a stream", seen(content_type="application/json")),
    ("malformed", "no JSON", refusal(200, b"hello", stream=False)),
    ("malformed", "an error in a 200", seen(stream=False, answer={"error": "e", "finish": ()})),
    ("malformed", "a broken chunk", seen(answer={"bad": "an event that is not JSON"})),
    ("malformed", "no token", seen(answer={"tokens": 0, "completion_tokens": 0})),
    ("malformed", "no token, no usage", seen(answer={"tokens": 0, "completion_tokens": None})),
    ("malformed", "0 tokens counted", seen(answer={"completion_tokens": 0})),
    ("malformed", "too few tokens", seen(expected_tokens=32)),
]


@pytest.mark.parametrize(
    ("outcome", "exchange"), [(a, c) for a, _, c in CASES], ids=[f"{a}: {b}" for a, b, _ in CASES]
)
def test_outcome(outcome: str, exchange: Exchange) -> None:
    assert classify(exchange)[0] == outcome


def test_every_outcome_of_the_law_has_a_case() -> None:
    # `corrupted` is the canary's, who knows the right answer.
    assert {outcome for outcome, _, _ in CASES} == set(OUTCOMES) - {"corrupted"}


def test_details_say_what_happened() -> None:
    assert classify(seen(end="deadline", status=None))[1] == "no answer by the deadline"
    assert "after 2 tokens" in classify(seen(end="deadline", answer={"done": False}))[1]
    assert classify(refusal(500, error_body(500, "EngineCore died")))[1] == (
        "HTTP 500: EngineCore died (code 500)"
    )
    assert "'abort'" in classify(seen(answer={"finish": ((0, "abort"),)}))[1]
    assert OTHER in classify(seen(answer={"ids": (OTHER,)}))[1]


def test_text_of_the_target_stays_data() -> None:
    nasty = refusal(500, b'{"error": {"message": "\\u001b[2J' + b"x" * 500 + b'"}}')
    detail = classify(nasty)[1]
    assert "\x1b" not in detail
    assert len(detail) <= 200
    assert "\x1b" not in excerpt(seen(answer={"text": "\x1b[31mred"}))


ENDS = ["complete", "cut", "reset", "refused", "not_http", "deadline", "cancelled"]


@given(
    end=st.sampled_from(ENDS),
    stream=st.booleans(),
    status=st.integers(200, 599),
    kind=st.sampled_from([SSE, "", "x"]),
    body=st.binary(max_size=60),
    retry=st.booleans(),
    answer=st.builds(
        Answer,
        text=st.text(max_size=20),
        ids=st.tuples(st.text(max_size=9)),
        finish=st.sampled_from([(), ((0, "stop"),), ((0, None),), ((0, "abort"),)]),
        error=st.none() | st.text(max_size=5),
        done=st.booleans(),
        tokens=st.integers(0, 3),
        completion_tokens=st.none() | st.integers(0, 3),
        bad=st.sampled_from(["", "x"]),
    ),
)
def test_everything_has_an_outcome(
    *, end: Any, stream: bool, status: int, kind: str, body: bytes, retry: bool, answer: Answer
) -> None:
    exchange = Exchange(
        id=ME,
        stream=stream,
        end=end,
        status=status,
        content_type=kind,
        body=body,
        retry_after=retry,
        answer=answer,
    )
    outcome, detail = classify(exchange)
    assert outcome in OUTCOMES
    if outcome == "ok":
        assert end == "complete"
        assert status == 200
        assert answer.finish == ((0, "stop"),)
        assert answer.done or not stream
    elif outcome not in ("cancelled", "reset", "refused", "stream_error", "truncated"):
        assert detail
