"""What is reckoned with columns, against what is too simple to be wrong: one request at a time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.histories import World
from vqchaos.history.events import PILOT, HealthProbe, Request
from vqchaos.history.history import History
from vqchaos.stats import quantile_sorted
from vqchaos.view import Group, figures, sent_at, trouble_at
from vqchaos.view.group import in_order_of_sending, streaks
from vqchaos.view.health import Health
from vqchaos.view.requests import order
from vqchaos.view.tokens import TokenMoments
from vqchaos.view.trouble import troubles

BASE = World().request(1.0)
EIGHTHS = st.integers(0, 80)


def request(
    sent: int, gaps: list[int], rest: int, outcome: str, workload: str, number: int, asked: bool
) -> Request:
    """All in eighths of a second, which floats hold exactly."""
    tokens, at = [], sent
    for gap in gaps:
        at += gap
        tokens.append(at / 8)
    ended = (at + rest) / 8
    first = tokens[0] if tokens else ended if outcome == "ok" else None
    return replace(
        BASE, id=f"vqc-{number:03d}", workload=workload, due=sent / 8,
        sent=sent / 8 if asked else None, first_token=first, tokens=tokens, ended=ended, t=ended,
        outcome=outcome,
    )  # fmt: skip


REQUESTS = st.lists(
    st.builds(
        request,
        EIGHTHS,
        st.lists(st.integers(0, 20), max_size=6),
        st.integers(0, 20),
        st.sampled_from(["ok", "ok", "hung", "cancelled"]),
        st.sampled_from(["clients", PILOT]),
        st.integers(0, 999),
        st.booleans(),
    ),
    max_size=12,
)


@pytest.fixture(autouse=True, scope="module")
def _small_pieces() -> object:
    """So that a dozen requests are several pieces."""
    patch = pytest.MonkeyPatch()
    patch.setattr("vqchaos.view.tokens._AT_ONCE", 4)
    patch.setattr("vqchaos.view.trouble._AT_ONCE", 4)
    yield
    patch.undo()


@given(REQUESTS)
def test_requests_are_in_order_of_sending(requests: list[Request]) -> None:
    assert list(in_order_of_sending(Group.of(requests))) == sorted(requests, key=order)


@given(REQUESTS)
def test_a_group_says_of_all_what_each_says_of_itself(requests: list[Request]) -> None:
    group = Group.of(requests)
    assert group.sent.tolist() == [sent_at(r) for r in requests]
    assert group.known.tolist() == [r.known for r in requests]
    assert list(group.ok) == [r for r in requests if r.outcome == "ok"]
    assert sum(group.outcomes().values()) == len(requests)
    assert group.first() == min(requests, key=lambda r: (r.ended, r.id), default=None)
    assert list(group[2:5]) == requests[2:5]
    parts = np.array([n % 3 for n in range(len(requests))], np.int32)
    found = group.split(lambda kind: kind.workload, parts, 3)
    keys = dict.fromkeys((r.workload, n % 3) for n, r in enumerate(requests))
    assert list(found) == list(keys)
    for key, some in found.items():
        assert list(some) == [r for n, r in enumerate(requests) if (r.workload, n % 3) == key]


@given(REQUESTS, st.lists(EIGHTHS, max_size=6), EIGHTHS, EIGHTHS)
def test_tokens_beside_a_moment_are_those_that_bisection_finds(
    requests: list[Request], asked: list[int], start: int, end: int
) -> None:
    ordered = in_order_of_sending(Group.of(requests))
    moments = sorted(
        t for r in requests for t in r.tokens or ([] if r.first_token is None else [r.first_token])
    )
    inside = [t for t in moments if start / 8 <= t < end / 8]
    tokens = TokenMoments(ordered)
    beside = tokens.beside(np.array(asked) / 8, start / 8, end / 8)
    some = [float("-inf"), *inside, float("inf")]
    low = [bisect_left(inside, a / 8) for a in asked]
    high = [bisect_right(inside, a / 8) for a in asked]
    assert beside.before.tolist() == [some[place] for place in low]
    assert beside.since.tolist() == [some[place + 1] for place in low]
    assert beside.until.tolist() == [some[place] for place in high]
    assert beside.after.tolist() == [some[place + 1] for place in high]
    silences = sorted((b - a for a, b in pairwise(inside)), reverse=True)
    assert tokens.longest_silences(start / 8, end / 8, 3) == silences[:3]


@given(REQUESTS, st.integers(1, 20), st.integers(1, 20))
def test_troubles_are_those_that_each_request_has(
    requests: list[Request], limit: int, other: int
) -> None:
    limits = {"clients": limit / 8, PILOT: other / 8}
    found = troubles(Group.of(requests), limits.__getitem__)
    expected = [
        (n, at, r)
        for n, r in enumerate(requests)
        if (at := trouble_at(r, limits[r.workload])) is not None
    ]
    assert found.places.tolist() == [n for n, _, _ in expected]
    assert list(found) == [(at, r) for _, at, r in expected]


@given(REQUESTS, st.integers(1, 8))
def test_every_nth_gap_between_tokens_is_taken(requests: list[Request], most: int) -> None:
    gaps = [b - a for r in requests if r.outcome == "ok" for a, b in pairwise(r.tokens)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vqchaos.view.latency._MOST_GAPS", most)
        found = figures(Group.of(requests))
    assert found.gaps == len(gaps)
    kept = sorted(gaps[:: max(1, -(-len(gaps) // most))])
    assert (found.itl_p50, found.itl_p95) == (
        quantile_sorted(kept, 0.5),
        quantile_sorted(kept, 0.95),
    )


@given(st.lists(st.booleans()))
def test_streaks_are_the_runs_of_true(values: list[bool]) -> None:
    found = streaks(np.array(values, np.bool_))
    inside = {place for start, end in found for place in range(start, end)}
    assert inside == {place for place, value in enumerate(values) if value}
    assert all(a[1] < b[0] for a, b in pairwise(found))


@given(st.lists(st.tuples(EIGHTHS, st.sampled_from([200, 503, None])), max_size=12), EIGHTHS)
def test_health_says_what_its_probes_say(said: list[tuple[int, int | None]], at: int) -> None:
    probes = [HealthProbe(t=t / 8, sent=t / 8 - 0.01, status=s) for t, s in said]
    health = Health(History(probes).health)
    ordered = sorted(probes, key=lambda h: h.t)
    assert list(health.in_order()) == ordered
    good = health.saying(lambda probe: probe.status == 200)
    assert good.tolist() == [h.status == 200 for h in probes]
    assert health.first(good) == next((h for h in probes if h.status == 200), None)
    earlier = [h for h in probes if h.t < at / 8]
    assert health.last_before(at / 8) == max(earlier, key=lambda h: h.t, default=None)
    statuses = [None, *(h.status for h in ordered)]
    changes = [h for n, h in enumerate(ordered) if n == 0 or h.status != statuses[n]]
    assert list(health.in_order().changes()) == changes
