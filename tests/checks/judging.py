"""One check on one history."""

from __future__ import annotations

from typing import Any

from tests.histories import World, experiment
from vqchaos.checks import Result
from vqchaos.view import RunView


def result(world: World, check: dict[str, Any], **changes: Any) -> Result:
    """The result of the check as the YAML has it."""
    made = experiment(checks=[check], **changes)
    asked = made.checks[0]
    found = asked.judge(RunView(world.build(), made))
    assert found.unit in asked.units  # what docs/reference/checks.md says of it
    return found
