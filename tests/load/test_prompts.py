from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqchaos.errors import InvalidFile, UsageError
from vqchaos.load.plan import LoadPlan
from vqchaos.load.prompts import BUILT_IN, Prompt, prompts, token_range
from vqchaos.load.workload import Workload

NONCE = "vqc-12345678"


def test_each_prompt_starts_with_its_nonce() -> None:
    assert Prompt("hi").fields("completions", NONCE) == {"prompt": f"[{NONCE}] hi"}
    assert Prompt("hi").fields("chat", NONCE) == {
        "messages": [{"role": "user", "content": f"[{NONCE}] hi"}]
    }
    given_ = ({"role": "system", "content": "s"}, {"role": "user", "content": "u"})
    fields = Prompt(messages=given_).fields("chat", NONCE)
    assert fields["messages"][1]["content"] == f"[{NONCE}] u"
    assert given_[1]["content"] == "u"
    alone = Prompt(messages=({"role": "system", "content": "s"},)).fields("chat", NONCE)
    assert NONCE in alone["messages"][-1]["content"]


def test_built_in_prompts_replay_with_the_seed() -> None:
    one, two = (list(islice(prompts(None, None, "completions", 3), 30)) for _ in range(2))
    assert one == two
    assert {p.text for p in one} <= set(BUILT_IN)
    assert one != list(islice(prompts(None, None, "completions", 4), 30))


@given(st.integers(1, 500), st.integers(0, 500))
def test_sizes_lie_in_the_range(low: int, more: int) -> None:
    for prompt in islice(prompts(None, f"{low}..{low + more}", "chat", 1), 5):
        words = len(prompt.text.split())
        assert low * 0.75 - 1 <= words <= (low + more) * 0.75 + 1


@pytest.mark.parametrize("text", ["0..5", "5..1", "a..b", "", "1..", "-1"])
def test_wrong_ranges(text: str) -> None:
    with pytest.raises(UsageError, match=r"A\.\.B"):
        token_range(text)


def test_files(tmp_path: Path) -> None:
    plain = tmp_path / "p.txt"
    plain.write_text("one\n\ntwo\u2028still two\n")
    texts = {p.text for p in islice(prompts(str(plain), None, "completions", 1), 20)}
    assert texts == {"one", "two\u2028still two"}
    lines = tmp_path / "p.jsonl"
    messages = [{"role": "user", "content": "hi"}]
    objects = ["a", {"prompt": "b"}, {"text": "c"}, {"messages": messages}]
    lines.write_text("\n".join(json.dumps(o) for o in objects))
    found = {str(p) for p in islice(prompts(str(lines), None, "chat", 1), 60)}
    assert len(found) == 4
    with pytest.raises(InvalidFile, match=r"p\.jsonl:4"):
        prompts(str(lines), None, "completions", 1)


def test_wrong_files(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('"fine"\n{\n3\n{"prompt": ""}\n')
    with pytest.raises(InvalidFile) as error:
        prompts(str(path), None, "chat", 1)
    assert [problem.line for problem in error.value.problems] == [2, 3, 4]
    path.write_text("")
    with pytest.raises(InvalidFile, match="at least one"):
        prompts(str(path), None, "chat", 1)
    with pytest.raises(UsageError, match="cannot read"):
        prompts(str(tmp_path / "none"), None, "chat", 1)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot read"):
        prompts(str(path), None, "chat", 1)


def test_the_body_is_merged_but_the_nonce_stays() -> None:
    body = {
        "temperature": 0,
        "prompt": "mine",
        "model": "m2",
        "stream": False,
        "max_tokens": 5,
        "ignore_eos": True,
    }
    plan = LoadPlan.of("c", Workload(body=body), url="http://x", model="m")
    call = plan.call(Prompt("hi"), NONCE, 1.0)
    sent = json.loads(call.body)
    assert sent == {
        "max_tokens": 5,
        "temperature": 0,
        "ignore_eos": True,
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
        "prompt": f"[{NONCE}] hi",
    }
    assert call.expected_tokens == 5
    assert call.url == "http://x/v1/completions"
    chat = LoadPlan.of("c", Workload(api="chat", stream=False), url="http://x", model="m")
    sent = json.loads(chat.call(Prompt("hi"), NONCE, 1.0).body)
    assert "stream_options" not in sent
    assert chat.call(Prompt("hi"), NONCE, 1.0).expected_tokens is None
    assert chat.call(Prompt("hi"), NONCE, 1.0).url == "http://x/v1/chat/completions"
