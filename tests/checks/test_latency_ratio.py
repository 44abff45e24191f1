from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.checks.judging import result
from tests.histories import World, experiment
from vqchaos.checks import Result

RATIO = {"type": "latency_ratio"}


def check(world: World, **settings: Any) -> Result:
    named: dict[str, dict[str, Any]] = {name: {} for name in world.workloads}
    return result(world, {**RATIO, **settings}, workloads=named)


def slow(factor: float = 3.0) -> World:
    return World().inject(held=True).slow(12.0, 22.0, factor)


@pytest.mark.parametrize("metric", ["ttft", "itl", "e2e"])
@pytest.mark.parametrize("quantile", ["p50", "p95"])
def test_each_metric_against_the_baseline(metric: str, quantile: str) -> None:
    settings = {"metric": metric, "quantile": quantile}
    assert check(slow(), max=3.5, **settings).verdict == "pass"
    found = check(slow(), max=2.5, **settings)
    assert found.verdict == "fail"
    assert found.observed == pytest.approx(3.0, abs=0.01)
    assert "3.00x the baseline's" in found.why


def test_min_proves_that_the_latency_was_felt() -> None:
    assert check(slow(), min=2.0).verdict == "pass"
    found = check(slow(1.2), min=2.0)
    assert found.verdict == "fail"
    assert "limit at least 2x" in found.why
    assert check(slow(), min=2.0, max=5.0).verdict == "pass"
    assert check(slow(), min=2.0, max=2.5).verdict == "fail"


def test_the_phase_is_picked() -> None:
    assert check(slow(), max=1.1, phase="settle").verdict == "pass"


def test_too_few_samples_are_unknown() -> None:
    world = World(rate=3).inject().fail(12, 22)
    found = check(world, max=2)
    assert found.verdict == "unknown"
    assert "p95 needs 20" in found.why


def test_the_worst_workload_counts_for_max_and_the_best_for_min() -> None:
    world = World(workloads=("a", "b")).inject(held=True).slow(12, 22, 4, who="a")
    found = check(world, max=2)
    assert found.verdict == "fail"
    assert "'a'" in found.why
    found = check(world, min=2)
    assert found.verdict == "fail"
    assert "'b'" in found.why
    assert check(world, max=2, workload="b").verdict == "pass"


def test_gaps_need_a_stream() -> None:
    world = World(stream=False).inject()
    assert check(world, metric="itl", max=2).verdict == "unknown"


@pytest.mark.parametrize("bad", [{}, {"min": 3, "max": 2}, {"max": 0}])
def test_a_limit_is_needed(bad: Any) -> None:
    with pytest.raises(ValidationError):
        experiment(checks=[{**RATIO, **bad}])
