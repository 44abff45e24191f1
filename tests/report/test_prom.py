from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.report.verdicts import failing, nasty, verdict, void
from vqchaos.report.prom import metrics


def samples(found: dict[str, Any]) -> dict[str, list[tuple[dict[str, str], float]]]:
    out: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(metrics(found)):  # type: ignore[no-untyped-call]
        for sample in family.samples:
            out.setdefault(sample.name, []).append((sample.labels, sample.value))
    return out


def test_the_figures_of_a_run() -> None:
    found = samples(failing())
    who = {"experiment": "toy", "stack": "local"}
    assert found["vqchaos_verdict"] == [(who, 2.0)]
    assert found["vqchaos_recovery_seconds"] == [(who, 18.1)]
    assert found["vqchaos_valid"] == [(who, 1.0)]
    refused = {**who, "workload": "clients", "phase": "fault", "outcome": "refused"}
    assert (refused, 80.0) in found["vqchaos_requests"]
    p95 = {
        **who, "workload": "clients", "phase": "baseline", "metric": "ttft", "quantile": "0.95"
    }  # fmt: skip
    assert (p95, 0.1) in found["vqchaos_latency_seconds"]


def test_what_a_run_lacks_has_no_line() -> None:
    found = samples(void())
    assert "vqchaos_recovery_seconds" not in found
    assert found["vqchaos_valid"][0][1] == 0.0


def test_it_ends_as_openmetrics_must() -> None:
    assert metrics(failing()).endswith("# EOF\n")


@settings(max_examples=100)
@given(st.text())
def test_any_text_can_be_a_label(text: str) -> None:
    assert samples(verdict(stack=text, experiment=text))["vqchaos_verdict"][0][1] == 2.0


def test_hostile_text_makes_no_line_of_its_own() -> None:
    assert samples(nasty())
