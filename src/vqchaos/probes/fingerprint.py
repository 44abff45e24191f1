"""Is this the answer it was? Pure; the canary probe and the checks use the same comparison."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LOGPROB_TOLERANCE = 1e-3
LOADED_GAP = 0.1  # under load other requests share the batch, and sums are rounded otherwise
_REPEATS = 8  # the same token so often, and nothing else
_UNIFORM = 4  # log-probabilities that are all the same, and far from certain
_SURE = -1.0


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """An answer's text, token ids and the log-probability of each token."""

    text: str
    tokens: Sequence[int] = ()
    logprobs: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """``kind``: same, tokens, logprobs, text or unjudged (under load, where an answer lacks token
    ids or log-probabilities). ``position`` of the first token that differs; ``gap`` between the
    log-probabilities there (the largest gap, if only they differ)."""

    kind: str
    why: str = ""
    position: int | None = None
    gap: float | None = None

    @property
    def same(self) -> bool:
        return self.kind == "same"


def compare(
    expected: Fingerprint, seen: Fingerprint, *, tolerance: float = LOGPROB_TOLERANCE
) -> Difference:
    """Exact tokens, log-probabilities within ``tolerance``. What one side does not have (no token
    ids from this server, no log-probabilities in the golden file) is not compared; the text is."""
    if expected.tokens and seen.tokens:
        position = first_divergence(expected.tokens, seen.tokens)
        if position is not None:
            gap = _gap_at(position, expected.logprobs, seen.logprobs)
            said = "" if gap is None else f" (log-probability gap {gap:.3g})"
            why = f"other tokens from position {position}{said}: {_texts(expected, seen)}"
            return Difference("tokens", why, position, gap)
    if expected.text != seen.text:
        return Difference("text", f"another text: {_texts(expected, seen)}")
    if expected.logprobs and seen.logprobs:
        if len(expected.logprobs) != len(seen.logprobs):
            return Difference("logprobs", "another number of log-probabilities")
        pairs = enumerate(zip(expected.logprobs, seen.logprobs, strict=True))
        worst, position = max((_gap(a, b), n) for n, (a, b) in pairs)
        if worst > tolerance:
            why = f"the same tokens, but log-probabilities differ by up to {worst:.3g}"
            return Difference("logprobs", why, position, worst)
    return Difference("same")


def first_divergence(expected: Sequence[int], seen: Sequence[int]) -> int | None:
    """The first position at which the tokens differ (also: where the shorter one ends)."""
    for position, (a, b) in enumerate(zip(expected, seen, strict=False)):
        if a != b:
            return position
    return None if len(expected) == len(seen) else min(len(expected), len(seen))


def divergence_gap(expected: Fingerprint, seen: Fingerprint) -> float:
    """The log-probability gap at the first divergence, for canaries under load: 0 where there is
    none, infinite where it cannot be told.

    It is how far log-probabilities must have moved for the other token to win: greedy decoding
    turns to it without damage only where the two were as good as equal. Each answer gives its own
    token's alone, but what is left for all others is known: a sure token in both is a wide gap,
    although the two values are alike.
    """
    position = first_divergence(expected.tokens, seen.tokens)
    if position is None:
        return 0.0
    gap = _gap_at(position, expected.logprobs, seen.logprobs)
    if gap is None or math.isinf(gap):
        return math.inf
    a, b = expected.logprobs[position], seen.logprobs[position]
    return max(gap, b - _left_by(a), a - _left_by(b))


def compare_loaded(
    expected: Fingerprint, seen: Fingerprint, *, gap: float = LOADED_GAP
) -> Difference:
    """For an answer given under load: log-probabilities within ``gap`` up to the first token that
    differs, and ``divergence_gap`` there. What follows it is another text and is not compared."""
    if not (expected.tokens and seen.tokens and expected.logprobs and seen.logprobs):
        why = "it cannot be judged under load without token ids and log-probabilities"
        return Difference("unjudged", why)
    position = first_divergence(expected.tokens, seen.tokens)
    if position is None and expected.text != seen.text:
        return Difference("text", f"another text: {_texts(expected, seen)}")
    pairs = zip(expected.logprobs[:position], seen.logprobs[:position], strict=False)
    for place, (a, b) in enumerate(pairs):
        if (apart := _gap(a, b)) > gap:
            why = f"log-probabilities differ by {apart:.3g} at position {place}, under load"
            return Difference("logprobs", why, place, apart)
    apart = divergence_gap(expected, seen)
    if apart > gap:
        why = f"other tokens from position {position} (log-probability gap {apart:.3g}, under load)"
        return Difference("tokens", f"{why}: {_texts(expected, seen)}", position, apart)
    return Difference("same", "", position, apart)


def garbage(seen: Fingerprint, vocabulary: int | None = None) -> list[str]:
    """The detectors that fire; they need no reference."""
    found: list[str] = []
    if len(seen.tokens) >= _REPEATS and len(set(seen.tokens)) == 1:
        found.append(f"one token repeated {len(seen.tokens)} times")
    elif not seen.tokens and len(seen.text) >= _REPEATS and len(set(seen.text)) == 1:
        found.append(f"one character repeated {len(seen.text)} times")
    if not all(math.isfinite(value) for value in seen.logprobs):
        found.append("log-probabilities that are not finite")
    elif len(seen.logprobs) >= _UNIFORM:
        low, high = min(seen.logprobs), max(seen.logprobs)
        uniform = high - low < LOGPROB_TOLERANCE / 10 and high < _SURE
        if vocabulary is not None:
            uniform = uniform and abs(high + math.log(vocabulary)) < 0.01
        if uniform:
            found.append(f"every log-probability is {high:.4g}, as if every token were as likely")
    if "\ufffd" in seen.text:
        found.append("characters that are no text (U+FFFD)")
    return found


def _left_by(logprob: float) -> float:
    """The highest log-probability that any other token can have beside this one."""
    left = -math.expm1(logprob)
    return math.log(left) if left > 0 else -math.inf


def _gap(a: float, b: float) -> float:
    gap = abs(a - b)
    return gap if math.isfinite(gap) else math.inf


def _gap_at(position: int, expected: Sequence[float], seen: Sequence[float]) -> float | None:
    if position < min(len(expected), len(seen)):
        return _gap(expected[position], seen[position])
    return None


def _texts(expected: Fingerprint, seen: Fingerprint) -> str:
    return f"expected {expected.text[:60]!r}, got {seen.text[:60]!r}"
