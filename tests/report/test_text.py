from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from vqchaos.report.text import clean, one_line


def test_terminal_escapes_go() -> None:
    assert clean("\x1b[1;31mred\x1b[0m") == "red"
    assert clean("\x1b]0;title\x07text") == "text"
    assert clean("\x1bPdcs\x1b\\text") == "text"
    assert clean("bell\x07 null\x00 c1\x9b31m") == "bell null c131m"


def test_text_stays() -> None:
    assert clean("größer → 日本語 🙂\tx\n") == "größer → 日本語 🙂\tx\n"


def test_it_is_bounded() -> None:
    assert len(clean("x" * 10_000)) == 2000
    assert one_line("a\n b\r\n\tc") == "a b c"


@given(st.text())
def test_no_control_character_gets_through(text: str) -> None:
    kept = [c for c in clean(text) if c not in "\t\n\r"]
    assert not any(unicodedata.category(c) in ("Cc", "Cs") for c in kept)
    assert not any(c in "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2069" for c in kept)
