"""Columns give back what was put into them, and take all of an event or nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.histories import World, killed
from vqchaos.history.coding import encode
from vqchaos.history.events import (
    Event,
    HealthProbe,
    LagProbe,
    MetricsProbe,
    Note,
    Request,
)
from vqchaos.history.history import History
from vqchaos.history.store import Writer, read

BASE = World().request(1.0)
MOMENT = st.floats(0, 1e6)
NEVER = st.none() | MOMENT
TEXT = st.text(max_size=8)
REQUEST = st.builds(
    lambda **values: replace(BASE, **values),
    t=MOMENT, workload=TEXT, id=TEXT, stream=st.booleans(), due=MOMENT, sent=NEVER,
    first_byte=NEVER, first_token=NEVER, tokens=st.lists(MOMENT, max_size=4), ended=MOMENT,
    outcome=st.sampled_from(["ok", "hung"]), status=st.none() | st.integers(100, 599), detail=TEXT,
    excerpt=TEXT, replica=st.none() | TEXT, mixed=st.none() | TEXT,
    completion_tokens=st.none() | st.integers(-3, 9) | st.integers(),
)  # fmt: skip
EVENT: st.SearchStrategy[Event] = st.one_of(
    REQUEST,
    st.builds(HealthProbe, t=MOMENT, sent=MOMENT, status=st.none() | st.integers(), error=TEXT),
    st.builds(LagProbe, t=MOMENT, samples=st.lists(MOMENT, max_size=3)),
    st.builds(MetricsProbe, t=MOMENT, values=st.dictionaries(TEXT, MOMENT), error=TEXT),
    st.builds(Note, t=MOMENT, text=TEXT),
)


@given(st.lists(EVENT))
def test_a_history_gives_back_the_events_that_it_was_given(events: list[Event]) -> None:
    history = History(events)
    assert list(history) == events
    assert [history[n] for n in range(len(history))] == events
    assert history[1:3] == events[1:3]
    assert history == events
    assert not history != events  # noqa: SIM202 - the other operator
    assert history.latest == max((event.t for event in events), default=0.0)


@given(st.lists(EVENT))
def test_json_makes_the_events_that_were_written(events: list[Event]) -> None:
    history = History()
    for event in events:
        history.append_json(json.loads(json.dumps(encode(event))))
    assert [encode(event) for event in history] == [encode(event) for event in events]


@pytest.mark.parametrize(
    "wrong",
    [
        {"due": "soon"},
        {"ended": None},
        {"tokens": [1.0, None]},
        {"id": 7},
        {"outcome": ["ok"]},
        {"excerpt": None},
        {"t": {}},
        {"completion_tokens": "7"},
        {"mixed": False},
    ],
)
def test_what_no_column_takes_leaves_no_trace(wrong: dict[str, Any]) -> None:
    history = History([BASE])
    with pytest.raises(TypeError, match="wrong type"):
        history.append_json({**encode(BASE), **wrong})
    other = replace(BASE, id="vqc-2", tokens=[2.0], t=9.0)
    history.append(other)
    assert history == [BASE, other]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    "name", ["t", "due", "sent", "first_byte", "first_token", "tokens", "ended", "deadline"]
)
def test_a_moment_that_is_not_finite_is_no_moment(name: str, bad: float) -> None:
    history = History([BASE])
    wrong = [1.0, bad] if name == "tokens" else bad
    with pytest.raises(ValueError, match=f"{name} must be a finite number, not "):
        history.append_json({**encode(BASE), name: wrong})
    assert history == [BASE]


def test_the_moment_of_another_event_is_finite_too() -> None:
    with pytest.raises(ValueError, match="t must be a finite number, not inf"):
        History().append_json({"type": "note", "t": float("inf"), "text": "x"})


def test_moments_may_be_too_large_to_be_added() -> None:
    late = replace(BASE, sent=1.5e308, ended=1.5e308, tokens=[1.5e308, 1.6e308])
    assert History([late]) == [late]


def test_an_event_that_lacks_a_required_key_says_which() -> None:
    data = encode(BASE)
    del data["deadline"]
    with pytest.raises(TypeError, match="deadline"):
        History().append_json(data)


def test_any_json_as_a_type_is_an_unknown_type() -> None:
    history = History()
    history.append_json({"t": 1.0, "type": ["request"]})
    assert not history


def test_a_history_is_no_text() -> None:
    assert History() != ""


def test_texts_beyond_the_known_ones_are_kept_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vqchaos.history.columns._MOST_KNOWN", 2)
    requests = [
        replace(BASE, detail=detail, excerpt=excerpt)
        for detail, excerpt in [
            ("a", ""),
            ("b", "x"),
            ("a", ""),
            ("c\ud800", "é"),
            ("", ""),
            ("b", "x"),
        ]
    ]
    history = History([*requests, *requests])
    assert history == [*requests, *requests]


def test_requests_that_are_alike_share_their_kind() -> None:
    made = killed().build()
    table = History(made).requests
    assert len(table) == sum(isinstance(event, Request) for event in made)
    assert len(table.keys) < 6


def test_answers_of_all_lengths_and_signs_are_one_kind() -> None:
    requests = [replace(BASE, completion_tokens=n, mixed=f"the id is {n}") for n in range(9)]
    history = History(requests)
    assert history == requests
    assert len(history.requests.keys) == 1


def test_a_target_may_say_any_number_of_tokens(tmp_path: Path) -> None:
    said = [0, -1, -2, 2**31, 2**64, 2**70, 10**400]
    path = tmp_path / "history.jsonl"
    with Writer(path) as out:
        for event in World().build()[:1]:
            out.write(event)
        for number in said:
            out.write(replace(BASE, completion_tokens=number))
    found = [r.completion_tokens for r in read(path) if isinstance(r, Request)]
    assert found == said


def test_metrics_are_asked_for_by_name() -> None:
    history = History(
        [
            MetricsProbe(t=1.0, values={"a": 1.0, "b": 2.0}),
            MetricsProbe(t=2.0, values={"a": 3.0}),
            MetricsProbe(t=3.0, error="refused"),
            MetricsProbe(t=4.0, values={"b": 5.0, "a": 4.0}),
        ]
    )
    assert history.metrics.series("a") == [(1.0, 1.0), (2.0, 3.0), (4.0, 4.0)]
    assert history.metrics.series("b", "a") == [(1.0, 2.0, 1.0), (4.0, 5.0, 4.0)]
