"""A server that somebody else runs: endpoints, and a Toxiproxy in front of it if there is one.

vqchaos touches only what the stack file names; each key it lacks is told as what it would unlock.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from vqchaos import __version__
from vqchaos.clock import Clock, RealClock
from vqchaos.errors import CapabilityMissing, UsageError
from vqchaos.stack.config import AttachStackFile
from vqchaos.stack.inventory import Inventory
from vqchaos.stack.local.paths import state_dir_of
from vqchaos.stack.protocols import (
    Capability,
    ContainerControl,
    Endpoints,
    Item,
    ProbeSources,
    ProcessControl,
    ProxyControl,
    ServerControl,
)
from vqchaos.stack.readers import look_at_proxy

_NOT_YET = "not in this version of vqchaos for attached stacks"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


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
        """Raises UsageError if a variable that ``api_key_env`` or ``headers_env`` names is not
        set."""
        file = self.file
        direct = _base(file.direct_url or file.url)
        ca_file = None
        if file.ca_file is not None:
            ca_file = str((self.path.parent / Path(file.ca_file).expanduser()).resolve())
        return Endpoints(
            client_url=_base(file.url),
            direct_url=direct,
            health_url=file.health_url or f"{direct}/health",
            metrics_url=file.metrics_url or f"{direct}/metrics",
            model=file.model,
            headers=self._headers(),
            ca_file=ca_file,
        )

    def _headers(self) -> dict[str, str]:
        headers = {name: self._secret(var, name) for name, var in self.file.headers_env.items()}
        if self.file.api_key_env is not None:
            key = self._secret(self.file.api_key_env, "api_key_env")
            headers["Authorization"] = f"Bearer {key}"
        return headers

    def _secret(self, variable: str, what: str) -> str:
        value = os.environ.get(variable)
        if not value:
            raise UsageError(
                f"{self.path}: {what} names the environment variable {variable}, which is not set",
                hint=f"export {variable}=…",
            )
        return value

    def missing(self) -> Mapping[Capability, str]:
        file = self.file
        lacks = {
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
        if file.proxy_api is None:
            lacks[Capability.PROXY] = (
                "the stack file names no Toxiproxy that clients go through: add `proxy_api` and "
                "`proxy_name`"
            )
        if urlsplit(file.direct_url or file.url).hostname not in _LOOPBACK:
            lacks[Capability.HOST] = "the server is on another machine"
        return lacks

    def _lack(self, capability: Capability) -> CapabilityMissing:
        return CapabilityMissing(f"{self.name}: {capability}: {self.missing()[capability]}")

    @property
    def proxy(self) -> ProxyControl:
        if self.file.proxy_api is None or self.file.proxy_name is None:
            raise self._lack(Capability.PROXY)
        from vqchaos.stack.toxiproxy import ToxiproxyControl  # noqa: PLC0415 (imports requests)

        return ToxiproxyControl(
            # Not `endpoints`: an undo must not need the user's keys.
            self.file.proxy_api.rstrip("/"),
            self.file.proxy_name,
            _base(self.file.url),
        )

    @property
    def processes(self) -> ProcessControl:
        raise self._lack(Capability.PROCESSES)

    @property
    def server(self) -> ServerControl:
        raise self._lack(Capability.STARTUP)

    @property
    def containers(self) -> ContainerControl:
        raise self._lack(Capability.CONTAINERS)

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
            "topology": ["clients", *(["toxiproxy"] if self.file.proxy_api else []), "server"],
        }

    def residue(self) -> list[Item]:
        return []

    def remove_residue(self) -> list[Item]:
        return []

    def inventory(self, before: Inventory | None = None) -> Inventory:
        found = Inventory()
        if Capability.PROXY not in self.missing():
            look_at_proxy(found, self.proxy)
        return found


def _base(url: str) -> str:
    """Without a trailing slash, and without the ``/v1`` that many write by habit."""
    return url.rstrip("/").removesuffix("/v1").rstrip("/")
