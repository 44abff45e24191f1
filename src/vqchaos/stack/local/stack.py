"""The local stack as faults, probes and the runner see it."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from vqchaos import __version__
from vqchaos.clock import Clock, RealClock
from vqchaos.errors import CapabilityMissing, FaultError, StackDown, StackError
from vqchaos.stack.config import LocalStackFile
from vqchaos.stack.container_protocols import ContainerControl
from vqchaos.stack.inventory import Inventory
from vqchaos.stack.local import inventory, residue
from vqchaos.stack.local.control import CleanStart, LocalServer
from vqchaos.stack.local.engine_env import Engine
from vqchaos.stack.local.model import Model, find_model, fingerprint
from vqchaos.stack.local.paths import StackPaths, cache_home
from vqchaos.stack.local.processes import LocalProcesses
from vqchaos.stack.local.state_files import EVENTS, WISH, read_json, write_json
from vqchaos.stack.local.supervisor import PROXY_NAME, Supervisor
from vqchaos.stack.local.toxiproxy_install import version_of
from vqchaos.stack.marked import StandIn
from vqchaos.stack.protocols import (
    Capability,
    Endpoints,
    Item,
    ProbeSources,
    ProxyControl,
    ProxyRef,
)

_SECRET = re.compile(r"(^|_)(KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS?)($|_)", re.IGNORECASE)
_NOT_DOCKERS = "the stack is not Docker's; only one of `kind: docker` has containers"
_ONE_SERVER = "a local stack has one server and no router; its one link is client-router"
_BACK = 10.0  # seconds for a restarted Toxiproxy to have its proxy
TOOLS = "tools.json"  # in the `up` folder: which engine and Toxiproxy `up` found


class LocalStack:
    """Implements ``protocols.Stack`` and, with ``clock``, ``faults.base.World``.

    ``path`` is the stack file's: it decides which stack this is.
    """

    kind = "local"

    def __init__(self, file: LocalStackFile, path: Path, clock: Clock | None = None) -> None:
        self.file = file
        self.path = path.resolve()
        self.clock: Clock = clock or RealClock()
        self.paths = StackPaths.of(file.name, path)
        self.supervisor = Supervisor(self.paths, self.clock)
        self._model: Model | None = None

    @property
    def name(self) -> str:
        return self.file.name

    @property
    def environment(self) -> str:
        return self.file.environment

    @property
    def state_dir(self) -> Path:
        return self.paths.state

    @property
    def model(self) -> Model:
        if self._model is None:
            self._model = find_model(self.file.model, self.path)
        return self._model

    @property
    def endpoints(self) -> Endpoints:
        ports = self.paths.ports()
        direct = f"http://127.0.0.1:{ports.server}"
        return Endpoints(
            client_url=f"http://127.0.0.1:{ports.proxy}",
            direct_url=direct,
            health_url=f"{direct}/health",
            metrics_url=f"{direct}/metrics",
            model=self.file.served_model_name,
        )

    @property
    def proxy_api_url(self) -> str:
        return f"http://127.0.0.1:{self.paths.ports().proxy_api}"

    def missing(self) -> Mapping[Capability, str]:
        lacks = {Capability.CONTAINERS: _NOT_DOCKERS, Capability.REPLICA_LINKS: _ONE_SERVER}
        if self.model.folder is None:
            lacks[Capability.MODEL_FILES] = (
                f"{self.file.model} is not downloaded yet; `vqchaos up` downloads it"
            )
        if self.file.memory_limit is None:
            lacks[Capability.MEMORY_LIMIT] = "the stack file has no memory_limit; set one"
        return lacks

    def links(self) -> list[ProxyRef]:
        return [ProxyRef(PROXY_NAME)]

    def proxy_called(self, name: str) -> ProxyControl:
        if name != PROXY_NAME:
            raise StackError(f"{self.name}: a local stack has one proxy, {PROXY_NAME}; not {name}")
        return self.proxy

    @property
    def proxy(self) -> ProxyControl:
        from vqchaos.stack.toxiproxy import ToxiproxyControl  # noqa: PLC0415 (imports requests)

        def control(restart: Callable[[], None] | None = None) -> ToxiproxyControl:
            url = self.endpoints.client_url
            return ToxiproxyControl(
                self.proxy_api_url, PROXY_NAME, url, restart=restart, gone=self._toxiproxy_is_gone
            )

        def restart() -> None:
            """It comes back with its proxy, on and without toxics (see its -config)."""
            self.supervisor.kill("toxiproxy")
            control().wait_for_proxy(_BACK)

        return control(restart)

    def _toxiproxy_is_gone(self) -> bool:
        """Neither it nor anybody who would start it again runs."""
        return self.supervisor.process() is None and self.supervisor.pid_of("toxiproxy") is None

    @property
    def server(self) -> LocalServer:
        return LocalServer(self.paths, self.clean_start(), self.model.folder, self.clock)

    def server_of(self, replica: int) -> LocalServer:
        if replica != 1:
            raise FaultError(
                f"{self.name}: there is no server {replica}: a local stack has one",
                hint="leave `target` out, or use a stack of `kind: docker` with replicas",
            )
        return self.server

    @property
    def processes(self) -> LocalProcesses:
        # A stack that is down has no processes; those of a ledger entry are gone.
        return LocalProcesses(self.server if self.tools() is not None else None, self.supervisor)

    @property
    def containers(self) -> ContainerControl:
        raise CapabilityMissing(f"{self.name}: {Capability.CONTAINERS}: {_NOT_DOCKERS}")

    def daemon(self) -> None:
        """No stack of containers."""

    def clean_start(self) -> CleanStart:
        """How the stack file wants the server started.

        Raises StackDown before the first ``up``, which finds the engine.
        """
        tools = self.tools()
        if tools is None:
            raise StackDown("the stack is not up", hint="vqchaos up")
        file = self.file
        ports = self.paths.ports()
        arguments = ["--served-model-name", file.served_model_name]
        arguments += ["--host", "127.0.0.1", "--port", str(ports.server), *file.engine.args]
        return CleanStart(
            command=tools["engine"],
            model=self.model.argument,
            arguments=arguments,
            port=ports.server,
            defaults=self._default_env(),
            env=dict(file.engine.env),
            policy=file.restart.policy,
            backoff=file.restart.backoff,
            limit=file.restart.limit,
            memory_limit=file.memory_limit,
        )

    def _default_env(self) -> dict[str, str]:
        """What we set unless the user does. vLLM's own caches go into ours: they make the next
        start faster, and nothing is left in the home folder."""
        cache = cache_home()
        defaults = {
            "VLLM_NO_USAGE_STATS": "1",
            "DO_NOT_TRACK": "1",
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_CACHE_ROOT": str(cache / "vllm"),
            "VLLM_CONFIG_ROOT": str(cache / "vllm"),
            "TORCHINDUCTOR_CACHE_DIR": str(cache / "inductor"),
            "VLLM_LOGGING_COLOR": "0",
            "NO_COLOR": "1",
            "PYTHONUNBUFFERED": "1",
            "TOKENIZERS_PARALLELISM": "false",
        }
        if self.model.local:
            defaults |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
        return defaults

    def tools(self) -> dict[str, Any] | None:
        """Which engine and Toxiproxy the stack runs with, as ``up`` found them."""
        return read_json(self.paths.up / TOOLS)

    def remember_tools(self, engine: Engine, toxiproxy: Path) -> None:
        """Write them down for every later process."""
        data = {
            "engine": list(engine.command),
            "engine_source": engine.source,
            "vllm": engine.version,
            "toxiproxy": str(toxiproxy),
            "toxiproxy_version": version_of(toxiproxy),
        }
        write_json(self.paths.up / TOOLS, data)

    def stand_ins(self) -> Sequence[StandIn]:
        return ()

    def probe_sources(self) -> ProbeSources:
        return ProbeSources(events=str(self.paths.up / EVENTS))

    def describe(self) -> dict[str, object]:
        tools = self.tools() or {}
        wish = read_json(self.paths.up / WISH) or {}
        folder = self.model.folder
        return {
            "name": self.name,
            "kind": self.kind,
            "environment": self.environment,
            "model": self.file.model,
            "served_model_name": self.file.served_model_name,
            "model_fingerprint": None if folder is None else fingerprint(folder),
            "versions": {
                "vqchaos": __version__,
                "vllm": tools.get("vllm") or self._served_version(),
                "toxiproxy": tools.get("toxiproxy_version"),
                "python": platform.python_version(),
            },
            "engine": {
                "source": tools.get("engine_source"),
                "argv": without_secrets(wish.get("argv", [])),
                "env": {name: _redacted(name, value) for name, value in self._env().items()},
            },
            "host": {
                "cores": len(os.sched_getaffinity(0)),
                "memory": psutil.virtual_memory().total,
                "kernel": platform.release(),
                "machine": platform.machine(),
            },
            "restart": self.file.restart.model_dump(),
            "memory_limit": self.file.memory_limit,
            "topology": ["clients", "toxiproxy", "vllm"],
        }

    def _served_version(self) -> str | None:
        """Of an engine that is the user's own: what the server says, if it serves."""
        import httpx  # noqa: PLC0415 (slow to import, and rarely asked)

        try:
            answer = httpx.get(f"{self.endpoints.direct_url}/version", timeout=5, trust_env=False)
            return str(answer.json()["version"])[:100]
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return None

    def _env(self) -> dict[str, str]:
        return {**self._default_env(), **self.file.engine.env}

    def keep_logs(self, run: Path, since: float, redact: Callable[[str], str]) -> list[str]:
        return []

    def residue(self) -> list[Item]:
        return residue.items(residue.find(self.paths))

    def remove_residue(self) -> list[Item]:
        residue.remove(self.paths, residue.find(self.paths), self.clock)
        return self.residue()

    def inventory(self, before: Inventory | None = None) -> Inventory:
        up = self.tools() is not None  # else there is neither a server nor a Toxiproxy
        return inventory.take(
            self.paths,
            self.model.folder,
            self.links(),
            self.proxy_called,
            self.processes if up else None,
            self.server if up else None,
            self.supervisor,
            before,
        )


def without_secrets(words: Sequence[str]) -> list[str]:
    """A command line whose options that are named like secrets have no values."""
    found: list[str] = []
    for word in words:
        option, equals, _ = word.partition("=")
        before = found[-1] if found else ""
        if equals and option.startswith("-") and _is_secret(option):
            found.append(f"{option}=(redacted)")
        elif before.startswith("-") and "=" not in before and _is_secret(before):
            found.append("(redacted)")
        else:
            found.append(word)
    return found


def _is_secret(option: str) -> bool:
    return _SECRET.search(option.lstrip("-").replace("-", "_").upper()) is not None


def _redacted(name: str, value: str) -> str:
    return "(redacted)" if _SECRET.search(name) else value
