"""metrics.prom: the figures of one run as OpenMetrics text, for a textfile collector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vqchaos.checks.base import SEVERITY
from vqchaos.text import one_line

Labels = dict[str, str]
_RECOVERY = (
    (
        "recovery_seconds",
        "recovery_time",
        "Recovery time from its anchor; a lower bound if censored",
    ),
    (
        "recovery_since_injection_seconds",
        "since_injection",
        "Recovery time from the last injection",
    ),
    ("recovery_since_revert_seconds", "since_revert", "Recovery time from the last revert"),
    ("outage_seconds", "outage", "Time in which nobody got a token"),
    ("longest_outage_seconds", "longest_outage", "The longest time in which nobody got a token"),
    ("relapses", "relapses", "Windows of recovery that a later impact broke"),
)


def metrics(verdict: Mapping[str, Any]) -> str:
    """OpenMetrics text, ended by ``# EOF``; figures that a run lacks have no line."""
    who = {"experiment": str(verdict["experiment"]), "stack": str(verdict["stack"])}
    lines: list[str] = []

    def family(name: str, text: str, samples: Iterator[tuple[Labels, float]]) -> None:
        found = [(labels, value) for labels, value in samples if value is not None]
        if found:
            lines.append(f"# TYPE vqchaos_{name} gauge")
            lines.append(f"# HELP vqchaos_{name} {text}")
            lines.extend(_sample(f"vqchaos_{name}", {**who, **lb}, value) for lb, value in found)

    def one(value: float) -> Iterator[tuple[Labels, float]]:
        yield {}, value

    run = {"run": str(verdict["run"]), "version": str(verdict["vqchaos_version"])}
    family("run", "1, with the run's name and version", iter([(run, 1.0)]))
    family("verdict", "0 pass, 1 unknown, 2 fail", one(SEVERITY[verdict["verdict"]]))
    family("valid", "1 if the run is valid, 0 if it is void", one(float(verdict["valid"])))
    if verdict["started_wall"] is not None:
        family("started_seconds", "Unix time of the start", one(verdict["started_wall"]))
    family("check", "0 pass, 1 unknown, 2 fail", _checks(verdict))
    recovery = verdict["recovery"]
    for name, key, text in _RECOVERY:
        family(name, text, one(recovery[key]))
    family("censored", "1 if it had not recovered when the run ended", one(recovery["censored"]))
    family("requests", "Requests by workload, phase and outcome", _requests(verdict))
    family("latency_seconds", "Latency quantiles of the successes", _latency(verdict))
    return "\n".join([*lines, "# EOF"]) + "\n"


def _checks(verdict: Mapping[str, Any]) -> Iterator[tuple[Labels, float]]:
    for check in verdict["checks"]:
        labels = {"check": str(check["name"]), "type": str(check["type"])}
        yield labels, SEVERITY[check["verdict"]]


def _requests(verdict: Mapping[str, Any]) -> Iterator[tuple[Labels, float]]:
    for workload, phases in verdict["outcomes"].items():
        for phase, outcomes in phases.items():
            for outcome, count in outcomes.items():
                yield {"workload": workload, "phase": phase, "outcome": outcome}, count


def _latency(verdict: Mapping[str, Any]) -> Iterator[tuple[Labels, float]]:
    for workload, phases in verdict["latency"].items():
        for phase, figures in phases.items():
            for key, value in figures.items():
                metric, _, quantile = key.partition("_")
                labels = {"workload": workload, "phase": phase, "metric": metric}
                yield {**labels, "quantile": f"0.{quantile.removeprefix('p')}"}, value


def _sample(name: str, labels: Labels, value: float) -> str:
    inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{inner}}} {float(value)!r}"


def _escaped(text: str) -> str:
    return one_line(text).replace("\\", "\\\\").replace('"', '\\"')
