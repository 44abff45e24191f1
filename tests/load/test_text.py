from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vqchaos.load.text import Redactor, clean


def test_escapes_and_controls_are_gone() -> None:
    assert clean("\x1b[31mred\x1b[0m \x1b]0;title\x07ok\nnext\x00line") == "red ok next line"
    assert clean("a\u202eb\x9b2Jc") == "a bc"


def test_long_text_is_cut_and_says_so() -> None:
    assert clean("x" * 200, 10) == "x" * 9 + "…"
    assert clean("x" * 10, 10) == "x" * 10


@given(st.text(), st.integers(2, 50))
def test_always_one_printable_line_within_the_limit(text: str, limit: int) -> None:
    line = clean(text, limit)
    assert len(line) <= limit
    assert not any(ord(c) < 32 or 0x7F <= ord(c) <= 0x9F for c in line)
    line.encode()  # no lone surrogates


def test_secrets_are_replaced_whole_and_in_part() -> None:
    redact = Redactor(["Bearer sk-12345678"])
    assert redact("got 'Bearer sk-12345678', sk-12345678!") == "got '[redacted]', [redacted]!"
    assert Redactor([])("sk-12345678") == "sk-12345678"
