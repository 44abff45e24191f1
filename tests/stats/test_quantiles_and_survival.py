from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqchaos.stats import km_median, log_rank, quantile, samples_for

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


# Freireich and others (1963), weeks in remission of acute leukaemia: the textbooks' example.
TREATED = [
    *((float(t), False) for t in (6, 6, 6, 7, 10, 13, 16, 22, 23)),
    *((float(t), True) for t in (6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35)),
]
PLACEBO = [
    (float(t), False)
    for t in (1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23)
]


def test_the_medians_of_the_textbook() -> None:
    assert km_median(*zip(*TREATED, strict=True)) == 23.0
    assert km_median(*zip(*PLACEBO, strict=True)) == 8.0


def test_the_log_rank_test_of_the_textbook() -> None:
    """Chi-square 16.79 on one degree of freedom, p = 0.00004."""
    found = log_rank(PLACEBO, TREATED)
    assert found is not None
    p, later = found
    assert p == pytest.approx(4.17e-5, rel=0.01)
    assert later
    back = log_rank(TREATED, PLACEBO)
    assert back is not None
    assert back[0] == pytest.approx(p)
    assert not back[1]


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), min_size=1, max_size=20))
def test_a_group_does_not_differ_from_itself(pairs: list[tuple[float, bool]]) -> None:
    found = log_rank(pairs, pairs)
    assert found is None or found[0] == pytest.approx(1.0)


def test_where_nothing_ended_there_is_nothing_to_test() -> None:
    assert log_rank([(9.0, True)] * 5, [(9.0, True)] * 5) is None
