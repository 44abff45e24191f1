from __future__ import annotations

from vqchaos.cli.tour import expectations, surprises, tour_files
from vqchaos.experiment.files import load_experiment


def test_the_tour_has_eight_experiments_and_an_expectation_of_each() -> None:
    names = [load_experiment(path).name for path in tour_files()]
    assert len(names) == 8
    assert names == list(expectations())


def test_only_what_was_expected_is_no_surprise() -> None:
    verdicts = {
        name: {
            "verdict": expected["verdict"],
            "checks": [{"name": n, "verdict": "fail"} for n in expected["not_passed"]],
        }
        for name, expected in expectations().items()
    }
    assert surprises(verdicts) == []
    verdicts["tour-1-latency"] = {"verdict": "unknown", "checks": []}
    del verdicts["tour-2-proxy-down"]
    assert surprises(verdicts) == [
        "tour-1-latency: unknown, expected pass",
        "tour-2-proxy-down was not run",
    ]


def test_a_failure_for_another_reason_is_a_surprise() -> None:
    name = "tour-4-engine-hung"
    wrong = {name: {"verdict": "fail", "checks": [{"name": "canary", "verdict": "fail"}]}}
    assert any(line.startswith(f"{name}: checks that did not pass") for line in surprises(wrong))
