"""Who answered: counts by replica, and what the reports show of them."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tests.histories import World, changed, experiment, failed
from tests.report.verdicts import NASTY, passing
from vqchaos.history.events import OUTCOMES, PHASES, PILOT, Request
from vqchaos.judge import judge
from vqchaos.report.markdown import run_summary
from vqchaos.report.terminal import render_run
from vqchaos.report.words import replica_table
from vqchaos.view import NOBODY, Group, RunView
from vqchaos.view.replicas import counts, names


def two() -> World:
    """Two replicas in turn; in the fault phase nobody answers what server-1 would have."""
    world = World().inject().answered_by("server-1", "server-2")
    lost = lambda r: changed(failed(r, "hung", 5.0), replica=None)  # noqa: E731
    return world.at_replica(13, 20, "server-1", lost)


def test_requests_are_counted_by_who_answered() -> None:
    found = judge(two().build(), experiment()).as_dict()["by_replica"]
    assert list(found) == ["server-1", "server-2", NOBODY]
    assert list(found["server-1"]) == ["warmup", "baseline", "fault", "recovery", "settle"]
    assert found["server-2"]["fault"] == {"ok": 41}
    assert found[NOBODY] == {"fault": {"hung": 28}}
    view = RunView(two().build(), experiment())
    assert view.replicas == ["server-1", "server-2"]
    assert len(view.select("fault", replica=NOBODY)) == 28
    assert all(r.workload != PILOT for r in view.select(replica="server-1"))


def test_where_no_answer_names_a_replica_there_is_nothing_to_say() -> None:
    found = judge(World().inject().build(), experiment()).as_dict()
    assert found["by_replica"] == {}
    assert replica_table(found) == ([], [])
    assert "answered by" not in run_summary(found)


def show(found: dict[str, object], width: int = 80) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(render_run(found))
    return out.getvalue()


def test_two_replicas_are_a_table_and_one_is_none() -> None:
    found = judge(two().build(), experiment()).as_dict()
    text = show(found)
    assert "answered by" in text
    rows = [line.split() for line in text.splitlines() if line.startswith(("server-", "none"))]
    assert [row[0] for row in rows] == ["server-1", "server-2", "none"]
    assert "28 hung" in text
    assert "| none | - | - | 0 of 28 | - | - | 28 hung |" in run_summary(found)
    one = judge(World().inject().answered_by("server-1", None).build(), experiment()).as_dict()
    assert set(one["by_replica"]) == {"server-1", NOBODY}
    assert "answered by" not in show(one)
    assert "answered by" not in run_summary(one)


def test_a_header_that_is_no_name_does_not_flood_the_report() -> None:
    many = {**passing(), "by_replica": {f"r{n}": {"fault": {"ok": 1}} for n in range(1000)}}
    assert len(replica_table(many)[1]) == 9
    assert "992 more" in show(many)
    hostile = {**passing(), "by_replica": {NASTY: {"fault": {"ok": 1}}, "b": {"fault": {"ok": 1}}}}
    assert all(len(line) <= 40 for line in show(hostile, 40).splitlines())
    assert "\x1b" not in show(hostile) + run_summary(hostile)
    assert "<b>" not in run_summary(hostile)


def test_an_older_verdict_has_no_replicas() -> None:
    old = passing()
    del old["by_replica"]
    for check in old["checks"]:
        del check["replica"]
    assert "answered by" not in show(old) + run_summary(old)


BASE = World().request(1.0)
REQUESTS = st.lists(
    st.builds(
        lambda replica, outcome, phase: (replace(BASE, replica=replica, outcome=outcome), phase),
        st.sampled_from([None, "", "a", "b", NOBODY]),
        st.sampled_from(OUTCOMES),
        st.sampled_from(PHASES),
    ),
    max_size=30,
)


@given(REQUESTS)
def test_every_request_is_counted_once(drawn: list[tuple[Request, str]]) -> None:
    found = counts((phase, Group.of(r for r, where in drawn if where == phase)) for phase in PHASES)
    if not names(Group.of(r for r, _ in drawn)):
        assert found == {}
        return
    total = Counter[tuple[str, str, str]]()
    for who, by_phase in found.items():
        assert list(by_phase) == [p for p in PHASES if p in by_phase]
        for phase, outcomes in by_phase.items():
            assert all(outcomes.values())
            total.update({(who, phase, o): n for o, n in outcomes.items()})
    assert total == Counter((r.replica or NOBODY, p, r.outcome) for r, p in drawn)
