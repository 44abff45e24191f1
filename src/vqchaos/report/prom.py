"""metrics.prom: the figures of a run or a set as OpenMetrics text.

Gauges only, and no timestamps on the lines: Prometheus' older text format, which the textfile
collector and the Pushgateway read, takes the same file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.openmetrics.exposition import generate_latest

from vqchaos.checks.base import SEVERITY
from vqchaos.text import one_line

Labels = Mapping[str, Any]
# name → (unit, help). A name ends in its unit.
FAMILIES: dict[str, tuple[str, str]] = {
    "run_info": ("", "1, with the run's name and version"),
    "run_started_timestamp_seconds": ("seconds", "Unix time of the run's start"),
    "verdict": ("", "The run's verdict: 0 pass, 1 unknown, 2 fail"),
    "valid": ("", "1 if the run is valid, 0 if it is void"),
    "check": ("", "A check's verdict: 0 pass, 1 unknown, 2 fail"),
    "fault_injected_timestamp_seconds": ("seconds", "Unix time at which a fault took effect"),
    "fault_reverted_timestamp_seconds": ("seconds", "Unix time at which a fault was reverted"),
    "recovered_timestamp_seconds": ("seconds", "Unix time at which the service had recovered"),
    "recovery_seconds": ("seconds", "Recovery time from its anchor; a lower bound if censored"),
    "recovery_since_injection_seconds": ("seconds", "Recovery time from the last injection"),
    "recovery_since_revert_seconds": ("seconds", "Recovery time from the last revert"),
    "recovery_censored": ("", "1 if it had not recovered when the run ended"),
    "relapses": ("", "Windows of recovery that a later impact broke"),
    "detection_seconds": ("seconds", "From the first injection to the first sign, by its source"),
    "outage_seconds": ("seconds", "Time in which nobody got a token"),
    "longest_outage_seconds": ("seconds", "The longest time in which nobody got a token"),
    "requests": ("", "Requests by workload, phase and outcome"),
    "latency_seconds": ("seconds", "Latency percentiles of the successes"),
    "set_verdict": ("", "The verdict over all runs: 0 pass, 1 unknown, 2 fail"),
    "set_skipped": ("", "Experiments that the stack cannot do"),
    "set_recovery_median_seconds": ("seconds", "Median recovery time of an experiment's runs"),
    "set_recovery_runs": ("", "Runs in the median of the recovery time"),
    "gate_verdict": ("", "The gate's verdict: 0 pass, 1 unknown, 2 fail"),
    "gate_rule": ("", "A gate's rule: 0 pass, 1 unknown, 2 fail"),
}
_RECOVERY = {
    "recovery_seconds": "recovery_time",
    "recovery_since_injection_seconds": "since_injection",
    "recovery_since_revert_seconds": "since_revert",
    "recovery_censored": "censored",
    "relapses": "relapses",
    "outage_seconds": "outage",
    "longest_outage_seconds": "longest_outage",
}


class _Text:
    """The families in their order, each with its samples."""

    def __init__(self) -> None:
        self._families = {
            name: Metric(f"vqchaos_{name}", text, "gauge", unit)
            for name, (unit, text) in FAMILIES.items()
        }
        self._seen: set[tuple[str, tuple[tuple[str, str], ...]]] = set()

    def add(self, name: str, labels: Labels, value: float | None) -> None:
        """None: the run lacks it, and it has no line. The same labels twice would make the file
        invalid: the first stays."""
        family = self._families[name]
        said = {key: one_line(text) for key, text in labels.items()}
        series = name, tuple(said.items())
        if value is not None and series not in self._seen:
            self._seen.add(series)
            family.add_sample(family.name, said, float(value))

    def collect(self) -> list[Metric]:
        return [family for family in self._families.values() if family.samples]

    def __str__(self) -> str:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        made: bytes = generate_latest(registry)  # type: ignore[no-untyped-call]
        return made.decode()


def metrics(verdict: Mapping[str, Any]) -> str:
    """One run's file, ended by ``# EOF``. Its series have no label ``run``, so that they go on in
    the next run of the experiment; ``vqchaos_run_info`` names it."""
    text = _Text()
    _run(text, verdict, {})
    return str(text)


def set_metrics(
    summary: Mapping[str, Any], verdicts: Sequence[Mapping[str, Any]], *, name: str
) -> str:
    """A set's file: each run's figures with its label ``run``, then what is common. ``name``: the
    set's, of ``vqchaos_set_verdict``'s label."""
    text = _Text()
    for verdict in verdicts:
        _run(text, verdict, {"run": verdict["run"]})
    on = {"stack": verdicts[0]["stack"] if verdicts else ""}
    text.add("set_verdict", {"set": name, **on}, SEVERITY[summary["verdict"]])
    text.add("set_skipped", {"set": name, **on}, len(summary.get("skipped", ())))
    for experiment, found in summary["recovery"].get("by_experiment", {}).items():
        who = {"set": name, **on, "experiment": experiment}
        text.add("set_recovery_median_seconds", who, found["median"])
        text.add("set_recovery_runs", who, found["n"])
    if gate := summary.get("gate"):
        who = {"gate": gate["name"], **on}
        text.add("gate_verdict", who, SEVERITY[gate["verdict"]])
        for number, rule in enumerate(gate["rules"], 1):
            labels = {**who, "rule": rule["name"], "type": rule["type"], "number": number}
            text.add("gate_rule", labels, SEVERITY[rule["verdict"]])
    return str(text)


def _run(text: _Text, verdict: Mapping[str, Any], more: Labels) -> None:
    who = {"experiment": verdict["experiment"], "stack": verdict["stack"], **more}
    named = {"run": verdict["run"], "version": verdict["vqchaos_version"]}
    text.add("run_info", {**who, **named}, 1)
    text.add("verdict", who, SEVERITY[verdict["verdict"]])
    text.add("valid", who, verdict["valid"])
    for check in verdict["checks"]:
        labels = {**who, "check": check["name"], "type": check["type"]}
        text.add("check", labels, SEVERITY[check["verdict"]])
    for name, key in _RECOVERY.items():
        text.add(name, who, verdict["recovery"][key])
    _moments(text, verdict, who)
    _traffic(text, verdict, who)


def _moments(text: _Text, verdict: Mapping[str, Any], who: Labels) -> None:
    """What happened when: by the wall where its start is known, and how late it was noticed."""
    start, found = verdict["started_wall"], verdict["recovery"]
    injected = found["injected_at"]
    if injected is not None:
        for source, key in (("clients", "detected_at"), ("probe", "probe_detected_at")):
            if (seen := found[key]) is not None:
                text.add("detection_seconds", {**who, "source": source}, round(seen - injected, 3))
    if start is None:
        return
    text.add("run_started_timestamp_seconds", who, start)
    for fault in verdict["faults"]:
        labels = {**who, "fault": fault["name"], "type": fault["type"]}
        labels["target"] = fault["target"] or ""
        for name, key in (
            ("fault_injected_timestamp_seconds", "injected_at"),
            ("fault_reverted_timestamp_seconds", "reverted_at"),
        ):
            if (at := fault[key]) is not None:
                text.add(name, labels, round(start + at, 3))
    if (at := found["recovered_at"]) is not None:
        text.add("recovered_timestamp_seconds", who, round(start + at, 3))


def _traffic(text: _Text, verdict: Mapping[str, Any], who: Labels) -> None:
    for workload, phases in verdict["outcomes"].items():
        for phase, outcomes in phases.items():
            for outcome, count in outcomes.items():
                labels = {**who, "workload": workload, "phase": phase, "outcome": outcome}
                text.add("requests", labels, count)
    for workload, phases in verdict["latency"].items():
        for phase, figures in phases.items():
            for key, value in figures.items():
                metric, _, percent = key.partition("_p")
                labels = {**who, "workload": workload, "phase": phase, "metric": metric}
                text.add("latency_seconds", {**labels, "percentile": percent}, value)
