"""Verdicts for the tests of reports."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any

from tests.histories import World, experiment, killed
from vqchaos.judge import judge

CHECKS = [
    {"type": "recovery_time", "max": "15s"},
    {"type": "refuses_to_start", "within": "1s"},
    {"type": "no_residue"},
]
NASTY = "\x1b[31mred\x1b[0m \x1b]0;title\x07[bold]<b>&\x00\x9b31m @all `x` |y| \u202e"


@cache
def _judged() -> dict[str, Any]:
    return judge(killed().build(), experiment(checks=CHECKS)).as_dict()


def verdict(**changes: Any) -> dict[str, Any]:
    return {**deepcopy(_judged()), **changes}


def failing() -> dict[str, Any]:
    return verdict()


def passing() -> dict[str, Any]:
    return judge(killed().build(), experiment(checks=[CHECKS[2]])).as_dict()


def void() -> dict[str, Any]:
    return judge(World().build(), experiment(checks=CHECKS)).as_dict()


def nasty() -> dict[str, Any]:
    """Text from a hostile target wherever text can be."""
    made = verdict(experiment=NASTY, title=NASTY, stack=NASTY, run=NASTY, void_reasons=[NASTY])
    made["valid"] = False
    for check in made["checks"]:
        check.update(name=NASTY, why=NASTY * 50, observed=NASTY, limit=NASTY)
    made["findings"] = [{"kind": NASTY, "text": NASTY}]
    made["outcomes"] = {NASTY: made["outcomes"]["clients"]}
    made["latency"] = {NASTY: made["latency"]["clients"]}
    for stage in made["recovery"]["phases"].values():
        if stage:
            stage["source"] = NASTY
    return made
