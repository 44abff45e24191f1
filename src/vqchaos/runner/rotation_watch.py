"""Has the router everybody back? The recovery phase goes on until then, for a check that asks."""

from __future__ import annotations

from vqchaos.checks.rotation import Rotation
from vqchaos.experiment.model import Experiment
from vqchaos.history.events import Event, FaultInjected, RouterReplica


class RotationWatch:
    """Grows with the history. Asks nothing where no check ``rotation`` wants replicas ``back``; a
    replica that was out before anything was injected is not waited for, as nothing here put it
    there, until it was in once."""

    def __init__(self, experiment: Experiment) -> None:
        self._asked = any(
            isinstance(check, Rotation) and check.back is not None for check in experiment.checks
        )
        self._up: dict[str, bool | None] = {}
        self._waited_for: set[str] = set()
        self._injected = False

    def add(self, event: Event) -> None:
        """One more event, in the order of the history."""
        if isinstance(event, FaultInjected) and not self._injected:
            self._injected = True
            self._waited_for -= self._out()
        elif isinstance(event, RouterReplica):
            if event.up:
                self._waited_for.add(event.replica)
            self._up[event.replica] = event.up

    def whole(self) -> bool:
        """No replica is out that somebody waits for. A router without a word is not waited for."""
        return not self._asked or not self._out() & self._waited_for

    def _out(self) -> set[str]:
        return {replica for replica, up in self._up.items() if up is False}
