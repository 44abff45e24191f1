"""Two groups of runs compared: regressions are found, noise is not one, nothing is guessed."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.saved_sets import saved
from vqchaos.cli.app import run as command
from vqchaos.compare import Comparison, Limit, compare
from vqchaos.compare_words import describe
from vqchaos.errors import ExitCode, UsageError

TEN = Limit.parse("10%")


def verdict(
    seconds: float | None = 40.0, *, censored: bool = False, ok: int = 38, ttft: float = 0.1,
    **changes: Any,
) -> dict[str, Any]:  # fmt: skip
    return {
        "experiment": "kill", "experiment_digest": "sha256:aaaa", "stack_digest": "sha256:bbbb",
        "verdict": "pass", "valid": True, "checks": [],
        "recovery": {"recovery_time": seconds, "censored": censored},
        "outcomes": {"clients": {"fault": {"ok": ok, "refused": 40 - ok}}, "pilot": {}},
        "latency": {"clients": {"baseline": {"ttft_p50": ttft, "ttft_p95": None}}},
        **changes,
    }  # fmt: skip


def runs(median: float, count: int = 12, *, spread: float = 1.0, seed: int = 1) -> list[Any]:
    rng = random.Random(seed)
    return [verdict(rng.gauss(median, spread)) for _ in range(count)]


def line(found: Comparison, what: str) -> Any:
    return next(item for item in found.lines if item.what.startswith(what))


def test_alike_is_no_regression() -> None:
    found = compare(runs(40), runs(40.5, seed=2), TEN)
    assert (found.state, found.exit_code) == ("same", ExitCode.PASS)
    assert not found.notes


def test_slower_is_a_regression_by_share_and_by_time() -> None:
    for limit in ("10%", "2s"):
        found = compare(runs(40), runs(48, seed=2), Limit.parse(limit))
        assert (found.state, found.exit_code) == ("regression", ExitCode.FAIL)
        assert line(found, "recovery").state == "regression"
    assert compare(runs(40), runs(48, seed=2), Limit.parse("15s")).state == "same"


def test_slower_within_the_limit_is_none_and_faster_is_none() -> None:
    assert compare(runs(40), runs(42, seed=2), TEN).state == "same"
    assert compare(runs(40), runs(20, seed=2), TEN).state == "same"


def test_too_few_runs_are_no_guess() -> None:
    found = compare(runs(40, 3), runs(80, 12), TEN)
    assert (found.state, found.exit_code) == ("unclear", ExitCode.UNKNOWN)
    said = describe(line(found, "recovery"))
    assert "n is too small: 3 and 12 valid runs" in said
    assert "about 3 more runs each would tell" in said


def test_what_the_spread_hides_says_how_many_more_would_tell() -> None:
    found = line(compare(runs(40, 8, spread=6), runs(41, 8, spread=6, seed=5), TEN), "recovery")
    assert found.state == "unclear"
    assert found.more > 0


def test_noise_is_rarely_called_a_regression_and_a_real_one_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vqchaos.stats.intervals._RESAMPLES", 400)
    false = sum(
        compare(runs(40, 8, seed=n), runs(40, 8, seed=1000 + n), Limit.parse("0%")).state
        == "regression"
        for n in range(40)
    )
    assert false <= 4
    hits = sum(
        compare(runs(40, 8, seed=n), runs(50, 8, seed=1000 + n), TEN).state == "regression"
        for n in range(20)
    )
    assert hits >= 18


def test_runs_that_never_recover_are_tested_by_log_rank() -> None:
    stuck = [verdict(180.0, censored=True) for _ in range(10)]
    found = line(compare(runs(40), [*runs(40, 2, seed=2), *stuck], TEN), "recovery")
    assert found.state == "regression"
    assert "log-rank test, p = " in found.why
    assert "40" in describe(found)
    assert "never" in describe(found)
    json.dumps(compare(runs(40), stuck, TEN).as_dict(), allow_nan=False)


def test_one_run_that_never_recovers_forbids_an_all_clear() -> None:
    new = [*runs(40, 11, seed=2), verdict(180.0, censored=True)]
    assert line(compare(runs(40), new, TEN), "recovery").state == "unclear"
    assert compare(new, runs(40, 11, seed=3), TEN).state == "same"


def test_lost_availability_is_a_regression() -> None:
    found = compare(runs(40), [{**v, **verdict(ok=20)} for v in runs(40)], TEN)
    assert line(found, "availability").state == "regression"
    assert line(found, "availability").change == pytest.approx(-18 / 40)


def test_requests_that_fail_together_prove_less() -> None:
    base = [verdict(ok=40) for _ in range(8)]
    together = [*(verdict(ok=40) for _ in range(7)), verdict(ok=10)]
    assert line(compare(base, together, TEN), "availability").state == "unclear"


def test_slower_first_tokens_without_a_fault_are_a_regression() -> None:
    new = [{**v, **verdict(ttft=0.13)} for v in runs(40)]
    found = line(compare(runs(40), new, TEN), "first token p50")
    assert found.state == "regression"
    assert found.change == pytest.approx(1.3)


def test_new_fails_are_no_all_clear() -> None:
    fails = [v | {"verdict": "fail"} for v in runs(40)]
    assert line(compare(runs(40), fails, TEN), "runs not failed").state == "regression"
    few = [*runs(40, 11), verdict(40.0) | {"verdict": "fail"}]
    assert line(compare(runs(40), few, TEN), "runs not failed").state == "unclear"


def test_what_is_not_alike_is_named_and_no_conclusion_is_drawn() -> None:
    new = [
        v | {"experiment_digest": "sha256:cccc", "stack_digest": "sha256:dddd"} for v in runs(40)
    ]
    found = compare(runs(40), new, TEN)
    assert found.state == "unclear"
    assert "experiment 'kill' is not the same in BASE and NEW" in found.notes[0]
    assert "the stacks differ: stack digest bbbb in BASE, dddd in NEW" in found.notes
    assert compare(runs(40), new, TEN, allow_different=True).state == "same"
    other = [*runs(40), *(v | {"experiment": "pause"} for v in runs(40))]
    found = compare(other, runs(40), TEN)
    assert found.notes == ["experiment 'pause' was run in BASE only"]
    assert found.state == "unclear"


def test_another_stack_alone_is_only_a_note() -> None:
    new = [v | {"stack_digest": "sha256:dddd"} for v in runs(40)]
    assert compare(runs(40), new, TEN).state == "same"


def test_void_runs_are_counted_and_not_compared() -> None:
    new = [*runs(40), verdict(500.0, valid=False)]
    found = compare(runs(40), new, TEN)
    assert found.state == "same"
    assert found.notes == ["1 of 13 runs in NEW are void and not compared"]


@pytest.mark.parametrize("text", ["ten", "5", "-3s", "%"])
def test_a_limit_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected a share such as 10%"):
        Limit.parse(text)


# ---------------------------------------------------------------- the command


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = str(saved(tmp_path, "base", runs(40)))
    slow = str(saved(tmp_path, "slow", runs(48, seed=2)))
    few = str(saved(tmp_path, "few", runs(40, 2)))
    assert command(["compare", base, base]) == 0
    assert "NO REGRESSION" in capsys.readouterr().out
    assert command(["compare", base, slow]) == 1
    assert command(["compare", base, slow, "--max-regression", "50%"]) == 0
    assert command(["compare", base, few]) == 3
    out = capsys.readouterr().out
    assert "CANNOT TELL" in out
    assert max(map(len, out.splitlines())) <= 80
    assert command(["compare", base, slow, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["state"] == "regression"


def test_folders_that_are_none_are_errors_of_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = saved(tmp_path, "base", runs(40))
    (tmp_path / "empty").mkdir()
    assert command(["compare", str(base), str(tmp_path / "empty")]) == 2
    assert "no runs to compare" in capsys.readouterr().err
    assert command(["compare", str(tmp_path / "nowhere"), str(base)]) == 2
    assert command(["compare", str(base), str(base), "--max-drop", "much"]) == 2
