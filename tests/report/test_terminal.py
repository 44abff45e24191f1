from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType

from tests.histories import World, experiment
from tests.report.verdicts import failing, nasty, passing, verdict, void
from vqchaos.judge import judge, judge_set
from vqchaos.report.terminal import render_run, render_set
from vqchaos.report.words import recovery_line


def shown(what: RenderableType, width: int = 80, *, colour: bool = False) -> str:
    out = io.StringIO()
    system: Any = "truecolor" if colour else None
    Console(file=out, width=width, color_system=system, force_terminal=colour).print(what)
    return out.getvalue()


def run(found: dict[str, Any], **more: Any) -> str:
    return shown(render_run(found, Path("runs/x")), **more)


def test_a_run_says_verdict_recovery_checks_and_traffic() -> None:
    text = run(failing())
    assert text.startswith("✗ FAIL  toy  on local")
    assert "injected 0.0 ─ detected +0.1 ─ process gone +0.2 ─ process back +13.0 ─" in text
    assert "recovered 18.1s after the last injection, requests failed, outage" in text
    assert "✗ FAIL" in text
    assert "18.1s  limit 15s" in text
    assert "longest part: process gone" in text
    assert "? UNKNOWN" in text
    assert "80 refused" in text
    assert "runs/x/" in text


@pytest.mark.parametrize("width", [40, 80, 100, 200])
@pytest.mark.parametrize("make", [failing, passing, void, nasty])
def test_no_line_is_longer_than_the_terminal(width: int, make: Any) -> None:
    found = make()
    text = run(found, width=width)
    text += shown(render_set(judge_set([("a", found)]), [found]), width)
    assert all(len(line) <= width for line in text.splitlines())


def test_the_steps_break_only_between_them() -> None:
    text = run(failing(), width=60)
    assert "port\n" not in text
    assert "port open +18.0" in text


def test_text_of_the_target_is_data() -> None:
    found = nasty()
    text = run(found) + shown(render_set(judge_set([("a", found)]), [found]))
    assert "\x1b" not in text
    assert "\x9b" not in text
    assert "\x00" not in text
    assert "[bold]" in text


def test_colour_carries_nothing_that_words_do_not() -> None:
    coloured = run(failing(), colour=True)
    assert "\x1b[" in coloured
    plain = shown(render_run(failing()), colour=False)
    assert "FAIL" in plain
    assert "UNKNOWN" in plain


def test_a_void_run_says_so_first() -> None:
    text = run(void())
    assert "void: this run shows nothing" in text
    assert "nothing was injected" in text


def test_an_unclean_run_names_the_way_out() -> None:
    assert "run `vqchaos heal`" in run(verdict(exit_code=4))


@pytest.mark.parametrize(
    ("world", "words"),
    [
        (World().inject(), "no impact"),
        (World().inject().down(12.1, 99), "NOT recovered in the 33s watched"),
        (
            World().inject(name="proxy_down", held=True).fail(12.0, 14.0),
            "mitigated 2.1s after the injection",
        ),
        (
            World().inject(name="latency", held=True).slow(12.0, 22.0, 5, who="clients"),
            "recovered 100ms after the last revert, 10.1s after the injection, answers were slow",
        ),
    ],
)
def test_the_recovery_line(world: World, words: str) -> None:
    found = judge(world.build(), experiment()).as_dict()
    assert words in " ".join(run(found, width=200).split())


def test_a_set_names_why_a_run_did_not_pass() -> None:
    runs = [("a", passing()), ("b", failing())]
    skipped = [{"experiment": "gpu", "reason": "no GPU here"}]
    summary = judge_set(runs, skipped=skipped)
    text = " ".join(shown(render_set(summary, [v for _, v in runs])).split())
    assert "recovery_time: 18.1s after the last injection" in text
    assert "- SKIPPED gpu no GPU here" in text
    assert "2 runs, 2 valid, exit code 1" in text
    assert "n = 2, median 18.1s" in text
    assert "MTTR 18.1s" in text


def test_a_failure_of_the_pilot_alone_is_not_the_clients() -> None:
    made = verdict(impact="failed")
    made["outcomes"] = {
        "clients": {"baseline": {"ok": 9, "reset": 1}, "fault": {"ok": 9, "cancelled": 1}},
        "pilot": {"fault": {"ok": 3, "hung": 1}},
    }
    assert "only the pilot's requests failed" in recovery_line(made)
    made["outcomes"]["clients"]["settle"] = {"hung": 1}
    assert ", requests failed" in recovery_line(made)
