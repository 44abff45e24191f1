"""Docker's stack: a Compose project, its containers, and a Toxiproxy among them if there is one."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from vqchaos import __version__
from vqchaos.clock import Clock, RealClock
from vqchaos.errors import CapabilityMissing, StackError, UsageError
from vqchaos.stack import reach
from vqchaos.stack.config import DockerStackFile
from vqchaos.stack.container_protocols import ContainerControl, ContainerRef, DaemonRef
from vqchaos.stack.docker.address import Address, of_stack
from vqchaos.stack.docker.containers import DockerContainers
from vqchaos.stack.docker.processes import DockerProcesses
from vqchaos.stack.docker.project import ProjectThings
from vqchaos.stack.inventory import Inventory, Thing
from vqchaos.stack.local.paths import state_dir_of
from vqchaos.stack.marked import StandIn
from vqchaos.stack.protocols import (
    Capability,
    DockerSource,
    Endpoints,
    Item,
    ProbeSources,
    ProcessControl,
    ProxyControl,
    ProxyRef,
    ServerControl,
)
from vqchaos.stack.readers import look_at_proxies

if TYPE_CHECKING:
    from vqchaos.stack.docker.server import DockerServer


class DockerStack:
    """Implements ``protocols.Stack`` and, with ``clock``, ``faults.base.World``."""

    kind = "docker"

    def __init__(self, file: DockerStackFile, path: Path, clock: Clock | None = None) -> None:
        self.file = file
        self.path = path.resolve()
        self.clock: Clock = clock or RealClock()

    @property
    def name(self) -> str:
        return self.file.name

    @property
    def environment(self) -> str:
        """Raises UsageError for a daemon elsewhere that the file says nothing of."""
        if self.file.environment is None and self.remote:
            raise UsageError(
                f"{self.path}: the daemon at {self.address.host} is not of this machine, and the "
                "file does not say what it runs",
                hint="add `environment: test`, staging or production",
            )
        return self.file.environment or "test"

    @property
    def remote(self) -> bool:
        """Is the daemon on another machine?"""
        return not self.address.host.startswith("unix://")

    @cached_property
    def address(self) -> Address:
        """As it was when first asked for: a context that changes meanwhile is another command's.
        Raises UsageError if the stack's file and the environment name different daemons."""
        return of_stack(self.file, self.path)

    @property
    def state_dir(self) -> Path:
        return state_dir_of(self.file.name, str(self.path))

    @property
    def endpoints(self) -> Endpoints:
        return reach.endpoints(self.file, self.path)

    def missing(self) -> Mapping[Capability, str]:
        lacks = dict(reach.lacks(self.file))
        if self.remote:
            where = f"the Docker daemon is on another machine ({self.address.host})"
            lacks[Capability.PROCESSES] = where
            lacks[Capability.STARTUP] = f"{where}, and cannot read what a fault makes here"
            lacks[Capability.MODEL_FILES] = where
            lacks[Capability.MEMORY_LIMIT] = where
            lacks[Capability.HOST] = where
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
    def containers(self) -> ContainerControl:
        return self.docker

    def daemon(self) -> DaemonRef | None:
        return self.docker.identity()

    @cached_property
    def docker(self) -> DockerContainers:
        """One client for the stack's whole life. Raises StackError if there is no daemon."""
        return DockerContainers(self.file.project, self.file.services.by_role(), at=self.address)

    @property
    def processes(self) -> ProcessControl:
        if self.remote:
            raise self._lack(Capability.PROCESSES)
        return DockerProcesses(self.docker)

    @property
    def server(self) -> ServerControl:
        return self.server_of(1)

    def stand_ins(self) -> list[StandIn]:
        return self.server_of(1).stand_ins()

    def server_of(self, replica: int) -> DockerServer:
        if self.remote:
            raise self._lack(Capability.STARTUP)
        from vqchaos.stack.docker.server import DockerServer  # noqa: PLC0415 (imports docker-py)

        return DockerServer(self.docker, self.state_dir, self.clock, replica)

    def probe_sources(self) -> ProbeSources:
        by_role = self.file.services.by_role()
        roles = {service: role for role, services in by_role.items() for service in services}
        at = self.address
        source = DockerSource(at.host, self.file.project, roles, at.certs, at.verify)
        return ProbeSources(docker=source)

    def describe(self) -> dict[str, object]:
        by_role = self.file.services.by_role()
        targets = {
            role: [
                {"service": ref.service, "replica": ref.replica, "id": ref.id[:12]}
                for ref in self.docker.find(role)
            ]
            for role in by_role
        }
        way = ["clients", *(role for role in ("proxy", "router") if role in by_role), "server"]
        return {
            "name": self.name,
            "kind": self.kind,
            "environment": self.environment,
            "model": self.file.model,
            "url": self.file.url,
            "project": self.file.project,
            "containers": targets,
            "versions": {
                "vqchaos": __version__,
                "python": platform.python_version(),
                "docker": self.docker.version(),
            },
            "links": reach.topology(self.links()),
            "topology": way,
        }

    def keep_logs(self, run: Path, since: float, redact: Callable[[str], str]) -> list[str]:
        from vqchaos.stack.docker import logs  # noqa: PLC0415 (imports docker-py)

        roles = self.file.services.by_role()
        return logs.of_run(self.file.project, roles, run, since, redact, self.address)

    def residue(self) -> list[Item]:
        return []  # what a container leaves goes with its cgroup and its namespaces

    def remove_residue(self) -> list[Item]:
        return []

    def leftovers(self) -> list[Item]:
        """Whatever carries the project's label, also what ``down`` leaves alone."""
        ours, others = self.things.look(())
        return ours + others

    @property
    def things(self) -> ProjectThings:
        return ProjectThings(self.docker.daemon, self.file.project)

    def inventory(self, before: Inventory | None = None) -> Inventory:
        found = Inventory()
        if Capability.PROXY not in self.missing():
            look_at_proxies(found, self.links(), self.proxy_called)
        things: dict[str, list[Thing]] = {"container": [], "pause": [], "limit": [], "network": []}
        try:
            for role in self.file.services.by_role():
                for ref in self.docker.find(role):
                    self._look_at(ref, things)
        except StackError as error:
            found.remarks.append(f"containers could not be looked at: {error}")
            return found
        # Nothing is in force on a container that somebody removed: it is as it was.
        there = {thing.name for thing in things["container"]}
        for kind in ("pause", "limit", "network"):
            was = before.of(kind) if before is not None else []
            things[kind] += [t for t in was if t.name.partition(" on ")[0] not in there]
        for kind, items in things.items():
            found.add(kind, items)
        return found

    def _look_at(self, ref: ContainerRef, things: dict[str, list[Thing]]) -> None:
        """A container that does not run is the stack's affair; that it is paused, limited or cut
        off would be ours."""
        control, name = self.docker, ref.name
        status = control.state(ref).status
        runs = status in ("running", "paused")
        things["container"].append(Thing("container", name, "runs" if runs else status, ours=False))
        paused = "yes" if status == "paused" else "no"
        things["pause"].append(Thing("pause", name, paused, ours=True))
        limits = control.limits(ref)
        text = f"memory {limits.memory}, with swap {limits.swap}, CPUs {limits.cpus}"
        things["limit"].append(Thing("limit", name, text, ours=True))
        for place in control.attachments(ref):
            aliases = ", ".join(sorted(place.aliases))
            what = f"{name} on {place.network}"
            things["network"].append(Thing("network", what, f"as {aliases}", ours=True))
