"""The search for a window, against a search that is too simple to be wrong."""

from __future__ import annotations

from statistics import median

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.histories import World, slowed
from vqchaos.history.events import PILOT, Request
from vqchaos.recovery.window import Good, Rule, Scan
from vqchaos.scenario import Recovered
from vqchaos.view import Figures, sent_at

BASE = Figures(count=100, ttft_p50=0.1, ttft_p95=0.1)
ONE = st.tuples(
    st.integers(0, 30),  # eighths of a second, which floats hold exactly
    st.sampled_from([1.0, 1.0, 1.9, 2.5, 4.0]),  # x the baseline
    st.sampled_from(["clients", "clients", "clients", PILOT]),
)


def simple(requests: list[Request], rule: Recovered) -> tuple[Request, Request] | None:
    """For each first request the shortest window that spans and holds enough; the first that is
    fast enough."""
    ordered = sorted(requests, key=lambda r: (sent_at(r), r.id))
    for first in range(len(ordered)):
        for last in range(first, len(ordered)):
            window = ordered[first : last + 1]
            clients = [r for r in window if r.workload != PILOT]
            if sent_at(window[-1]) - sent_at(window[0]) < rule.for_:
                continue
            if len(clients) < rule.successes:
                continue
            ratios = [((r.first_token or 0) - sent_at(r)) / 0.1 for r in clients]
            if median(ratios) <= rule.slowdown and ratios[0] <= rule.slowdown:
                return window[0], window[-1]
            break
    return None


@settings(max_examples=300, deadline=None)
@given(
    st.lists(ONE, max_size=40),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.integers(1, 5),
    st.lists(st.integers(0, 30), max_size=2),
)
def test_the_scan_finds_what_a_simple_search_finds_after_each_insertion(
    given_: list[tuple[int, float, str]], span: float, successes: int, bad: list[int]
) -> None:
    rule = Recovered.model_construct(for_=span, successes=successes, slowdown=2.0)
    scan = Scan(Rule(rule, lambda _name: BASE))
    world = World()
    kept: list[Request] = []
    worst = -1.0
    for number, (eighths, factor, who) in enumerate(given_):
        request = world.request(eighths / 8, who, id=f"vqc-{number:03d}")
        if sent_at(request) > worst:
            kept.append(slowed(request, factor))
            scan.insert(Good.of(kept[-1]))
        if number % 17 == 16 and len(bad) > number // 17:
            moment = bad[number // 17] / 8
            worst = max(worst, moment)
            scan.drop_through((moment, "~"))
            kept = [r for r in kept if sent_at(r) > worst]
        expected = simple(kept, rule)
        found = scan.find()
        if expected is None:
            assert found is None
        else:
            assert found is not None
            assert (found.first, found.last) == tuple(map(Good.of, expected))
