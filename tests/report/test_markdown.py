from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.report.verdicts import failing, nasty, passing, void
from vqchaos.judge import judge_set
from vqchaos.report.markdown import escape, run_summary, set_summary


def test_a_run() -> None:
    text = run_summary(failing())
    assert text.startswith("## ❌ toy: fail")
    assert "| ✗ fail | recovery\\_time | 18.1s | 15s | 18.1s after" in text
    assert "injected 0.0 → detected +0.1 →" in text
    assert "| clients | fault | 82 | 2 | 80 refused | 100ms | - |" in text


def test_a_void_run() -> None:
    assert "**This run is void" in run_summary(void())


def test_a_set() -> None:
    runs = [passing(), failing()]
    summary = judge_set(
        [("a", runs[0]), ("b", runs[1])], skipped=[{"experiment": "g", "reason": "no"}]
    )
    text = set_summary(summary, runs)
    assert text.startswith("## ❌ 2 runs: fail")
    assert "| - skipped | g | | no |" in text
    assert "n = 2, median 18.1s" in text


def test_text_of_the_target_is_no_markup() -> None:
    text = run_summary(nasty()) + set_summary(judge_set([("a", nasty())]), [nasty()])
    assert "<b>" not in text
    assert "@all" not in text
    assert "\x1b" not in text
    rows = [line for line in text.splitlines() if line.startswith("| ✗")]
    assert rows
    assert all(row.replace("\\|", "").count("|") == 6 for row in rows)


@given(st.text())
def test_escaped_text_stays_in_its_cell(text: str) -> None:
    found = escape(text)
    assert "\n" not in found
    assert "|" not in found.replace("\\|", "")
    assert "<" not in found
