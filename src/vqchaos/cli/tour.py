"""The tour that ``demo`` runs, and what it expects of the local stack."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqchaos.cli.common import data_path, say
from vqchaos.errors import ExitCode

if TYPE_CHECKING:
    from vqchaos.runner.sets import SetResult


def tour_files() -> list[Path]:
    """The experiments of the tour, in order."""
    return sorted(data_path("tour").glob("*.yaml"))


def expectations() -> dict[str, dict[str, Any]]:
    """``expected.json``: experiment → verdict, and the checks that must not pass."""
    data: dict[str, dict[str, Any]] = json.loads(
        data_path("tour", "expected.json").read_text(encoding="utf-8")
    )
    return data


def surprises(verdicts: dict[str, dict[str, Any]]) -> list[str]:
    """Where the tour was judged otherwise than expected; empty if nowhere."""
    out = []
    for name, expected in expectations().items():
        verdict = verdicts.get(name)
        if verdict is None:
            out.append(f"{name} was not run")
            continue
        if verdict["verdict"] != expected["verdict"]:
            out.append(f"{name}: {verdict['verdict']}, expected {expected['verdict']}")
        not_passed = {c["name"] for c in verdict["checks"] if c["verdict"] != "pass"}
        if not_passed != set(expected["not_passed"]):
            found = ", ".join(sorted(not_passed)) or "none"
            wanted = ", ".join(expected["not_passed"]) or "none"
            out.append(f"{name}: checks that did not pass: {found}; expected: {wanted}")
    return out


def print_tour(result: SetResult) -> ExitCode:
    """Says whether the tour went as expected; 0 if so, else the set's own code."""
    verdicts = {d.verdict["experiment"]: d.verdict for d in result.runs}
    unexpected = surprises(verdicts)
    for name, expected in expectations().items():
        if expected.get("finding") and not any(line.startswith(name) for line in unexpected):
            say(f"true finding of the tour: {name}: {expected['finding']}")
    if not unexpected:
        say("the tour was judged as expected")
        return ExitCode.PASS
    say("the tour was not judged as expected:")
    for line in unexpected:
        say(f"  {line}")
    return result.exit_code if result.exit_code != ExitCode.PASS else ExitCode.FAIL
