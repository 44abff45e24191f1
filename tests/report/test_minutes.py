from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.report.verdicts import NASTY
from vqchaos.report.files import set_index
from vqchaos.report.minutes import minutes_data, minutes_markdown, seconds, sentence
from vqchaos.summary import judge_set

WALL = 1_800_000_000.0


def records(words: str = "hang") -> list[dict[str, Any]]:
    at = {"who": words, "step": 1, "name": words}
    return [
        {"kind": "session.started", "wall": WALL, "who": "eva", "name": words, "title": words,
         "stack": words},
        {"kind": "step.started", "wall": WALL + 1, **at, "hypothesis": words},
        {"kind": "run.started", "wall": WALL + 2, **at, "number": 1, "of": 1},
        {"kind": "fault.injected", "wall": WALL + 30, "who": words, "fault": words},
        {"kind": "probe", "wall": WALL + 31, "who": words, "since": 1.25, "text": words},
        {"kind": "note", "wall": WALL + 33, "who": words, "text": words},
        {"kind": "detected", "wall": WALL + 32, "who": words, "since": 2.0},
        {"kind": "abort", "wall": WALL + 35, **at},
        {"kind": "reverted", "wall": WALL + 35.34, "who": words, "since": 0.34},
        {"kind": "run.ended", "wall": WALL + 36, **at, "dir": words, "how": "aborted", "why": words,
         "by_people": 2.0, "by_whom": words, "by_probe": 1.25, "by_clients": None,
         "recovered": None, "reverted_after": 0.34, "injected_wall": WALL + 30},
        {"kind": "step.ended", "wall": WALL + 36, **at, "how": "aborted", "runs": [words]},
        {"kind": "step.ended", "wall": WALL + 40, **at, "step": 2, "how": "skipped", "runs": []},
        {"kind": "of a later version", "wall": WALL + 41},
        {"kind": "session.ended", "wall": WALL + 42, "who": words, "why": words},
    ]  # fmt: skip


def test_a_row_a_run_and_a_row_a_skipped_step() -> None:
    data = minutes_data(records())
    assert [(row["step"], row["how"]) for row in data["rows"]] == [(1, "aborted"), (2, "skipped")]
    assert data["rows"][0]["hypothesis"] == "hang"
    assert data["operators"] == ["eva", "hang"]


def test_what_happened_is_in_order_of_its_time() -> None:
    log = minutes_data(records())["log"]
    texts = [item["text"] for item in log]
    seen, noted = texts.index("people saw it after 2.00 s"), texts.index("note: hang")
    assert seen < noted  # although the note was written first
    assert "everything reverted 0.34 s after the key" in texts


def test_the_table_has_people_beside_probes_and_the_abort() -> None:
    text = minutes_markdown(minutes_data(records()))
    assert "| 2.00 s (hang) | 1.25 s | - | - | 0.34 s |" in text
    assert "# Game day hang, 2027-01-15" in text
    assert "- 08:00:33 hang: note: hang" in text


def test_words_of_others_are_no_markup_and_no_html() -> None:
    data = minutes_data(records(NASTY))
    text = minutes_markdown(data)
    assert "<b>" not in text
    assert "\x1b" not in text
    assert "@all" not in text
    rows = [line for line in text.split("\n") if line.startswith("|")]
    assert {row.count("|") - row.count("\\|") for row in rows} == {13}
    summary = {**judge_set([]), "gameday": data}
    page = set_index(Path("day"), summary, [])
    assert "Minutes of the game day" in page
    assert "<b>&" not in page
    assert "&lt;b&gt;" in page


def test_of_a_killed_day_it_says_so() -> None:
    assert minutes_data(records()[:-1])["ended"] == "was killed"
    assert minutes_data([])["rows"] == []
    assert "was killed" in minutes_markdown(minutes_data([]))


def test_seconds_have_hundredths_where_they_tell_something() -> None:
    assert (seconds(0.341), seconds(12.0), seconds(None)) == ("0.34 s", "12s", "-")


@given(st.dictionaries(st.text(max_size=8), st.none() | st.text(max_size=8)))
def test_a_strange_record_is_a_sentence_or_nothing(facts: dict[str, Any]) -> None:
    for kind in ("note", "run.ended", "step.ended", "probe", "detected", facts.get("x")):
        assert isinstance(sentence({**facts, "kind": kind, "since": None}), str)
