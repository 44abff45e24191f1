"""The container probe on a real daemon: whose events are the stack's."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import pytest

from tests.live.compose_like import Project
from tests.probes.test_containers import Seen
from vqchaos.history.events import ContainerEvent, ProcessStarted
from vqchaos.probes.containers import ContainerWatch
from vqchaos.stack.docker.address import host
from vqchaos.stack.protocols import DockerSource

pytestmark = [
    pytest.mark.docker,
    pytest.mark.timeout(120),
    pytest.mark.usefixtures("sockets_of_docker_py"),
]


def test_a_compose_run_is_no_replica_and_each_event_says_which_one_it_is(project: Project) -> None:
    first, second = project.add(number=3), project.add(number=5)
    project.api.stop(first, timeout=1)
    seen = Seen()

    def of(action: str) -> list[ContainerEvent]:
        return [event for event in seen.of(ContainerEvent) if event.action == action]

    async def go() -> None:
        source = DockerSource(host(), project.name, {"server": "server"})
        watch = ContainerWatch(source, origin=time.monotonic(), emit=seen)
        task = asyncio.create_task(watch.run())
        try:
            await seen.until(lambda: len(seen.of(ProcessStarted)) > 0)
            once = await asyncio.to_thread(project.add, number=5, oneoff=True, restart="no")
            await asyncio.to_thread(project.api.remove_container, once, force=True)
            await asyncio.to_thread(project.api.start, first)
            await asyncio.to_thread(project.api.kill, second)
            await seen.until(lambda: bool(of("start") and of("die")))
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    asyncio.run(go())
    [started], [died] = of("start"), of("die")
    assert (started.container, started.number, started.replica) == (first[:12], 3, 1)
    assert (died.container, died.number, died.replica) == (second[:12], 5, 2)
