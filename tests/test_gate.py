from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.report.verdicts import failing, passing, void
from tests.saved_sets import saved
from tests.test_compare import runs, verdict
from vqchaos.errors import UsageError
from vqchaos.experiment.gate import Gate
from vqchaos.gate import judge_gate, require_known
from vqchaos.judge import judge_set

HERE = Path("gate.yaml")


def judged(
    rules: list[dict[str, Any]], verdicts: list[Any], *, file: Path = HERE, **summary: Any
) -> dict[str, Any]:
    gate = Gate.model_validate({"rules": rules})
    made = judge_set([(str(n), v) for n, v in enumerate(verdicts)]) | summary
    return judge_gate(gate, file, made, verdicts)


def rule(found: dict[str, Any]) -> tuple[str, str]:
    [row] = found["rules"]
    assert found["verdict"] == row["verdict"]
    return row["verdict"], row["why"]


def whole(seconds: float | None, **changes: Any) -> dict[str, Any]:
    return verdict(seconds, **{"exit_code": 0, **changes})


def test_every_run_must_pass() -> None:
    assert rule(judged([{"type": "verdicts"}], [passing()])) == ("pass", "1 of 1 runs passed")
    word, why = rule(judged([{"type": "verdicts"}], [passing(), failing()]))
    assert (word, "fail" in why) == ("fail", True)
    assert rule(judged([{"type": "verdicts"}], [passing(), void()]))[0] == "unknown"
    assert rule(judged([{"type": "verdicts"}], [])) == ("unknown", "nothing was run")


def test_of_those_that_are_named_one_that_was_not_run_is_unknown() -> None:
    other = {**failing(), "experiment": "other"}
    only = {"type": "verdicts", "experiments": [passing()["experiment"]]}
    assert rule(judged([only], [passing(), other]))[0] == "pass"
    word, why = rule(judged([{**only, "experiments": ["gone"]}], [passing()]))
    assert (word, why) == ("unknown", "gone was not run")
    assert rule(judged([{"type": "verdicts"}], [passing()], not_run=["later"])) == (
        "unknown", "later was not run",
    )  # fmt: skip


def test_a_failure_stays_one_in_a_void_run() -> None:
    bad = {**void(), "verdict": "fail"}
    assert rule(judged([{"type": "verdicts"}], [bad]))[0] == "fail"


@pytest.mark.parametrize(
    ("limits", "times", "word", "said"),
    [
        ({"median": "41s"}, [40.0, 39.0, 42.0], "pass", "median 40s, limit 41s"),
        ({"median": "39s"}, [40.0, 39.0, 42.0], "fail", "median 40s"),
        ({"worst": "41s"}, [40.0, 39.0, 42.0], "fail", "worst 42s"),
        ({"upper": "60s"}, [40.0, 39.0, 42.0], "unknown", "repeat the experiment more often"),
        ({"median": "60s", "worst": "41s"}, [40.0, 42.0, 39.0], "fail", "n = 3"),
    ],
)
def test_recovery(limits: dict[str, str], times: list[float], word: str, said: str) -> None:
    one = {"type": "recovery_time", "experiment": "kill", **limits}
    found = rule(judged([one], [whole(t) for t in times]))
    assert found[0] == word
    assert said in found[1]


def test_recovery_by_the_intervals_end() -> None:
    mine = [{**v, "exit_code": 0} for v in runs(40, 12)]
    one = {"type": "recovery_time", "experiment": "kill"}
    assert rule(judged([{**one, "upper": "45s"}], mine))[0] == "pass"
    assert rule(judged([{**one, "upper": "40s"}], mine))[0] == "fail"


def test_runs_that_did_not_recover_fail_a_limit_that_they_outlasted() -> None:
    mine = [whole(90.0, censored=True) for _ in range(3)]
    one = {"type": "recovery_time", "experiment": "kill"}
    assert rule(judged([{**one, "median": "60s"}], mine))[0] == "fail"
    assert rule(judged([{**one, "worst": "60s"}], mine))[0] == "fail"
    assert rule(judged([{**one, "median": "120s"}], mine))[0] == "unknown"
    assert rule(judged([{**one, "experiment": "else", "median": "1s"}], mine))[0] == "unknown"


def test_skipped_and_valid() -> None:
    skipped = [{"experiment": "gpu", "source": "x", "reason": "no GPU"}]
    word, why = rule(judged([{"type": "skipped"}], [passing()], skipped=skipped))
    assert (word, why) == ("fail", "1 skipped (gpu), at most 0")
    assert rule(judged([{"type": "skipped", "max": 1}], [passing()], skipped=skipped))[0] == "pass"
    assert rule(judged([{"type": "valid", "min": 1}], [passing(), void()]))[0] == "pass"
    assert rule(judged([{"type": "valid", "min": 2}], [passing(), void()]))[0] == "unknown"
    assert rule(judged([{"type": "valid", "min": 1}], [passing()], not_run=["b"]))[0] == "unknown"


def keep(tmp_path: Path, verdicts: list[Any]) -> Path:
    saved(tmp_path, "set", verdicts)
    return tmp_path / "gate.yaml"


def test_regression_against_a_set_that_was_kept(tmp_path: Path) -> None:
    file = keep(tmp_path, [{**v, "exit_code": 0} for v in runs(40, 12)])
    one = [{"type": "regression", "base": "set", "max": "10%"}]
    same = [{**v, "exit_code": 0} for v in runs(40, 12, seed=2)]
    slow = [{**v, "exit_code": 0} for v in runs(60, 12, seed=3)]
    assert rule(judged(one, same, file=file))[0] == "pass"
    word, why = rule(judged(one, slow, file=file))
    assert word == "fail"
    assert "recovery" in why


def test_what_cannot_be_judged_is_unknown_and_says_why(tmp_path: Path) -> None:
    one = [{"type": "regression", "base": "not-there"}]
    word, why = rule(judged(one, [whole(40.0)], file=tmp_path / "gate.yaml"))
    assert word == "unknown"
    assert "not-there" in why


def test_the_worst_rule_decides() -> None:
    found = judged(
        [{"type": "verdicts"}, {"type": "valid", "min": 9, "name": "enough"}], [failing()]
    )
    assert [row["verdict"] for row in found["rules"]] == ["fail", "unknown"]
    assert found["rules"][1]["name"] == "enough"
    assert found["verdict"] == "fail"


def test_the_worst_of_those_that_recovered_fails_though_another_was_cut_off() -> None:
    mine = [whole(70.0), whole(30.0, censored=True)]
    one = {"type": "recovery_time", "experiment": "kill", "worst": "60s"}
    assert rule(judged([one], mine))[0] == "fail"


def test_what_the_rules_name_must_be_there_before_anything_runs(tmp_path: Path) -> None:
    def known(*rules: dict[str, Any]) -> None:
        file = tmp_path / "gate.yaml"
        require_known(Gate.model_validate({"rules": list(rules)}), file, {"kill", "latency"})

    known({"type": "verdicts", "experiments": ["kill"]}, {"type": "skipped"})
    with pytest.raises(UsageError, match=r"'kil' \(did you mean 'kill'\?\)"):
        known({"type": "recovery_time", "experiment": "kil", "worst": "1s"})
    with pytest.raises(UsageError, match="gone"):
        known({"type": "regression", "base": "gone"})


def test_a_kept_file_that_is_odd_costs_no_summary(tmp_path: Path) -> None:
    odd = {**runs(40, 1)[0], "recovery": {"recovery_time": "soon", "censored": False}}
    file = keep(tmp_path, [odd])
    word, why = rule(judged([{"type": "regression", "base": "set"}], [whole(40.0)], file=file))
    assert word == "unknown", why
