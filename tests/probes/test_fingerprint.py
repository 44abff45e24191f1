from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqchaos.probes.fingerprint import (
    Fingerprint,
    compare,
    divergence_gap,
    first_divergence,
    garbage,
)

GOOD = Fingerprint(" five, six", (5, 11, 6), (-0.1, -0.2, -0.3))
TOKENS = st.lists(st.integers(0, 3), max_size=8)


def test_the_same_is_the_same() -> None:
    assert compare(GOOD, GOOD).same
    near = Fingerprint(GOOD.text, list(GOOD.tokens), [-0.1005, -0.2, -0.3])
    assert compare(GOOD, near).same


@pytest.mark.parametrize(
    ("seen", "kind", "position", "gap"),
    [
        (Fingerprint(" five; six", (5, 12, 6), (-0.1, -0.5, -0.3)), "tokens", 1, 0.3),
        (Fingerprint(" five,", (5, 11), (-0.1, -0.2)), "tokens", 2, None),
        (Fingerprint(" five, six", (5, 11, 6), (-0.1, -0.2, -0.31)), "logprobs", 2, 0.01),
        (Fingerprint(" five, six", (5, 11, 6), (-0.1, math.nan, -0.3)), "logprobs", 1, math.inf),
        (Fingerprint(" five, six", (5, 11, 6), (-0.1, -0.2)), "logprobs", None, None),
        (Fingerprint(" six", (), ()), "text", None, None),
        (Fingerprint(""), "text", None, None),
    ],
)
def test_differences(seen: Fingerprint, kind: str, position: int | None, gap: float | None) -> None:
    found = compare(GOOD, seen)
    assert (found.kind, found.position) == (kind, position)
    assert not found.same
    assert found.why
    assert found.gap == (pytest.approx(gap) if gap is not None else None)


def test_what_one_side_lacks_is_not_compared() -> None:
    assert compare(GOOD, Fingerprint(GOOD.text)).same
    assert compare(Fingerprint(GOOD.text), GOOD).same


@given(TOKENS, TOKENS)
def test_first_divergence(a: list[int], b: list[int]) -> None:
    position = first_divergence(a, b)
    assert (position is None) == (a == b)
    assert position == first_divergence(b, a)
    if position is not None:
        assert a[:position] == b[:position]
        assert a[position : position + 1] != b[position : position + 1]


def test_the_gap_under_load() -> None:
    assert divergence_gap(GOOD, GOOD) == 0
    other = Fingerprint("", (5, 12), (-0.1, -0.25))
    assert divergence_gap(GOOD, other) == pytest.approx(0.05)
    assert divergence_gap(GOOD, Fingerprint("", (5, 12))) == math.inf


@pytest.mark.parametrize(
    ("seen", "word"),
    [
        (Fingerprint("!!!!!!!!", [0] * 8, [-0.5 - n / 9 for n in range(8)]), "repeated"),
        (Fingerprint("!!!!!!!!"), "repeated"),
        (Fingerprint("abcd", [1, 2, 3, 4], [-7.6246] * 4), "every log-probability"),
        (Fingerprint("a\ufffdb", [1], [-0.1]), "U+FFFD"),
        (Fingerprint("ab", [1, 2], [math.nan, -0.1]), "not finite"),
        (Fingerprint("ab", [1, 2], [-math.inf, -0.1]), "not finite"),
    ],
)
def test_garbage_is_garbage(seen: Fingerprint, word: str) -> None:
    assert any(word in found for found in garbage(seen))


@pytest.mark.parametrize(
    "seen",
    [
        GOOD,
        Fingerprint(""),
        Fingerprint("sure", [1, 2, 3, 4], [0.0, 0.0, 0.0, -1e-7]),  # certain of each token
        Fingerprint("......", [7] * 6, [-0.1 * n for n in range(6)]),  # too short to tell
        Fingerprint("abc", [1, 2, 3], [-7.6] * 3),
    ],
)
def test_sound_answers_never_alarm(seen: Fingerprint) -> None:
    assert garbage(seen) == []


def test_a_known_vocabulary_makes_it_exact() -> None:
    uniform = Fingerprint("abcd", [1, 2, 3, 4], [-math.log(2048)] * 4)
    assert garbage(uniform, vocabulary=2048)
    assert not garbage(uniform, vocabulary=151_936)
