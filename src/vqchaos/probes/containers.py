"""What Docker says of the stack's containers while the run goes on: started, died, out of memory,
paused, healthy or not. Health-check execs, which flood Docker's stream, are left out.

A daemon that goes away is a word in the history and asked again until it is back; what happened
meanwhile is caught up with, since Docker keeps its latest events.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from vqchaos.history.events import ContainerEvent, Note, ProcessExited, ProcessStarted
from vqchaos.probes.protocols import Emit
from vqchaos.stack.docker.facts import NUMBER, PROJECT, SERVICE, moment
from vqchaos.stack.docker.places import ours, places
from vqchaos.stack.protocols import DockerSource

ACTIONS = frozenset(
    {
        *("create", "start", "die", "restart", "destroy"),
        *("oom", "kill", "stop", "pause", "unpause", "health_status"),
    }
)
_AGAIN = 0.5  # seconds between two tries to reach the daemon
_ANSWER = 10.0


class ContainerWatch:
    """Emits ContainerEvent for each of ``ACTIONS``, and ProcessStarted and ProcessExited for a
    container's first process. ``origin``: raw monotonic t = 0."""

    def __init__(self, source: DockerSource, *, origin: float, emit: Emit) -> None:
        self._source = source
        self._origin = origin
        self._emit = emit
        self._running: dict[str, int] = {}  # container id → PID of its first process
        self._replicas: dict[tuple[str, int], int] = {}  # service and number → replica
        self._since = 0.0  # wall time of the last event
        self._lost = False

    async def run(self) -> None:
        """Until cancelled; over ssh, which is docker-py's alone, at once over."""
        if self._source.host.startswith("ssh://"):
            text = (
                "Docker's events are not followed over ssh: what happened to the containers is not "
                "in this history, and their restarts cannot be counted"
            )
            self._emit(Note(t=self._now(), text=text, source="docker"))
            return
        while True:
            try:
                async with self._session() as session:
                    await self._follow(session)
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                self._say_lost(error)
            await asyncio.sleep(_AGAIN)

    async def _follow(self, session: aiohttp.ClientSession) -> None:
        since = self._since or time.time()
        filters = {"label": [f"{PROJECT}={self._source.project}"], "type": ["container"]}
        query = {"filters": json.dumps(filters), "since": f"{since:.9f}"}
        async with session.get("/events", params=query) as answer:
            answer.raise_for_status()
            # After the stream is open: nothing falls between what is there and what happens.
            await self._look(session)
            if self._lost:
                self._lost = False
                self._emit(Note(t=self._now(), text="Docker answers again", source="docker"))
            async for line in answer.content:
                if line.strip():
                    await self._happened(session, json.loads(line))

    # ------------------------------------------------------------ what is there

    async def _look(self, session: aiohttp.ClientSession) -> None:
        """The containers that run: each is a start for the history, once."""
        filters = {"label": [f"{PROJECT}={self._source.project}"]}
        query = {"filters": json.dumps(filters), "all": "1"}  # one that is down is a replica too
        async with session.get("/containers/json", params=query) as answer:
            answer.raise_for_status()
            listed = await answer.json()
        self._count(listed)
        for item in listed:
            role = self._role(item["Labels"])
            ended = item.get("State") in ("created", "exited", "dead")
            if role is not None and not ended and item["Id"] not in self._running:
                await self._started(session, item["Id"], role, self._now())

    def _count(self, listed: Sequence[Mapping[str, Any]]) -> None:
        """Which replica is whose, as it was seen first: one that is made anew is the same."""
        for role in dict.fromkeys(self._source.roles.values()):
            services = [name for name, plays in self._source.roles.items() if plays == role]
            for place in places(listed, role, services):
                self._replicas.setdefault((place.now.service, place.number), place.replica)

    def _role(self, labels: Mapping[str, str]) -> str | None:
        """None for strangers, and for what somebody runs once of a service (`compose run`)."""
        return self._source.roles.get(labels.get(SERVICE, "")) if ours(labels) else None

    async def _started(
        self, session: aiohttp.ClientSession, container: str, role: str, t: float
    ) -> None:
        async with session.get(f"/containers/{container}/json") as answer:
            if answer.status == 404:
                return  # it went while we looked
            answer.raise_for_status()
            state = (await answer.json())["State"]
        if not state.get("Running"):
            return
        pid = int(state.get("Pid") or 0)
        self._running[container] = pid
        self._emit(
            ProcessStarted(
                t=t,
                role=role,
                pid=pid,
                start_time=moment(state["StartedAt"]) or 0.0,
                title=container[:12],
                source="docker",
            )
        )

    # ------------------------------------------------------------ what happens

    async def _happened(self, session: aiohttp.ClientSession, event: Mapping[str, Any]) -> None:
        action, _, word = str(event.get("Action", "")).partition(": ")
        actor = event.get("Actor") or {}
        facts = actor.get("Attributes") or {}
        container, service = str(actor.get("ID", "")), str(facts.get(SERVICE, ""))
        number = _whole(facts.get(NUMBER, 1)) or 0
        role = self._role(facts)
        wall = int(event.get("timeNano", 0)) / 1e9
        if wall <= self._since or action not in ACTIONS or role is None:
            return
        self._since = wall
        t = self._moment(wall)
        self._emit(
            ContainerEvent(
                t=t,
                action=action,
                word=word or str(facts.get("signal", "")),
                role=role,
                service=service,
                number=number,
                container=container[:12],
                exit_code=_whole(facts.get("exitCode")),
                replica=self._replicas.get((service, number)),
            )
        )
        if action == "start":
            await self._started(session, container, role, t)
        elif action == "die":
            pid = self._running.pop(container, 0)
            code = _whole(facts.get("exitCode"))
            self._emit(ProcessExited(t=t, role=role, pid=pid, exit_code=code, source="docker"))

    # ------------------------------------------------------------ inside

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[aiohttp.ClientSession]:
        host = self._source.host
        if host.startswith("unix://"):
            connector: aiohttp.BaseConnector = aiohttp.UnixConnector(host.removeprefix("unix://"))
            base = "http://docker"
        else:
            tls = self._tls()
            connector = aiohttp.TCPConnector(ssl=True if tls is None else tls)
            base = host.replace("tcp://", "http://" if tls is None else "https://", 1)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_ANSWER)
        async with aiohttp.ClientSession(base, connector=connector, timeout=timeout) as session:
            yield session

    def _tls(self) -> ssl.SSLContext | None:
        """As docker-py does it. Raises OSError if a file is not there or no certificate."""
        if not self._source.certs:
            return None
        folder = Path(self._source.certs)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts that folder's alone
        if self._source.verify:
            context.load_verify_locations(folder / "ca.pem")
        else:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        return context

    def _say_lost(self, error: Exception) -> None:
        if not self._lost:
            self._lost = True
            why = str(error) or type(error).__name__
            text = f"Docker does not answer: {why}; asked again until it does"
            self._emit(Note(t=self._now(), text=text, source="docker"))
        # A daemon that comes back may have given every container another process.
        self._running.clear()

    def _now(self) -> float:
        return time.monotonic() - self._origin

    def _moment(self, wall: float) -> float:
        """The daemon's wall time on the run's scale; never in the future or before the run."""
        now = self._now()
        return min(now, max(0.0, now - (time.time() - wall)))


def _whole(text: object) -> int | None:
    try:
        return int(str(text))
    except ValueError:
        return None
