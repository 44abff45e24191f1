"""The stack's own logs, kept with the run."""

from __future__ import annotations

from pathlib import Path

from vqchaos.load.redact import Redactor
from vqchaos.runner.undo import bounded
from vqchaos.stack.protocols import Stack
from vqchaos.text import one_line

LIMIT = 15.0  # seconds; a hang guard, the stack itself takes less


def keep_logs(stack: Stack, run: Path, since: float) -> list[str]:
    """Since when in Unix seconds. Returns remarks; whatever goes wrong is one: a run is judged
    without its logs too."""
    try:
        redact = Redactor(stack.endpoints.headers.values())
        return bounded(lambda: stack.keep_logs(run, since, redact), LIMIT)
    except Exception as error:
        return [f"the logs of the stack were not kept: {one_line(error)}"]
