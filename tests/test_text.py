from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqchaos.text import clean, one_line

DIRECTION = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPdcs\x1b\\text", "text"),
        ("bell\x07 null\x00 c1\x9b31m", "bell null c1"),
        ("a\u202eb\x9b2Jc", "abc"),
    ],
)
def test_terminal_escapes_go(text: str, kept: str) -> None:
    assert clean(text) == kept


def test_text_stays() -> None:
    assert clean("größer → 日本語 🙂\tx\n") == "größer → 日本語 🙂\tx\n"


def test_one_line_is_one() -> None:
    assert one_line("a\n b\r\n\tc") == "a b c"
    assert one_line("a\u2028b\x85c\x0bd") == "a b c d"
    assert one_line("\x1b[31mred\x1b[0m \x1b]0;title\x07ok\nnext\x00line") == "red ok next line"


def test_it_is_bounded_and_says_so() -> None:
    assert len(clean("x" * 10_000)) == 2000
    assert one_line("x" * 200, 10) == "x" * 9 + "…"
    assert one_line("x" * 10, 10) == "x" * 10
    assert one_line("x " + " " * 100 + "y", 10) == "x …"


@given(st.text(), st.integers(3, 50))
def test_no_control_character_gets_through(text: str, longest: int) -> None:
    for made, allowed in ((clean(text, longest), "\t\n\r"), (one_line(text, longest), "")):
        assert len(made) <= longest
        kept = [c for c in made if c not in allowed]
        assert not any(unicodedata.category(c) in ("Cc", "Cs") for c in kept)
        assert not any(c in DIRECTION for c in kept)
        made.encode()  # no lone surrogates
