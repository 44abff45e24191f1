"""Has the router everybody back? The recovery phase goes on until then, for a check that asks."""

from __future__ import annotations

from vqchaos.checks.rotation import Rotation
from vqchaos.experiment.model import Experiment
from vqchaos.history.events import Event, RouterReplica


class RotationWatch:
    """Grows with the history. Asks nothing where no check ``rotation`` wants replicas ``back``."""

    def __init__(self, experiment: Experiment) -> None:
        self._asked = any(
            isinstance(check, Rotation) and check.back is not None for check in experiment.checks
        )
        self._up: dict[str, bool | None] = {}

    def add(self, event: Event) -> None:
        """One more event, in the order of the history."""
        if isinstance(event, RouterReplica):
            self._up[event.replica] = event.up

    def whole(self) -> bool:
        """No replica is out that somebody waits for. A router without a word is not waited for."""
        return not self._asked or False not in self._up.values()
