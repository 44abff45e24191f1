from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families as older_format

from tests.report.verdicts import failing, nasty, passing, verdict, void
from vqchaos.judge import judge_set
from vqchaos.report.prom import FAMILIES, metrics, set_metrics

WHO = {"experiment": "toy", "stack": "local"}
Samples = dict[str, list[tuple[dict[str, str], float]]]
GATE = {
    "name": "release", "title": "", "verdict": "fail", "rules": [
        {"name": "verdicts", "type": "verdicts", "verdict": "fail", "why": ""},
        {"name": "verdicts", "type": "verdicts", "verdict": "pass", "why": ""},
    ],
}  # fmt: skip


def families(text: str) -> list[Any]:
    """As Prometheus reads OpenMetrics: it raises for what is not in order."""
    return [*openmetrics.text_string_to_metric_families(text)]  # type: ignore[no-untyped-call]


def samples(text: str) -> Samples:
    out: Samples = {}
    for family in families(text):
        for sample in family.samples:
            out.setdefault(sample.name, []).append((sample.labels, sample.value))
    return out


def of_set(*verdicts: dict[str, Any], **more: Any) -> str:
    summary = judge_set([(str(v["run"]), v) for v in verdicts], skipped=more.pop("skipped", ()))
    return set_metrics({**summary, **more}, verdicts, name="20261118-set")


def test_the_figures_of_a_run() -> None:
    found = samples(metrics(failing()))
    assert found["vqchaos_verdict"] == [(WHO, 2.0)]
    assert found["vqchaos_recovery_seconds"] == [(WHO, 18.1)]
    assert found["vqchaos_valid"] == [(WHO, 1.0)]
    refused = {**WHO, "workload": "clients", "phase": "fault", "outcome": "refused"}
    assert (refused, 80.0) in found["vqchaos_requests"]
    p95 = {
        **WHO, "workload": "clients", "phase": "baseline", "metric": "ttft", "percentile": "95"
    }  # fmt: skip
    assert (p95, 0.1) in found["vqchaos_latency_seconds"]
    p50 = {**p95, "percentile": "50"}
    assert (p50, 0.1) in found["vqchaos_latency_seconds"]


def test_when_it_was_broken_and_when_that_was_noticed() -> None:
    found = samples(metrics(failing()))
    fault = {**WHO, "fault": "process_kill", "type": "process_kill", "target": "engine"}
    assert found["vqchaos_fault_injected_timestamp_seconds"] == [(fault, 1795000012.0)]
    assert found["vqchaos_fault_reverted_timestamp_seconds"] == [(fault, 1795000022.0)]
    assert found["vqchaos_recovered_timestamp_seconds"] == [(WHO, 1795000030.1)]
    assert found["vqchaos_detection_seconds"] == [
        ({**WHO, "source": "clients"}, 0.135),
        ({**WHO, "source": "probe"}, 0.2),
    ]


def test_what_a_run_lacks_has_no_line() -> None:
    found = samples(metrics(void()))
    assert "vqchaos_recovery_seconds" not in found
    assert found["vqchaos_valid"][0][1] == 0.0
    timeless = samples(metrics(verdict(started_wall=None)))
    assert not [name for name in timeless if name.endswith("timestamp_seconds")]


def test_types_and_units() -> None:
    for family in families(of_set(failing(), gate=GATE)):
        assert family.type == "gauge", family.name
        assert family.unit == ("seconds" if family.name.endswith("_seconds") else "")
        assert family.documentation
        for sample in family.samples:
            assert not {"quantile", "le"} & sample.labels.keys(), (
                "of summaries and histograms alone"
            )


def test_names_are_as_prometheus_wants_them() -> None:
    for name in FAMILIES:
        assert not name.endswith(("_total", "_count", "_sum", "_bucket")), "no counter is here"
        assert "gauge" not in name


def test_a_set_has_each_run_and_what_is_common() -> None:
    skipped = [{"experiment": "gpu", "reason": "no GPU here"}]
    runs = [{**failing(), "run": "a"}, {**passing(), "run": "b"}]
    found = samples(of_set(*runs, skipped=skipped))
    assert found["vqchaos_verdict"] == [({**WHO, "run": "a"}, 2.0), ({**WHO, "run": "b"}, 0.0)]
    mine = {"set": "20261118-set", "stack": "local"}
    assert found["vqchaos_set_verdict"] == [(mine, 2.0)]
    assert found["vqchaos_set_skipped"] == [(mine, 1.0)]
    toy = {**mine, "experiment": "toy"}
    assert found["vqchaos_set_recovery_median_seconds"] == [(toy, 18.1)]
    assert found["vqchaos_set_recovery_runs"] == [(toy, 2.0)]


def test_a_gate_has_its_verdict_and_its_rules() -> None:
    found = samples(of_set(failing(), gate=GATE))
    gate = {"gate": "release", "stack": "local"}
    assert found["vqchaos_gate_verdict"] == [(gate, 2.0)]
    assert [(labels["number"], value) for labels, value in found["vqchaos_gate_rule"]] == [
        ("1", 2.0), ("2", 0.0)
    ]  # fmt: skip


def test_a_set_that_ran_nothing() -> None:
    found = samples(of_set(skipped=[{"experiment": "gpu", "reason": "no GPU here"}]))
    assert found["vqchaos_set_verdict"][0][1] == 1.0


def test_it_ends_as_openmetrics_must() -> None:
    assert metrics(failing()).endswith("# EOF\n")
    with pytest.raises(ValueError, match="EOF"):
        families(metrics(failing()).removesuffix("# EOF\n"))


@pytest.mark.parametrize("text", [metrics(failing()), metrics(nasty()), of_set(failing())])
def test_the_older_format_reads_the_same(text: str) -> None:
    """The textfile collector and the Pushgateway know no OpenMetrics."""
    found: Samples = {}
    for family in older_format(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    assert found == samples(text)


@settings(max_examples=100)
@given(st.text(), st.text())
@example('quote" slash\\ newline\n{a="b"} 1', "\\")
@example("\ud800", "# EOF\n")
def test_any_text_can_be_a_label(text: str, name: str) -> None:
    made = verdict(stack=text, experiment=text, run=name)
    made["faults"][0].update(name=name, target=text)
    for check in made["checks"]:
        check["name"] = name
    assert samples(metrics(made))["vqchaos_verdict"][0][1] == 2.0
    gate = {**GATE, "name": text, "rules": [{**rule, "name": name} for rule in GATE["rules"]]}  # type: ignore[dict-item]
    assert samples(of_set(made, gate=gate))["vqchaos_gate_verdict"][0][1] == 2.0


def test_hostile_text_makes_no_line_of_its_own() -> None:
    assert samples(metrics(nasty())).keys() == samples(metrics(failing())).keys()
