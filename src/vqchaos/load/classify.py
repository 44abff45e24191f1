"""From what was seen on the wire to an outcome. Pure; the law is MEASURE, "A request"."""

from __future__ import annotations

import json
import re
from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any, Literal

from vqchaos.load.wire import Answer, error_message, is_promised_error
from vqchaos.text import one_line

# How an exchange ended, as the socket saw it.
End = Literal[
    "complete",  # the answer ended as HTTP says it ends
    "cut",  # the connection ended after the first byte of the answer, before its end
    "reset",  # … before the first byte
    "refused",  # there never was a connection, or its two ends were the same
    "not_http",  # something answered that is not HTTP
    "deadline",
    "cancelled",
]

GOOD_FINISH = ("stop", "length", "tool_calls")
OUR_ID = re.compile(r"vqc-[0-9a-f]{8}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Everything a client saw of one request.

    ``body`` is kept unless the answer was an event stream; ``answer`` is what was read from a 2xx.
    ``issued`` knows the ids of all requests of this run; ``expected_tokens`` is the exact count
    that the request forces (``ignore_eos`` with ``max_tokens``).
    """

    id: str
    stream: bool
    end: End
    why: str = ""  # of the end, in a few words
    status: int | None = None
    content_type: str = ""
    retry_after: bool = False
    body: bytes = b""
    answer: Answer = field(default_factory=Answer)
    issued: Container[str] = frozenset()
    expected_tokens: int | None = None


def classify(seen: Exchange) -> tuple[str, str]:
    """(outcome, detail): the first outcome that fits, and what happened in a few words."""
    if seen.end == "cancelled":
        return "cancelled", seen.why
    if stranger := _stranger(seen):
        return "misrouted", f"the answer belongs to {stranger}"
    if (inside := _error_inside(seen)) is not None:
        return "stream_error", one_line(inside, 200)
    if seen.end == "deadline":
        return "hung", _how_far(seen)
    if seen.end == "cut":
        return "truncated", f"the connection ended {_after(seen)}: {seen.why}"
    if seen.end == "complete" and _is_success(seen.status) and (why := _unfinished(seen)):
        return "truncated", why
    if seen.end == "reset":
        return "reset", seen.why
    if seen.end == "refused":
        return "refused", seen.why
    if seen.end == "not_http":
        return "malformed", f"the answer is not HTTP: {seen.why}"
    assert seen.status is not None, "an exchange that ended has a status"
    if not _is_success(seen.status):
        return _refusal(seen, seen.status)
    if why := _malformed(seen):
        return "malformed", one_line(why, 200)
    return "ok", ""


def excerpt(seen: Exchange) -> str:
    """The start of the text, or of the body where there is no text."""
    return one_line(seen.answer.text or seen.body[:1000].decode("utf-8", "replace"), 120)


def _is_success(status: int | None) -> bool:
    return status is not None and 200 <= status < 300


def _is_event_stream(seen: Exchange) -> bool:
    return seen.content_type.startswith("text/event-stream")


def _stranger(seen: Exchange) -> str | None:
    """The id of another request of ours that this answer carries.

    In the answer's id any other id of ours counts, also one of an earlier run. In its text only
    the nonce of a request of this run does: a model may make up something that looks like one.
    """
    for identity in seen.answer.ids:
        for found in OUR_ID.findall(identity):
            if found != seen.id:
                return str(found)
    if "vqc-" in seen.answer.text:
        for found in OUR_ID.findall(seen.answer.text):
            if found != seen.id and found in seen.issued:
                return str(found)
    return None


def _error_inside(seen: Exchange) -> str | None:
    """The message of an error chunk inside a 2xx."""
    if seen.stream and _is_success(seen.status):
        return seen.answer.error
    return None


def _how_far(seen: Exchange) -> str:
    if seen.status is None:
        return "no answer by the deadline"
    if seen.answer.tokens:
        return f"still open at the deadline, after {seen.answer.tokens} tokens"
    return f"HTTP {seen.status}, then no token by the deadline"


def _after(seen: Exchange) -> str:
    if seen.status is None:
        return "inside the headers"
    return f"after {seen.answer.tokens} tokens"


def _unfinished(seen: Exchange) -> str:
    """Why a 2xx that ended cleanly is not a whole answer; empty if it is, or is no answer."""
    answer = seen.answer
    if seen.stream:
        if not _is_event_stream(seen):
            return ""  # no stream at all: malformed
        if not answer.done:
            return f"the stream ended without [DONE], after {answer.tokens} tokens"
    elif not answer.finish:
        return ""
    bad = next((reason for _, reason in answer.finish if reason not in GOOD_FINISH), "")
    if bad is None or not answer.finish:
        return f"no finish reason, after {answer.tokens} tokens"
    return f"finish reason {one_line(bad, 40)!r}" if bad else ""


def _refusal(seen: Exchange, status: int) -> tuple[str, str]:
    parsed = _json(seen.body)
    said = error_message(parsed) if isinstance(parsed, dict) else None
    text = said if said is not None else seen.body[:400].decode("utf-8", "replace")
    detail = one_line(f"HTTP {status}: {text}" if text else f"HTTP {status}", 200)
    promised = is_promised_error(parsed, status)
    if status == 429 or (status == 503 and (seen.retry_after or promised)):
        return "shed", detail
    if status < 400:
        return "malformed", detail
    # A router's or proxy's body may have any shape. One that claims the API's shape and
    # does not keep it is the server's own. A word or nothing for the code is a gateway's, as
    # OpenAI's own is; a number that is not the status is a lie.
    if isinstance(parsed, dict) and isinstance(parsed.get("error"), dict) and not promised:
        code = parsed["error"].get("code", 0)
        worded = code is None or (isinstance(code, str) and not code.isdigit())
        if worded and is_promised_error({"error": {**parsed["error"], "code": status}}, status):
            return "error", detail
        return "malformed", one_line(f"{detail} (its code or shape is wrong)", 200)
    return "error", detail


def _malformed(seen: Exchange) -> str:
    """Why a 2xx that ended well is not what the API promises; empty if it is."""
    answer = seen.answer
    if seen.status != 200:
        return f"HTTP {seen.status} instead of 200"
    if seen.stream and not _is_event_stream(seen):
        return f"no event stream but {seen.content_type or 'no content type'}"
    if answer.error is not None:
        return f"HTTP 200 with an error: {answer.error}"
    if answer.bad:
        return answer.bad
    if not answer.finish:
        return "HTTP 200 without a choice"
    if not answer.tokens and not answer.completion_tokens:
        return "HTTP 200 without a token"
    if answer.completion_tokens == 0:
        return "HTTP 200 with 0 completion tokens"
    if (
        seen.expected_tokens is not None
        and answer.completion_tokens is not None
        and answer.completion_tokens != seen.expected_tokens
    ):
        return f"{answer.completion_tokens} completion tokens instead of {seen.expected_tokens}"
    return ""


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
