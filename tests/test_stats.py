from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqchaos.stats import km_median, median_interval, quantile, samples_for

TIMES = st.lists(st.floats(0, 1000), min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("values", "q", "expected"),
    [
        ([], 0.5, None),
        ([3.0], 0.95, 3.0),
        ([4.0, 1.0, 2.0, 3.0], 0.5, 2.5),
        ([0.0, 10.0], 0.95, 9.5),
    ],
)
def test_quantiles_are_linear_between_ranks(
    values: list[float], q: float, expected: float | None
) -> None:
    assert quantile(values, q) == expected


@pytest.mark.parametrize(
    ("share", "needed"), [(0.99, 100), (0.95, 20), (0.9, 10), (0.5, 2), (0.0, 1), (1.0, 1)]
)
def test_a_share_needs_one_over_one_minus_itself(share: float, needed: int) -> None:
    assert samples_for(share) == needed


def test_kaplan_meier_of_a_textbook_case() -> None:
    # Still going: 6/7 at 1, 4.5/7… : deaths at 1, 3, 4, 5; censored at 2 and 6, 6.
    times = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 6.0]
    cut = [False, True, False, False, False, True, True]
    # 1: 6/7; 3: 4/5 of it = .686; 4: 3/4 = .514; 5: 2/3 = .343
    assert km_median(times, cut) == 5.0


def test_kaplan_meier_where_most_never_recovered_has_no_median() -> None:
    assert km_median([5.0, 60.0, 60.0], [False, True, True]) is None


@given(TIMES)
def test_kaplan_meier_without_censoring_is_a_median(times: list[float]) -> None:
    found = km_median(times, [False] * len(times))
    assert found is not None
    ordered = sorted(times)
    assert ordered[(len(ordered) - 1) // 2] == found


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1000), st.booleans()), min_size=2, max_size=8))
def test_the_interval_is_seeded_and_in_order(pairs: list[tuple[float, bool]]) -> None:
    times, cut = [t for t, _ in pairs], [c for _, c in pairs]
    found = median_interval(times, cut)
    assert found == median_interval(times, cut)
    assert found is not None
    low, high = found
    if low is not None and high is not None:
        assert min(times) <= low <= high <= max(times)
    if low is None:
        assert high is None


def test_the_interval_of_one_value_is_not_made_up() -> None:
    assert median_interval([12.0]) is None


def test_the_interval_is_about_right() -> None:
    found = median_interval([10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 17.0, 18.0, 19.0])
    assert found is not None
    low, high = found
    assert low is not None
    assert high is not None
    assert 10.5 <= low <= 13
    assert 16 <= high <= 18.5
