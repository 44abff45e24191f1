"""How often the intervals hold the truth, on distributions whose median is known."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqchaos.stats import (
    LEAST_FOR_INTERVAL,
    design_effect,
    median_difference,
    median_interval,
    median_ratio,
    repeats_for,
    share_difference,
)
from vqchaos.stats import intervals as inside

Draw = Callable[[random.Random], float]
KNOWN: dict[str, tuple[Draw, float]] = {
    "normal": (lambda r: r.gauss(40, 3), 40.0),
    "lognormal": (lambda r: r.lognormvariate(3, 0.5), math.exp(3)),
    "exponential": (lambda r: r.expovariate(1), math.log(2)),
    "two kinds": (lambda r: r.uniform(0, 1) + (4 if r.random() < 0.3 else 0), 5 / 7),
}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside, "_RESAMPLES", 400)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", sorted(KNOWN))
@pytest.mark.parametrize("count", [6, 7, 8, 12, 25])
def test_the_interval_holds_the_median_as_often_as_it_says(name: str, count: int) -> None:
    draw, truth = KNOWN[name]
    rng = random.Random(count)
    trials, held = 150, 0
    for _ in range(trials):
        found = median_interval([draw(rng) for _ in range(count)])
        assert found is not None
        low, high = found
        assert low is not None
        assert high is not None
        held += low <= truth <= high
    assert held / trials >= 0.92  # 95 % less two standard errors of 150 trials


@pytest.mark.usefixtures("quick")
@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.floats(0, 1000), st.booleans()), min_size=6, max_size=12),
    st.integers(0, 9),
)
def test_the_interval_is_seeded_and_in_order(pairs: list[tuple[float, bool]], seed: int) -> None:
    times, cut = [t for t, _ in pairs], [c for _, c in pairs]
    found = median_interval(times, cut, seed=seed)
    assert found == median_interval(times, cut, seed=seed)
    assert found is not None
    low, high = found
    if low is None:
        assert high is None
    elif high is not None:
        assert min(times) <= low <= high <= max(times)


@pytest.mark.parametrize("count", range(LEAST_FOR_INTERVAL))
def test_no_interval_is_made_up_of_too_few(count: int) -> None:
    assert median_interval([12.0] * count) is None
    assert median_difference([(1.0, False)] * count, [(1.0, False)] * 20) is None


def test_that_most_never_ended_leaves_the_interval_open() -> None:
    times = [10.0, 11.0, *[60.0] * 6]
    found = median_interval(times, [t == 60.0 for t in times])
    assert found is not None
    assert found[1] is None


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("sizes", [(6, 6), (8, 20), (15, 15)])
def test_the_difference_holds_the_truth(sizes: tuple[int, int]) -> None:
    rng = random.Random(sum(sizes))
    trials, held, ratio_held = 150, 0, 0
    for _ in range(trials):
        base = [rng.lognormvariate(3, 0.3) for _ in range(sizes[0])]
        new = [1.2 * rng.lognormvariate(3, 0.3) for _ in range(sizes[1])]
        found = median_difference([(t, False) for t in base], [(t, False) for t in new])
        ratio = median_ratio(base, new)
        assert found is not None
        assert ratio is not None
        held += (found[0] or 0.0) <= 0.2 * math.exp(3) <= (found[1] or 0.0)
        ratio_held += (ratio[0] or 0.0) <= 1.2 <= (ratio[1] or 0.0)
    assert held / trials >= 0.92
    assert ratio_held / trials >= 0.92


def test_a_difference_beyond_the_time_watched_has_no_upper_bound() -> None:
    base = [(float(t), False) for t in range(40, 50)]
    new = [*((float(t), False) for t in range(40, 44)), *[(180.0, True)] * 6]
    found = median_difference(base, new)
    assert found is not None
    assert found[1] is None


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("count", [8, 12, 20])
def test_the_repeats_that_are_asked_for_give_the_precision(count: int) -> None:
    """Over many first sets, half a set's interval made to shrink by half: what is named is about
    what it takes."""
    rng = random.Random(count)

    def half(size: int) -> float:
        found = median_interval([rng.gauss(40, 3) for _ in range(size)])
        assert found is not None
        return ((found[1] or 0.0) - (found[0] or 0.0)) / 2

    wanted = 3 * 1.2533 * 1.96 / math.sqrt(2.5 * count)  # what about 2.5 times as many would give
    named = sorted(repeats_for(count, half(count), wanted) or 0 for _ in range(120))
    middle = named[60]
    reached = sorted(half(middle) for _ in range(60))[30]
    assert 0.75 * wanted <= reached <= 1.25 * wanted


def test_what_is_precise_already_needs_no_more() -> None:
    assert repeats_for(12, 1.0, 1.5) == 12
    assert repeats_for(12, 1.0, 1e-9) is None
    assert repeats_for(3, 1.0, 1.0) is None


@pytest.mark.parametrize(
    ("base", "new", "expected"),
    [  # Newcombe (1998), method 10, his table II; ours is new - base
        ((48, 80), (56, 70), (0.0524, 0.3339)),
        ((3, 10), (9, 10), (0.1705, 0.8090)),
    ],
)
def test_newcombes_interval(
    base: tuple[int, int], new: tuple[int, int], expected: tuple[float, float]
) -> None:
    found = share_difference(base, new)
    assert found is not None
    assert found == pytest.approx(expected, abs=5e-4)


def test_requests_that_fail_together_are_fewer_than_they_seem() -> None:
    alone = [(9, 10)] * 10
    together = [(10, 10)] * 9 + [(0, 10)]
    assert design_effect(alone) == 1.0
    assert design_effect(together) == pytest.approx(10 * 10 / 10, rel=0.15)
    assert share_difference((0, 0), (1, 1)) is None
