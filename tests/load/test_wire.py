from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqchaos.load.wire import TEXT_LIMIT, AnswerBuilder, is_promised_error


def chunk(delta: dict[str, Any], **choice: Any) -> str:
    one = {"index": 0, "delta": delta, "finish_reason": None, **choice}
    return json.dumps({"id": "chatcmpl-x", "choices": [one]})


@pytest.mark.parametrize(
    ("delta", "token"),
    [
        ({"role": "assistant", "content": ""}, False),
        ({}, False),
        ({"content": "a"}, True),
        ({"reasoning": "a"}, True),
        ({"reasoning_content": "a", "content": None}, True),
        ({"tool_calls": [{"index": 0}]}, True),
        ({"tool_calls": []}, False),
    ],
)
def test_what_is_a_token(delta: dict[str, Any], token: bool) -> None:
    builder = AnswerBuilder("chat")
    assert builder.chunk(chunk(delta)) is token
    assert builder.build().tokens == int(token)
    assert builder.build().bad == ""


def test_a_stream_of_vllm_adds_up() -> None:
    builder = AnswerBuilder("chat")
    builder.chunk(chunk({"role": "assistant", "content": ""}))
    builder.chunk(chunk({"reasoning": "Hm. "}))
    builder.chunk(chunk({"content": "Paris"}))
    builder.chunk(chunk({"content": ""}, finish_reason="stop"))
    builder.chunk('{"id":"chatcmpl-x","choices":[],"usage":{"completion_tokens":10}}')
    assert not builder.build().done
    builder.chunk("[DONE]")
    answer = builder.build()
    assert (answer.text, answer.finish_reason, answer.completion_tokens) == (
        "Hm. Paris",
        "stop",
        10,
    )
    assert answer.done
    assert answer.ids == ("chatcmpl-x",)


@pytest.mark.parametrize(
    "data",
    [
        "{",
        "[]",
        "{}",
        '{"choices": 3}',
        '{"choices": [3]}',
        '{"choices": [{"text": 3}]}',
        '{"choices": [{"text": "a", "finish_reason": 3}]}',
        "[" * 100_000,
    ],
)
def test_what_is_no_chunk_is_remembered(data: str) -> None:
    builder = AnswerBuilder("completions")
    assert not builder.chunk(data)
    assert builder.build().bad
    assert not builder.whole(data.encode())


def test_errors_of_both_shapes() -> None:
    for body in (
        {"error": {"message": "m", "code": 500}},
        {"object": "error", "message": "m"},
        {"error": "m"},
    ):
        builder = AnswerBuilder("completions")
        builder.chunk(json.dumps(body))
        assert "m" in str(builder.build().error)


def test_every_choice_needs_its_finish() -> None:
    builder = AnswerBuilder("completions")
    choices = [
        {"index": 0, "text": "a", "finish_reason": "stop"},
        {"index": 1, "text": "b", "finish_reason": None},
    ]
    builder.chunk(json.dumps({"choices": choices}))
    assert builder.build().finish == ((0, "stop"), (1, None))
    assert builder.build().finish_reason is None


def test_kept_text_is_bounded() -> None:
    builder = AnswerBuilder("completions")
    for _ in range(3):
        builder.chunk(json.dumps({"choices": [{"index": 0, "text": "x" * TEXT_LIMIT}]}))
    assert len(builder.build().text) == TEXT_LIMIT
    assert builder.build().tokens == 3


def test_the_promised_error() -> None:
    good = {"error": {"message": "m", "type": "t", "param": None, "code": 503}}
    assert is_promised_error(good, 503)
    assert not is_promised_error(good, 500)
    assert not is_promised_error({"detail": "Not Found"}, 404)
    assert not is_promised_error(["error"], 500)


# ---------------------------------------------------------------- two answers in one stream

WORDS = st.lists(st.sampled_from(["a", " b", "\n", ""]), min_size=1, max_size=4)


def sound(identity: str, choices: list[list[str]], *, finished: bool = True) -> list[str]:
    """The events of one answer as vLLM streams it, without [DONE]; its choices by turns."""

    def event(choices: list[dict[str, Any]], **more: Any) -> str:
        return json.dumps({"id": identity, "choices": choices, **more})

    events = [
        event([{"index": index, "text": words[turn], "finish_reason": None}])
        for turn in range(4)
        for index, words in enumerate(choices)
        if turn < len(words)
    ]
    if finished:
        last = [{"index": i, "text": "", "finish_reason": "length"} for i in range(len(choices))]
        events += [event([one]) for one in last]
        events.append(event([], usage={"completion_tokens": 3}))
    return events


def mixed(events: list[str]) -> str:
    builder = AnswerBuilder("completions")
    for event in events:
        builder.chunk(event)
    return builder.build().mixed


@given(st.lists(WORDS, min_size=1, max_size=3), st.booleans())
def test_a_sound_answer_is_not_mixed(choices: list[list[str]], finished: bool) -> None:
    events = sound("cmpl-1", choices, finished=finished)
    for length in range(len(events) + 1):
        assert mixed(events[:length]) == ""
    assert mixed([*events, "[DONE]"]) == ""


@given(
    first=WORDS,
    cut=st.integers(1, 4),
    second=WORDS,
    end=st.sampled_from(["cut, other id", "finished", "done"]),
)
def test_a_second_answer_in_the_same_stream_is_seen(
    first: list[str], cut: int, second: list[str], end: str
) -> None:
    """A router keeps the request's id when it sends it again: only an answer that was cut before
    its end and goes on under the same id cannot be told."""
    if end == "cut, other id":
        events = sound("cmpl-1", [first], finished=False)[:cut]
        assert (
            mixed([*events, *sound("cmpl-2", [second])]) == "the id changed from cmpl-1 to cmpl-2"
        )
        return
    events = sound("cmpl-1", [first]) + (["[DONE]"] if end == "done" else [])
    assert mixed([*events, *sound("cmpl-1", [second])])
    if end == "done":
        assert mixed([*events, "[DONE]"]) == "a second [DONE]"
