from __future__ import annotations

import json
from typing import Any

import pytest

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
