"""The shapes of the OpenAI-compatible API: from JSON to what an answer holds.

A *token* is any non-empty ``text``, ``content``, ``reasoning``, ``reasoning_content`` or tool-call
delta (MEASURE, "A request").
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import orjson

DONE = "[DONE]"
TEXT_LIMIT = 65_536  # characters of an answer that are kept
_DELTA_TEXTS = ("content", "reasoning", "reasoning_content")


@dataclass(frozen=True, slots=True)
class Answer:
    """What was read of an answer, streamed or whole.

    ``text`` is everything a client would show, reasoning included. ``bad`` is the first part that
    is not what the API promises. ``finish`` maps each choice that was seen to its finish reason.
    ``mixed`` is the first sign that a second answer came in the same stream. A router that sends a
    request again keeps its id, so the id alone does not tell.
    """

    text: str = ""
    ids: tuple[str, ...] = ()
    finish: tuple[tuple[int, str | None], ...] = ()
    error: str | None = None
    done: bool = False
    events: int = 0
    tokens: int = 0  # non-empty deltas; 1 for a whole answer with text
    completion_tokens: int | None = None
    bad: str = ""
    mixed: str = ""

    @property
    def finish_reason(self) -> str | None:
        """The one to show: of the first choice that did not end well, else of the first."""
        reasons = [reason for _, reason in self.finish]
        for reason in reasons:
            if reason not in ("stop", "length", "tool_calls"):
                return reason
        return reasons[0] if reasons else None


@dataclass(slots=True)
class AnswerBuilder:
    """Adds up an answer, chunk by chunk."""

    api: str
    _text: list[str] = field(default_factory=list)
    _length: int = 0
    _ids: list[str] = field(default_factory=list)
    _finish: dict[int, str | None] = field(default_factory=dict)
    _error: str | None = None
    _done: bool = False
    _events: int = 0
    _tokens: int = 0
    _completion_tokens: int | None = None
    _bad: str = ""
    _mixed: str = ""

    def chunk(self, data: str) -> bool:
        """One event of the stream; True if it brought a token."""
        self._events += 1
        if self._done:
            self._is_mixed("a second [DONE]" if data == DONE else "an event after [DONE]")
        if data == DONE:
            self._done = True
            return False
        try:
            parsed = _parse(data)
        except (ValueError, RecursionError):
            return self._is_bad(f"an event that is not JSON: {data[:80]}")
        return self._take(parsed, "delta")

    def whole(self, body: bytes) -> bool:
        """The body of an answer that was not streamed; True if it holds a token."""
        self._events += 1
        try:
            parsed = _parse(body)
        except (ValueError, RecursionError):
            return self._is_bad("the answer is not JSON" if body else "the answer is empty")
        return self._take(parsed, "message")

    def build(self) -> Answer:
        return Answer(
            text="".join(self._text),
            ids=tuple(self._ids),
            finish=tuple(sorted(self._finish.items())),
            error=self._error,
            done=self._done,
            events=self._events,
            tokens=self._tokens,
            completion_tokens=self._completion_tokens,
            bad=self._bad,
            mixed=self._mixed,
        )

    @property
    def tokens(self) -> int:
        return self._tokens

    def _is_bad(self, why: str) -> bool:
        self._bad = self._bad or why
        return False

    def _is_mixed(self, why: str) -> None:
        self._mixed = self._mixed or why

    def _take(self, parsed: Any, part: str) -> bool:
        if not isinstance(parsed, dict):
            return self._is_bad("an event that is not a JSON object")
        if (error := error_message(parsed)) is not None:
            self._error = self._error or error
            return False
        identity = parsed.get("id")
        if isinstance(identity, str) and identity not in self._ids and len(self._ids) < 4:
            if self._ids:
                self._is_mixed(f"the id changed from {self._ids[0]} to {identity}")
            self._ids.append(identity)
        usage = parsed.get("usage")
        if isinstance(usage, dict) and isinstance(usage.get("completion_tokens"), int):
            self._completion_tokens = usage["completion_tokens"]
        choices = parsed.get("choices")
        if not isinstance(choices, list):
            return self._is_bad("an answer without choices")
        token = False
        for choice in choices:
            token = self._choice(choice, part) or token
        self._tokens += token
        return token

    def _choice(self, choice: Any, part: str) -> bool:
        if not isinstance(choice, dict):
            return self._is_bad("a choice that is not an object")
        index = choice.get("index", 0)
        reason = choice.get("finish_reason")
        if not isinstance(index, int) or not (reason is None or isinstance(reason, str)):
            return self._is_bad("a choice with a wrong index or finish_reason")
        ended = self._finish.get(index) is not None
        if ended and reason is not None:
            self._is_mixed(f"a second finish reason of choice {index}")
        if reason is not None or index not in self._finish:
            self._finish[index] = reason
        token = self._delta(choice, part)
        if ended and token:
            self._is_mixed(f"text of choice {index} after its finish reason")
        return token

    def _delta(self, choice: dict[str, Any], part: str) -> bool:
        """What the choice brings; True if that is a token."""
        if self.api == "completions":
            text = choice.get("text")
            if not isinstance(text, str):
                return self._is_bad("a choice without text")
            return self._add(text)
        delta = choice.get(part)
        if not isinstance(delta, dict):
            return self._is_bad(f"a choice without {part}")
        token = False
        for key in _DELTA_TEXTS:
            text = delta.get(key)
            if isinstance(text, str):
                token = self._add(text) or token
            elif text is not None:
                self._is_bad(f"{part}.{key} is not text")
        return bool(delta.get("tool_calls")) or token

    def _add(self, text: str) -> bool:
        if text and self._length < TEXT_LIMIT:
            self._text.append(text[: TEXT_LIMIT - self._length])
            self._length += len(text)
        return bool(text)


def _parse(data: str | bytes) -> Any:
    """As the standard library reads it, which takes more: NaN, half a surrogate."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return json.loads(data)


def error_message(parsed: dict[str, Any]) -> str | None:
    """The message of an error object: ``{"error": {…}}`` or ``{"object": "error", …}``."""
    error = parsed.get("error")
    if error:
        if isinstance(error, dict):
            return f"{error.get('message', '')} (code {error.get('code')})".strip()
        return str(error)
    if parsed.get("object") == "error":
        return str(parsed.get("message", "error"))
    return None


def is_promised_error(parsed: Any, status: int) -> bool:
    """The promised error body: ``{"error": {message, type, param, code}}``, code the status."""
    error = parsed.get("error") if isinstance(parsed, dict) else None
    return (
        isinstance(error, dict)
        and isinstance(error.get("message"), str)
        and "type" in error
        and error.get("code") in (status, str(status))
    )
