"""A server that somebody else runs: endpoints, and a Toxiproxy in front of it if there is one.

vqchaos touches only what the stack file names; each key it lacks is told as what it would unlock.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from vqchaos import __version__
from vqchaos.clock import Clock, RealClock
from vqchaos.errors import CapabilityMissing
from vqchaos.stack import reach
from vqchaos.stack.config import AttachStackFile
from vqchaos.stack.container_protocols import ContainerControl
from vqchaos.stack.inventory import Inventory
from vqchaos.stack.local.paths import state_dir_of
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
from vqchaos.stack.readers import look_at_proxies

_NOT_YET = "not in this version of vqchaos for attached stacks"


class AttachStack:
    """Implements ``protocols.Stack`` and, with ``clock``, ``faults.base.World``."""

    kind = "attach"

    def __init__(self, file: AttachStackFile, path: Path, clock: Clock | None = None) -> None:
        self.file = file
        self.path = path
        self.clock: Clock = clock or RealClock()

    @property
    def name(self) -> str:
        return self.file.name

    @property
    def environment(self) -> str:
        return self.file.environment

    @property
    def state_dir(self) -> Path:
        return state_dir_of(self.file.name, self.file.url)

    @property
    def endpoints(self) -> Endpoints:
        return reach.endpoints(self.file, self.path)

    def missing(self) -> Mapping[Capability, str]:
        file = self.file
        lacks = {
            **reach.lacks(self.file),
            Capability.CONTAINERS: "an attached stack names no containers; `kind: docker` does",
            Capability.MODEL_FILES: _NOT_YET,
            Capability.MEMORY_LIMIT: "nothing that vqchaos controls limits this server's memory",
            Capability.STARTUP: f"`restart_command` is {_NOT_YET}"
            if file.restart_command
            else "the stack file has no `restart_command`",
            Capability.PROCESSES: f"`process` is {_NOT_YET}"
            if file.process
            else "the stack file has no `process`",
        }
        if not reach.is_here(file.direct_url or file.url):
            lacks[Capability.HOST] = "the server is on another machine"
        return lacks

    def _lack(self, capability: Capability) -> CapabilityMissing:
        return CapabilityMissing(f"{self.name}: {capability}: {self.missing()[capability]}")

    def links(self) -> list[ProxyRef]:
        return reach.links(self.file)

    @property
    def proxy(self) -> ProxyControl:
        return self._toxiproxy()

    def proxy_called(self, name: str) -> ProxyControl:
        return self._toxiproxy(name)

    def _toxiproxy(self, name: str | None = None) -> ProxyControl:
        control = reach.toxiproxy(self.file, name)
        if control is None:
            raise self._lack(Capability.PROXY)
        return control

    @property
    def processes(self) -> ProcessControl:
        raise self._lack(Capability.PROCESSES)

    @property
    def server(self) -> ServerControl:
        raise self._lack(Capability.STARTUP)

    def server_of(self, replica: int) -> ServerControl:
        raise self._lack(Capability.STARTUP)

    @property
    def containers(self) -> ContainerControl:
        raise self._lack(Capability.CONTAINERS)

    def stand_ins(self) -> Sequence[StandIn]:
        return ()

    def daemon(self) -> None:
        """No stack of containers."""

    def probe_sources(self) -> ProbeSources:
        return ProbeSources()

    def describe(self) -> dict[str, object]:
        return {
            "name": self.name,
            "kind": self.kind,
            "environment": self.environment,
            "model": self.file.model,
            "url": self.file.url,
            "versions": {"vqchaos": __version__, "python": platform.python_version()},
            "links": reach.topology(self.links()),
            "topology": ["clients", *(["toxiproxy"] if self.file.proxy_api else []), "server"],
        }

    def keep_logs(self, run: Path, since: float, redact: Callable[[str], str]) -> list[str]:
        return []

    def residue(self) -> list[Item]:
        return []

    def remove_residue(self) -> list[Item]:
        return []

    def inventory(self, before: Inventory | None = None) -> Inventory:
        found = Inventory()
        if Capability.PROXY not in self.missing():
            look_at_proxies(found, self.links(), self.proxy_called)
        return found
