"""A whole stack for runner tests: faults act on a ``FakeWorld``, traffic goes to a scripted
server, and the observer is the real process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fakes import FakeWorld
from tests.scripted_server import ScriptedServer
from vqchaos.clock import ManualClock, RealClock
from vqchaos.experiment.model import Experiment
from vqchaos.history.events import Event
from vqchaos.runner.interrupts import Interrupts
from vqchaos.runner.progress import Snapshot
from vqchaos.runner.sets import Planned, SetOptions, SetResult, SetRunner
from vqchaos.stack.container_protocols import ContainerControl, DaemonRef
from vqchaos.stack.inventory import Inventory, Thing
from vqchaos.stack.marked import StandIn
from vqchaos.stack.protocols import (
    Capability,
    Endpoints,
    Item,
    ProbeSources,
    ProcessControl,
    ProxyControl,
    ProxyRef,
    ServerControl,
)
from vqchaos.stack.readers import look_at_files, look_at_proxies

QUICK = {
    "warmup": "100ms",
    "baseline": "1200ms",
    "fault": "400ms",
    "recovery": "5s",
    "settle": "100ms",
}


@dataclass
class FakeStack:
    """Implements ``protocols.Stack``."""

    folder: Path
    http: ScriptedServer
    world: FakeWorld
    lacks: dict[Capability, str] = field(default_factory=dict)
    environment: str = "test"
    left: list[Item] = field(default_factory=list)
    things: list[Thing] = field(default_factory=list)  # whatever else must be as before
    keeps_logs: Callable[[Path, float, Callable[[str], str]], list[str]] = lambda *_: []
    headers: dict[str, str] = field(default_factory=dict)
    name: str = "fake"
    kind: str = "local"

    @property
    def clock(self) -> ManualClock:
        return self.world.clock

    @property
    def state_dir(self) -> Path:
        return self.folder / "state"

    @property
    def endpoints(self) -> Endpoints:
        url = self.http.url
        links = (url, url, f"{url}/health", f"{url}/metrics")
        return Endpoints(*links, "qwen3", headers=self.headers)

    def missing(self) -> Mapping[Capability, str]:
        return self.lacks

    def links(self) -> list[ProxyRef]:
        return self.world.links()

    def proxy_called(self, name: str) -> ProxyControl:
        return self.world.proxy_called(name)

    @property
    def proxy(self) -> ProxyControl:
        return self.world.proxy

    @property
    def processes(self) -> ProcessControl:
        return self.world.processes

    @property
    def server(self) -> ServerControl:
        return self.world.server

    def server_of(self, replica: int) -> ServerControl:
        return self.world.server_of(replica)

    @property
    def containers(self) -> ContainerControl:
        return self.world.containers

    def stand_ins(self) -> list[StandIn]:
        servers = (self.world.server, *self.world.others.values())
        return [found for server in servers for found in server.stand_ins()]

    def daemon(self) -> DaemonRef | None:
        return self.world.daemon()

    def probe_sources(self) -> ProbeSources:
        return ProbeSources()

    def describe(self) -> dict[str, object]:
        return {"name": self.name}

    def keep_logs(self, run: Path, since: float, redact: Callable[[str], str]) -> list[str]:
        return self.keeps_logs(run, since, redact)

    def residue(self) -> list[Item]:
        return list(self.left)

    def remove_residue(self) -> list[Item]:
        self.left.clear()
        return []

    def inventory(self, before: Inventory | None = None) -> Inventory:
        found = Inventory()
        look_at_files(found, self.world.folder / "model", before)
        if Capability.PROXY not in self.lacks:
            look_at_proxies(found, self.links(), self.proxy_called)
        for kind in sorted({thing.kind for thing in self.things}):
            found.add(kind, [thing for thing in self.things if thing.kind == kind])
        return found


class Talk:
    """Progress that keeps what was said, and calls ``on_phase``."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.phases: list[str] = []
        self.ticks = 0

    def run_started(self, experiment: str, title: str, number: int, of: int) -> None:
        self.lines.append(f"{number}/{of} {experiment}")

    def phase(self, name: str, limit: float | None, t: float) -> None:
        self.phases.append(name)

    def said(self, text: str, t: float | None = None) -> None:
        self.lines.append(text)

    def tick(self, snapshot: Snapshot) -> None:
        self.ticks += 1

    def run_ended(self, verdict: dict[str, Any], folder: Path) -> None:
        self.lines.append(verdict["verdict"])


@dataclass
class Lab:
    """A stack and what a test runs on it."""

    stack: FakeStack
    out: Path
    talk: Talk = field(default_factory=Talk)
    interrupts: Interrupts = field(default_factory=Interrupts)

    def experiment(self, *faults: dict[str, Any], **more: Any) -> Experiment:
        return Experiment.model_validate(
            {
                "version": 1,
                "name": "trial",
                "seed": 7,
                "workload": {"rate": 40, "arrivals": "constant", "max_tokens": 4, "deadline": "2s"},
                "phases": QUICK,
                "recovered": {"for": "300ms", "successes": 5, "slowdown": 50.0},
                "faults": list(faults),
                "canary": {"enabled": False},
                "observer": {"max_lag": "5s"},
                **more,
            }
        )

    def run(self, *experiments: Experiment, **options: Any) -> SetResult:
        planned = [Planned(e, Path(f"{e.name}.yaml"), named=True) for e in experiments]
        return self.runner(**options).run(planned)

    def runner(self, **options: Any) -> SetRunner:
        return SetRunner(
            self.stack,
            RealClock(),
            self.talk,
            self.interrupts,
            SetOptions(out=self.out, **options),
        )


def events_of(kind: type[Event], events: Sequence[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, kind)]
