from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.scripted_server import ScriptedServer
from vqchaos.errors import InvalidFile, StackUnhealthy, UsageError
from vqchaos.probes.golden import (
    Canary,
    built_in_canaries,
    fingerprint_of,
    parse_canaries,
    read_golden,
    record_golden,
)

CANARIES = [
    Canary(name="one", api="completions", prompt="One,", max_tokens=4),
    Canary(name="two", api="chat", prompt="Two?", max_tokens=4),
]


def test_the_built_in_canaries_load() -> None:
    assert {canary.api for canary in built_in_canaries()} == {"completions", "chat"}


def test_recorded_written_and_read_back(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        golden = record_golden(server.url, "m", CANARIES, model_sha256="ab")
        assert len(server.seen) == 4
        assert server.seen[0].body["return_token_ids"] is True
        assert server.seen[2].body["chat_template_kwargs"] == {"enable_thinking": False}
    assert golden.engine_version == "0.32.0"
    assert golden.canaries[0].text == " five, six,"
    assert golden.canaries[1].tokens == (100, 101, 102, 103)
    path = tmp_path / "golden.json"
    golden.write(path)
    assert read_golden(path) == golden


@pytest.mark.parametrize("behaviour", ["500", "page", "cut", "garbage"])
def test_what_is_no_answer_is_not_golden(behaviour: str) -> None:
    many = [Canary(name="x", api="completions", prompt="x", max_tokens=9)]
    with (
        ScriptedServer(behaviour=behaviour) as server,
        pytest.raises(StackUnhealthy, match="canary x"),
    ):
        record_golden(server.url, "m", many, model_sha256="")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"schema": 99, "canaries": []}',
        '{"schema": 1}',
        '{"schema": 1, "canaries": [{"name": "a"}]}',
        '{"schema": 1, "canaries": [{"name": "a", "api": "chat", "prompt": "p", "max_tokens": 3}]}',
        (
            '{"schema": 1, "model_sha256": "", "engine_version": "", "served_model_name": "",'
            ' "canaries": [{"name": "a", "api": "chat", "prompt": "p", "max_tokens": 3,'
            ' "text": "", "tokens": ["x"]}]}'
        ),
    ],
)
def test_files_that_are_not_golden(text: str, tmp_path: Path) -> None:
    path = tmp_path / "golden.json"
    path.write_text(text)
    with pytest.raises(InvalidFile):
        read_golden(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        read_golden(tmp_path / "none")


def test_every_wrong_canary_is_named() -> None:
    good = {"name": "a", "api": "chat", "prompt": "p", "max_tokens": 3}
    bad = [{**good, "api": "x"}, {**good, "max_tokens": 0}, 3, {"name": "a"}]
    with pytest.raises(InvalidFile) as error:
        parse_canaries([good, *bad], "f")
    assert len(error.value.problems) == 4
    assert parse_canaries({"canaries": [good]}, "f")[0].name == "a"


@pytest.mark.parametrize("answer", [None, [], {}, {"choices": []}, {"choices": [{"message": 1}]}])
def test_no_answer_has_an_empty_fingerprint(answer: object) -> None:
    for api in ("completions", "chat"):
        seen = fingerprint_of(answer, api)
        assert (seen.text, seen.tokens, seen.logprobs) == ("", (), ())


def test_reasoning_is_part_of_the_text() -> None:
    message = {"content": "Paris", "reasoning": "Hm. "}
    answer = json.loads(json.dumps({"choices": [{"message": message}]}))
    assert fingerprint_of(answer, "chat").text == "Hm. Paris"
