from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scripted_server import ScriptedServer
from vqchaos.history.events import Event
from vqchaos.load.workload import ObserverSettings, Workload
from vqchaos.observer.config import ObserverConfig
from vqchaos.observer.link import ObserverLink
from vqchaos.stack.protocols import Endpoints, ProbeSources

SECRET = "sk-verysecret"


class Seen:
    """The events that came, and a way to wait for some."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._changed = threading.Condition()

    def __call__(self, event: Event) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def of(self, kind: type[Event], **fields: Any) -> list[Any]:
        return [
            e
            for e in list(self.events)
            if isinstance(e, kind) and all(getattr(e, k) == v for k, v in fields.items())
        ]

    def wait(self, kind: type[Event], count: int = 1, **fields: Any) -> list[Any]:
        with self._changed:
            enough = self._changed.wait_for(lambda: len(self.of(kind, **fields)) >= count, 15)
        assert enough, (kind, fields, self.events[-5:])
        return self.of(kind, **fields)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(gap=0.002) as running:
        yield running


@pytest.fixture
def seen() -> Seen:
    return Seen()


Make = Callable[..., ObserverLink]


@pytest.fixture
def link(server: ScriptedServer, seen: Seen) -> Iterator[Make]:
    """Makes started links to an observer of the scripted server."""
    made: list[ObserverLink] = []

    def make(
        workload: Workload | None = None,
        golden: Path | None = None,
        events: str | None = None,
        on_event: Callable[[Event], None] = seen,
        direct: str | None = None,
        named: dict[str, str] | None = None,
        router_stats: str | None = None,
    ) -> ObserverLink:
        config = ObserverConfig(
            origin=time.monotonic(),
            endpoints=Endpoints(
                client_url=server.url,
                direct_url=direct or server.url,
                health_url=server.url,
                metrics_url=server.url + "/metrics",
                model="m",
                headers={"Authorization": f"Bearer {SECRET}"},
                replica_header="X-Replica",
                named=named or {},
                router_stats=router_stats,
            ),
            workloads={"clients": workload or Workload(rate=40, max_tokens=8)},
            settings=ObserverSettings.model_validate(
                {"health_interval": "50ms", "pilot_interval": "100ms", "metrics_interval": "200ms"}
            ),
            seed=7,
            golden=golden,
            sources=ProbeSources(events=events),
        )
        assert SECRET not in repr(config)
        out = ObserverLink(config, on_event)
        made.append(out)
        out.start()
        return out

    yield make
    for one in made:
        one.stop(timeout=5)
