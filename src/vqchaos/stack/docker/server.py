"""One server's container, stopped and started otherwise: for the faults of a start.

A container cannot be changed. Its start with a fault is another container, made like it, that
stands in for it meanwhile; a clean start removes that and starts the own one again. Nothing is
remembered but by Docker itself: the one that stands in says by its labels in whose place it is
(Compose's service and number) and whose fault made it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vqchaos.clock import Clock, wait_until
from vqchaos.errors import CapabilityMissing, StackError
from vqchaos.stack.container_protocols import ContainerRef
from vqchaos.stack.container_stops import MARGIN, let_end
from vqchaos.stack.docker import facts, sibling
from vqchaos.stack.docker.client import Docker, Gone, Refused
from vqchaos.stack.docker.containers import DockerContainers
from vqchaos.stack.docker.logs import tail
from vqchaos.stack.docker.places import Place
from vqchaos.stack.marked import StandIn
from vqchaos.stack.protocols import Attempt, StartOverride
from vqchaos.text import clean

_GRACE = 15.0  # seconds between SIGTERM and SIGKILL, as for a local server
_SHOWN = 200  # lines of a log that an attempt carries
_LOG = 20_000  # lines that are looked through for a cause
_EARLY = 0.3


class DockerServer:
    """Implements ``protocols.ServerControl`` for one replica. The daemon must be this machine's: it
    reads folders that faults make."""

    def __init__(
        self, containers: DockerContainers, folder: Path, clock: Clock, replica: int = 1
    ) -> None:
        self._containers = containers
        self._folder = folder
        self._clock = clock
        self._replica = replica
        self._bound: tuple[str, int] | None = None  # service and number, once they were seen

    @property
    def _docker(self) -> Docker:
        return self._containers.daemon

    def own_url(self) -> str | None:
        return sibling.url_of(*self.listens_on())

    def listens_on(self) -> tuple[str, int]:
        return sibling.listens_on(self._inspect(self._own()))

    def model_dir(self) -> Path:
        return sibling.model_dir(self._inspect(self._own()))

    def memory_limit(self) -> int | None:
        return facts.limits(self._inspect(self._own())).memory

    def scratch(self, token: str) -> Path:
        return self._folder / "scratch" / token

    def is_up(self) -> bool:
        """Whether its own container exists, or one of ours that must go."""
        return self._place() is not None

    def stop(self, timeout: float = 30.0) -> None:
        removed = self._remove_stand_ins()
        own = self._found()
        if own is not None or not removed:
            self._containers.stop(own or self._own(), min(timeout, _GRACE))

    def start(self, override: StartOverride, *, restarts: bool = False) -> None:
        own, place = self._own(), self._place()
        info = self._inspect(own)
        if info["State"]["Running"] or (place is not None and place.stand_ins):
            raise StackError(f"{own.name} runs already: stop it first")
        wanted = sibling.body(info, override, restarts=restarts)
        api = self._docker.api
        name = f"{own.name}-vqchaos"
        made = self._docker.call(lambda: api.create_container_from_config(wanted, name), own.name)
        for network in facts.attachments(info)[1:]:
            other = ContainerRef(made["Id"], name, own.role, own.service, own.replica)
            self._containers.connect(other, network)
        try:
            self._docker.call(lambda: api.start(made["Id"]), name)
        except Refused:
            # A port that is taken, for one: Docker keeps its reason with the container, where
            # `attempt` finds it. A start that was refused for another reason is the fault's too.
            if not self._inspect_id(made["Id"], name)["State"]["Error"]:
                raise

    def start_clean(self) -> None:
        removed = self._remove_stand_ins()
        own = self._found()
        if own is None and removed:
            return  # somebody removed the own one: there is nothing more to start
        own = own or self._own()
        let_end(
            lambda: self._containers.state(own).status not in ("running", "paused"),
            lambda: self._containers.signalled(own, _GRACE + MARGIN),
            self._clock,
            _GRACE + MARGIN,
        )
        self._containers.start(own)

    def attempt(self) -> Attempt:
        place = self._place()
        if place is None:
            return Attempt(0, "stopped", clean=True)
        other = place.now if place.stand_ins else None
        try:
            info = self._inspect(place.now)
        except Gone:
            return Attempt(0, "stopped", clean=other is None)
        seen = info["State"]
        # Before the look at the log, so that the last words of one that ended are in it.
        running = seen["Status"] in ("running", "paused")
        refused = seen["Status"] == "created" and bool(seen["Error"])
        state = "running" if running else "waiting" if seen["Status"] == "restarting" else "exited"
        if (seen["Status"] == "created" and not refused) or (other is None and state == "exited"):
            state = "stopped"
        to_run = self._clock.now() - time.time()  # from Docker's wall time to the run's clock
        # A start that Docker refused is over at once.
        started = facts.moment(info["Created"] if refused else seen["StartedAt"])
        ended = None if running or state == "waiting" else facts.moment(seen["FinishedAt"])
        if started is not None and ended is not None:  # Docker takes the two from different clocks
            ended = max(started, ended)
        return Attempt(
            generation=int(info.get("RestartCount") or 0) + 1,
            state=state,  # type: ignore[arg-type] # one of the four
            clean=other is None,
            pid=seen["Pid"] or None,
            started=_shifted(started, to_run),
            ended=_shifted(started if refused else ended, to_run),
            exit_code=None if running else int(seen["ExitCode"]),
            log=self._log(place.now, info, _SHOWN)[-_SHOWN:],
        )

    def attempt_log(self) -> Sequence[str]:
        place = self._place()
        if place is None:
            return []
        try:
            info = self._inspect(place.now)
        except Gone:
            return []
        return self._log(place.now, info, _LOG)

    def _log(self, ref: ContainerRef, info: Any, count: int) -> list[str]:
        """The last lines of the latest start, and Docker's own words about it."""
        # Docker may date the first words before the start itself.
        since = (facts.moment(info["State"]["StartedAt"]) or _EARLY) - _EARLY
        try:
            lines = [clean(line, 2000) for line in tail(self._docker, ref, since, count)]
        except Gone:
            return []
        if self._containers.ooms(ref, since or facts.moment(info["Created"]) or 0.0):
            lines.append("Docker: out of memory, by the container's limit")
        if said := info["State"]["Error"]:
            lines.append(clean(f"Docker: {said}", 2000))
        return lines

    # ------------------------------------------------------------ which containers

    def stand_ins(self) -> list[StandIn]:
        """What stands in for any of the stack's servers."""
        return [
            StandIn(
                name=ref.name,
                mark=mark.name,
                token=mark.token,
                fault=mark.fault,
                replica=place.replica,
                scratch=str(self.scratch(mark.token)),
            )
            for place in self._containers.places("server")
            for ref, listed in place.stand_ins
            if (mark := sibling.mark_of(listed["Labels"])) is not None
        ]

    def _place(self) -> Place | None:
        """Replicas are counted anew at each look: where another one's container was removed in
        between, the same number would be a neighbour. So the first look decides."""
        found = self._containers.places("server")
        if self._bound is None:
            mine = next((place for place in found if place.replica == self._replica), None)
            if mine is not None:
                self._bound = (mine.now.service, mine.number)
            return mine
        return next((p for p in found if (p.now.service, p.number) == self._bound), None)

    def _found(self) -> ContainerRef | None:
        place = self._place()
        return None if place is None else place.own

    def _own(self) -> ContainerRef:
        found = self._found()
        if found is None:
            raise CapabilityMissing(
                f"there is no container of server {self._replica}",
                hint="bring the stack up: `vqchaos up`, or `docker compose up -d`",
            )
        return found

    def _remove_stand_ins(self) -> int:
        """All in this server's place; how many there were."""
        place = self._place()
        found = [] if place is None else [ref for ref, _ in place.stand_ins]
        for ref in found:
            self._remove(ref)
        return len(found)

    def _remove(self, ref: ContainerRef) -> None:
        api = self._docker.api
        with contextlib.suppress(StackError):  # gone, or it will not stop: the removal decides
            self._containers.stop(ref, _GRACE)
        try:
            self._docker.call(lambda: api.remove_container(ref.id, force=True, v=True), ref.name)
        except Gone:
            return
        gone = wait_until(
            lambda: self._containers.state(ref).status == "gone", 10.0, self._clock, every=0.05
        )
        if not gone:
            raise StackError(f"{ref.name} is still there after its removal")

    def _inspect(self, ref: ContainerRef) -> Any:
        return self._inspect_id(ref.id, ref.name)

    def _inspect_id(self, identifier: str, name: str) -> Any:
        return self._docker.call(lambda: self._docker.api.inspect_container(identifier), name)


def _shifted(moment: float | None, by: float) -> float | None:
    return None if moment is None else moment + by
