"""The container probe against a small Docker API on a socket of the test's own."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from tests.certificates import Certificates
from vqchaos.history.events import ContainerEvent, Event, Note, ProcessExited, ProcessStarted
from vqchaos.probes.containers import ContainerWatch
from vqchaos.stack.protocols import DockerSource

ROLES = {"server-1": "server", "toxiproxy": "proxy"}


class FakeDocker:
    """``running``: id → (service, PID). ``says`` puts an event on every open stream."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.running: dict[str, tuple[str, int]] = {}
        self.labels: dict[str, dict[str, str]] = {}  # more of them, by id
        self.states: dict[str, str] = {}
        self.streams: list[asyncio.Queue[dict[str, Any] | None]] = []
        self.queries: list[dict[str, str]] = []
        self.runner: web.AppRunner | None = None
        self.tls: ssl.SSLContext | None = None  # over TCP, then
        self.port = 0

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/events", self._events)
        app.router.add_get("/containers/json", self._list)
        app.router.add_get("/containers/{id}/json", self._inspect)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self.runner.setup()
        if self.tls is None:
            await web.UnixSite(self.runner, str(self.path)).start()
            return
        site = web.TCPSite(self.runner, "127.0.0.1", 0, ssl_context=self.tls)
        await site.start()
        self.port = int(self.runner.addresses[0][1])

    async def stop(self) -> None:
        assert self.runner is not None
        for stream in self.streams:
            stream.put_nowait(None)
        self.streams.clear()
        await self.runner.cleanup()
        self.path.unlink(missing_ok=True)

    def says(self, action: str, container: str, service: str, **attributes: str) -> None:
        labels = {
            "com.docker.compose.service": service,
            "com.docker.compose.container-number": "1",
        }
        labels |= self.labels.get(container, {})
        event = {
            "Action": action,
            "Actor": {"ID": container, "Attributes": {**labels, **attributes}},
            "timeNano": time.time_ns(),
        }
        for stream in self.streams:
            stream.put_nowait(event)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        self.queries.append(dict(request.query))
        answer = web.StreamResponse()
        await answer.prepare(request)
        mine: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.streams.append(mine)
        while (event := await mine.get()) is not None:
            await answer.write(json.dumps(event).encode() + b"\n")
        return answer

    async def _list(self, _request: web.Request) -> web.Response:
        return web.json_response(
            [
                {
                    "Id": key,
                    "Labels": {"com.docker.compose.service": service, **self.labels.get(key, {})},
                    "State": self.states.get(key, "running"),
                }
                for key, (service, _) in self.running.items()
            ]
        )

    async def _inspect(self, request: web.Request) -> web.Response:
        found = self.running.get(request.match_info["id"])
        if found is None:
            return web.json_response({"message": "No such container"}, status=404)
        state = {"Running": True, "Pid": found[1], "StartedAt": "2026-11-01T10:00:00.123456789Z"}
        return web.json_response({"State": state})


class Seen:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self._more = asyncio.Event()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self._more.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self._more.clear()
                await self._more.wait()

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@asynccontextmanager
async def watching(docker: FakeDocker, source: DockerSource | None = None) -> AsyncIterator[Seen]:
    seen = Seen()
    source = source or DockerSource(f"unix://{docker.path}", "vqchaos", ROLES)
    watch = ContainerWatch(source, origin=time.monotonic(), emit=seen)
    task = asyncio.create_task(watch.run())
    try:
        yield seen
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def docker(tmp_path: Path) -> FakeDocker:
    return FakeDocker(tmp_path / "docker.sock")


def test_a_kill_and_the_restart_are_seen_with_codes_and_pids(docker: FakeDocker) -> None:
    async def go() -> None:
        docker.running = {"a" * 64: ("server-1", 100), "b" * 64: ("strange", 7)}
        await docker.start()
        async with watching(docker) as seen:
            await seen.until(lambda: len(seen.of(ProcessStarted)) == 1)
            docker.says("exec_create: curl /health", "a" * 64, "server-1")
            docker.says("oom", "a" * 64, "server-1")
            docker.says("die", "a" * 64, "server-1", exitCode="137")
            docker.running["a" * 64] = ("server-1", 101)
            docker.says("start", "a" * 64, "server-1")
            docker.says("health_status: healthy", "a" * 64, "server-1")
            docker.says("die", "b" * 64, "strange", exitCode="0")
            await seen.until(lambda: len(seen.of(ContainerEvent)) == 4)
        said = [(e.action, e.word, e.exit_code) for e in seen.of(ContainerEvent)]
        assert said == [
            ("oom", "", None),
            ("die", "", 137),
            ("start", "", None),
            ("health_status", "healthy", None),
        ]
        assert [e.pid for e in seen.of(ProcessStarted)] == [100, 101]
        [gone] = seen.of(ProcessExited)
        assert (gone.role, gone.pid, gone.exit_code, gone.source) == ("server", 100, 137, "docker")
        assert all(event.t >= 0 for event in seen.events)
        await docker.stop()

    asyncio.run(go())


def numbered(number: int, **more: str) -> dict[str, str]:
    return {"com.docker.compose.container-number": str(number), **more}


def test_only_a_services_own_containers_and_ours_in_their_place_are_the_stacks(
    docker: FakeDocker,
) -> None:
    """Not what somebody runs once of a service: a `docker compose run` in mid-run is no restart."""
    once = {"com.docker.compose.oneoff": "True"}
    docker.labels = {
        "own": numbered(1, **{"com.docker.compose.oneoff": "False"}),
        "ours": numbered(1, **once, **{"io.vqchaos.stands-for": "own"}),
        "theirs": numbered(1, **once),
    }
    docker.running = {name: ("server-1", n) for n, name in enumerate(docker.labels, 1)}

    async def go() -> None:
        await docker.start()
        async with watching(docker) as seen:
            await seen.until(lambda: len(seen.of(ProcessStarted)) == 2)
            for name in ("theirs", "ours", "own"):
                docker.says("die", name, "server-1", exitCode="0")
            await seen.until(lambda: len(seen.of(ContainerEvent)) == 2)
        assert [e.container for e in seen.of(ContainerEvent)] == ["ours", "own"]
        assert [e.pid for e in seen.of(ProcessExited)] == [2, 1]
        await docker.stop()

    asyncio.run(go())


def test_each_event_says_which_replica_it_is_also_of_one_that_was_down(docker: FakeDocker) -> None:
    docker.running = {"b": ("server-1", 2), "a": ("server-1", 1), "c": ("toxiproxy", 3)}
    numbers = {"a": 4, "b": 7, "anew": 7, "more": 9, "c": 1}
    docker.labels = {name: numbered(number) for name, number in numbers.items()}
    docker.states = {"a": "exited"}

    async def go() -> None:
        await docker.start()
        async with watching(docker) as seen:
            await seen.until(lambda: len(seen.of(ProcessStarted)) == 2)
            docker.says("start", "a", "server-1")
            docker.says("die", "b", "server-1")
            docker.says("create", "anew", "server-1")
            docker.says("create", "more", "server-1")
            docker.says("die", "c", "toxiproxy")
            await seen.until(lambda: len(seen.of(ContainerEvent)) == 5)
        found = [(e.container, e.number, e.replica) for e in seen.of(ContainerEvent)]
        assert found[:2] == [("a", 4, 1), ("b", 7, 2)]
        assert found[2:] == [("anew", 7, 2), ("more", 9, None), ("c", 1, 1)]
        await docker.stop()

    asyncio.run(go())


def test_a_daemon_that_restarts_is_said_and_asked_for_what_was_missed(docker: FakeDocker) -> None:
    async def go() -> None:
        docker.running = {"a" * 64: ("server-1", 100)}
        await docker.start()
        async with watching(docker) as seen:
            docker.running["a" * 64] = ("server-1", 100)
            await seen.until(lambda: len(seen.of(ProcessStarted)) == 1)
            docker.says("pause", "a" * 64, "server-1")
            await seen.until(lambda: len(seen.of(ContainerEvent)) == 1)
            await docker.stop()
            await seen.until(lambda: len(seen.of(Note)) == 1)
            docker.running["a" * 64] = ("server-1", 200)
            await docker.start()
            await seen.until(lambda: len(seen.of(Note)) == 2)
        lost, back = seen.of(Note)
        assert "does not answer" in lost.text
        assert back.text == "Docker answers again"
        assert [e.pid for e in seen.of(ProcessStarted)] == [100, 200]
        first, again = docker.queries[0], docker.queries[-1]
        assert float(again["since"]) > float(first["since"])
        assert json.loads(again["filters"])["label"] == ["com.docker.compose.project=vqchaos"]
        await docker.stop()

    asyncio.run(go())


def test_no_daemon_at_all_is_one_word(docker: FakeDocker) -> None:
    async def go() -> None:
        async with watching(docker) as seen:
            await seen.until(lambda: bool(seen.of(Note)))
        assert len(seen.events) == 1

    asyncio.run(go())


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "certs")


@pytest.mark.parametrize(
    ("name", "verify"), [("127.0.0.1", True), ("127.0.0.1", False), ("other.example", False)]
)
def test_events_over_tls(
    docker: FakeDocker, certificates: Certificates, name: str, verify: bool
) -> None:
    async def go() -> None:
        docker.tls = certificates.daemon(name)
        docker.running = {"a" * 64: ("server-1", 100)}
        await docker.start()
        host, certs = f"tcp://127.0.0.1:{docker.port}", str(certificates.folder)
        source = DockerSource(host, "vqchaos", ROLES, certs, verify)
        async with watching(docker, source) as seen:
            await seen.until(lambda: len(seen.of(ProcessStarted)) == 1)
            docker.says("oom", "a" * 64, "server-1")
            await seen.until(lambda: len(seen.of(ContainerEvent)) == 1)
        assert seen.of(Note) == []
        await docker.stop()

    asyncio.run(go())


@pytest.mark.parametrize("wrong", ["name", "authority", "no files"])
def test_a_daemon_that_is_not_trusted_is_one_word(
    docker: FakeDocker, certificates: Certificates, wrong: str, tmp_path: Path
) -> None:
    async def go() -> None:
        docker.tls = certificates.daemon("other.example" if wrong == "name" else "127.0.0.1")
        docker.running = {"a" * 64: ("server-1", 100)}
        await docker.start()
        folder = certificates.folder
        if wrong == "authority":
            trustme.CA().cert_pem.write_to_path(folder / "ca.pem")
        elif wrong == "no files":
            folder = tmp_path
        source = DockerSource(f"tcp://127.0.0.1:{docker.port}", "vqchaos", ROLES, str(folder), True)
        async with watching(docker, source) as seen:
            await seen.until(lambda: bool(seen.of(Note)))
        [note] = seen.events
        assert isinstance(note, Note)
        assert ("No such file" if wrong == "no files" else "CERTIFICATE_VERIFY_FAILED") in note.text
        await docker.stop()

    asyncio.run(go())


def test_over_ssh_it_says_that_nothing_is_followed(docker: FakeDocker) -> None:
    """And ends: nothing is asked again and again. The check `restarts` is unknown then."""
    seen = Seen()
    source = DockerSource("ssh://user@far.example", "vqchaos", ROLES)
    asyncio.run(ContainerWatch(source, origin=time.monotonic(), emit=seen).run())
    [note] = seen.events
    assert isinstance(note, Note)
    assert "not followed over ssh" in note.text
