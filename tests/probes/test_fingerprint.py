from __future__ import annotations

import math
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqchaos.probes.fingerprint import (
    LOADED_GAP,
    Fingerprint,
    compare,
    compare_loaded,
    divergence_gap,
    first_divergence,
    garbage,
)
from vqchaos.probes.golden import built_in_canaries, read_golden

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


NEAR_TIE = Fingerprint(" five or", (5, 11, 6), (-0.1, -0.70, -0.3))


def test_the_gap_under_load() -> None:
    assert divergence_gap(GOOD, GOOD) == 0
    other = Fingerprint("", (5, 12), (-0.1, -0.75))
    assert divergence_gap(NEAR_TIE, other) == pytest.approx(0.05)
    assert divergence_gap(GOOD, Fingerprint("", (5, 12))) == math.inf


def test_two_sure_tokens_are_far_apart_although_their_values_are_alike() -> None:
    expected = Fingerprint(" Paris", (7,), (-0.0017,))
    assert divergence_gap(expected, Fingerprint(" Rome", (8,), (-0.002,))) > 6
    assert divergence_gap(expected, Fingerprint(" Rome", (8,), (0.0,))) == math.inf


@pytest.mark.parametrize(
    ("expected", "seen", "kind", "position"),
    [
        (GOOD, GOOD, "same", None),
        (GOOD, Fingerprint(GOOD.text, GOOD.tokens, (-0.13, -0.2, -0.3)), "same", None),
        (GOOD, Fingerprint(GOOD.text, GOOD.tokens, (-0.1, -0.2, -0.45)), "logprobs", 2),
        (GOOD, Fingerprint(GOOD.text, GOOD.tokens, (-0.1, math.nan, -0.3)), "logprobs", 1),
        (GOOD, Fingerprint(" five; six", GOOD.tokens, GOOD.logprobs), "text", None),
        # A near tie may fall either way, and what follows is another text.
        (NEAR_TIE, Fingerprint(" five and", (5, 12, 9), (-0.1, -0.71, -9.0)), "same", 1),
        (NEAR_TIE, Fingerprint(" five and", (5, 12, 9), (-0.4, -0.71, -0.1)), "logprobs", 0),
        (NEAR_TIE, Fingerprint(" five and", (5, 12, 9), (-0.1, -0.2, -0.1)), "tokens", 1),
        (GOOD, Fingerprint(" five; six", (5, 12, 6), (-0.1, -0.2, -0.3)), "tokens", 1),
        (GOOD, Fingerprint(" five,", (5, 11), (-0.1, -0.2)), "tokens", 2),  # cut
        (GOOD, Fingerprint(" six"), "unjudged", None),
        (GOOD, Fingerprint(" five; six", (5, 12, 6)), "unjudged", None),
    ],
)
def test_under_load(
    expected: Fingerprint, seen: Fingerprint, kind: str, position: int | None
) -> None:
    found = compare_loaded(expected, seen)
    assert (found.kind, found.position) == (kind, position)
    assert bool(found.why) == (kind != "same")


SHARES = st.lists(st.floats(0.01, 0.99), min_size=2, max_size=6)


@given(SHARES, st.data())
def test_rounding_never_alarms_under_load(shares: list[float], data: st.DataObject) -> None:
    """Whatever the distribution: logits moved by less than a quarter of the gap are not damage."""

    def greedy(logits: list[float]) -> Fingerprint:
        total = math.log(sum(math.exp(v) for v in logits))
        token = max(range(len(logits)), key=lambda n: logits[n])
        return Fingerprint(str(token), (token,), (logits[token] - total,))

    logits = [math.log(share) for share in shares]
    shift = st.floats(-LOADED_GAP / 4, LOADED_GAP / 4)
    moved = [value + data.draw(shift) for value in logits]
    assert compare_loaded(greedy(logits), greedy(moved)).same


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


def test_the_canaries_that_ship_never_alarm() -> None:
    shipped = resources.files("vqchaos").joinpath("data/demo-golden.json")
    with resources.as_file(shipped) as path:
        answers = [canary.fingerprint for canary in read_golden(path).canaries]
    assert len(answers) == len(built_in_canaries())
    assert [garbage(answer) for answer in answers] == [[]] * len(answers)


WORDS = st.lists(st.text("abcdefghij ,.'", min_size=1, max_size=8), min_size=2, max_size=24)


@given(WORDS, st.data())
def test_plain_answers_never_alarm(words: list[str], data: st.DataObject) -> None:
    """Any text of at least two different tokens, with log-probabilities that are not all alike."""
    size = len(words)
    tokens = data.draw(
        st.lists(st.integers(0, 150_000), min_size=size, max_size=size).filter(
            lambda some: len(set(some)) > 1
        )
    )
    values = data.draw(
        st.lists(st.floats(-12, 0), min_size=size, max_size=size).filter(
            lambda some: max(some) - min(some) > 1e-3 or max(some) > -1
        )
    )
    assert garbage(Fingerprint(" ".join(words), tokens, values)) == []


@given(st.integers(4, 24), st.integers(2048, 200_000))
def test_equally_likely_tokens_always_alarm(size: int, vocabulary: int) -> None:
    uniform = Fingerprint("a b", list(range(size)), [-math.log(vocabulary)] * size)
    assert garbage(uniform)
    assert garbage(uniform, vocabulary=vocabulary)


def test_a_known_vocabulary_makes_it_exact() -> None:
    uniform = Fingerprint("abcd", [1, 2, 3, 4], [-math.log(2048)] * 4)
    assert garbage(uniform, vocabulary=2048)
    assert not garbage(uniform, vocabulary=151_936)
