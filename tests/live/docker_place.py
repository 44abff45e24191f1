"""A Docker stack without a model: busybox containers that Compose's labels make a project, a
scripted server for clients to talk to, and a fake Toxiproxy. Faults, ledger, runner, watchdog and
daemon are the real ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.live.compose_like import SERVES, Project, inside
from tests.scripted_server import ScriptedServer
from tests.stack.fake_toxiproxy import FakeToxiproxy
from vqchaos.clock import RealClock
from vqchaos.experiment.files import load_stack
from vqchaos.stack.docker.stack import DockerStack
from vqchaos.stack.opening import open_stack

VQCHAOS = (sys.executable, "-m", "vqchaos")
ROOT = Path(__file__).resolve().parents[2]
MIB = 1024**2
LIMIT = 120.0  # seconds for one command; a hang guard
# Each hits a container of its own. The last is the one that a step with `nth` stops at.
FAULTS: tuple[dict[str, Any], ...] = (
    {"type": "container_kill", "target": {"role": "server", "replica": 1}},
    {"type": "container_memory", "target": {"role": "server", "replica": 2}, "margin": "8MiB"},
    {"type": "container_cpu", "target": {"role": "server", "replica": 3}, "cpus": 0.5},
    {"type": "container_disconnect", "target": {"role": "server", "replica": 4}},
    {"type": "container_pause", "target": {"role": "server", "replica": 5}},
)


@dataclass
class DockerPlace:
    """``folder`` holds the stack's file, its experiments, its state and its runs."""

    folder: Path
    http: ScriptedServer
    toxiproxy: FakeToxiproxy
    project: Project
    host: str  # DOCKER_HOST
    stack_file: Path
    stack: DockerStack

    @property
    def out(self) -> Path:
        return self.folder / "runs"

    @property
    def state(self) -> Path:
        return self.stack.state_dir

    @property
    def env(self) -> dict[str, str]:
        return {
            **os.environ,
            "DOCKER_HOST": self.host,
            "XDG_STATE_HOME": str(self.folder / "state"),
            "PYTHONPATH": str(ROOT / "src"),
        }

    def experiment(self, *faults: Mapping[str, Any], fault: str = "500ms", **more: Any) -> Path:
        """As short as a run can be. A second one of a test replaces the first."""
        data = {
            "version": 1,
            "name": "crash",
            "workload": {"rate": 40, "arrivals": "constant", "max_tokens": 4, "deadline": "2s"},
            "phases": {
                "warmup": "100ms",
                "baseline": "600ms",
                "fault": fault,
                "recovery": "2s",
                "settle": "100ms",
            },
            "steady_state": {"requests": 5},
            "recovered": {"for": "200ms", "successes": 3, "slowdown": 50.0},
            "canary": {"enabled": False},
            "observer": {"max_lag": "5s"},
            "faults": [dict(item) for item in faults],
            "checks": [{"type": "availability", "min": "50%"}],
            **more,
        }
        path = self.folder / "experiment.yaml"
        path.write_text(yaml.safe_dump(data), encoding="utf-8")
        return path

    def words(self, *faults: Mapping[str, Any], **more: Any) -> list[str]:
        return ["run", str(self.experiment(*faults, **more)), "--stack", str(self.stack_file)]

    def call(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """``vqchaos …`` as a user calls it."""
        return subprocess.run(
            [*VQCHAOS, *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT,
            cwd=self.folder,
            env={**self.env, **env},
        )

    def run(self, *faults: Mapping[str, Any], **more: Any) -> subprocess.CompletedProcess[str]:
        return self.call(*self.words(*faults, **more), "--out", str(self.out))

    def last_run(self) -> Path:
        return max(p for p in self.out.iterdir() if (p / "history.jsonl").exists())

    def verdict(self) -> dict[str, Any]:
        text = (self.last_run() / "verdict.json").read_text(encoding="utf-8")
        found: dict[str, Any] = json.loads(text)
        return found

    def notes(self) -> list[str]:
        text = (self.last_run() / "history.jsonl").read_text(encoding="utf-8")
        events = [json.loads(line) for line in text.splitlines()]
        return [event["text"] for event in events if event["type"] == "note"]

    def servers(self, count: int, **options: Any) -> list[str]:
        """So many of the role; their ids."""
        return [self.project.add("server", number, **options) for number in range(1, count + 1)]

    def effects(self) -> list[str]:
        """What of a fault is in force in the world itself."""
        control = self.stack.docker
        found = [f"toxic {t['name']}" for t in self.toxiproxy.proxies["vllm"]["toxics"]]
        for ref in control.find("server"):
            status = control.state(ref).status
            if status != "running":
                found.append(f"{ref.name} is {status}")
            aliases = {alias for place in control.attachments(ref) for alias in place.aliases}
            if not {"server", f"server-{ref.replica}"} <= aliases:
                found.append(f"{ref.name} is known as {sorted(aliases)}")
            limits = control.limits(ref)
            if (limits.memory, limits.swap, limits.cpus) != (64 * MIB, 64 * MIB, 1.0):
                found.append(f"{ref.name} has {limits}")
            if inside(ref, "dd\x00"):
                found.append(f"{ref.name} is being filled")
        return found


@contextmanager
def docker_place(folder: Path, project: Project, host: str) -> Iterator[DockerPlace]:
    """The stack opened here is of ``host`` only if DOCKER_HOST says so too."""
    folder.mkdir(parents=True, exist_ok=True)
    with ScriptedServer() as http, FakeToxiproxy() as toxiproxy:
        toxiproxy.proxies["vllm"] = {
            "name": "vllm",
            "listen": "127.0.0.1:1",
            "upstream": "127.0.0.1:2",
            "enabled": True,
            "toxics": [],
        }
        path = folder / "stack.yaml"
        data = {
            "version": 1,
            "name": "busybox",
            "kind": "docker",
            "project": project.name,
            "services": {"server": "server"},
            "url": http.url,
            "model": "qwen3",
            "proxy_api": toxiproxy.url,
            "proxy_name": "vllm",
        }
        path.write_text(yaml.safe_dump(data), encoding="utf-8")
        stack = open_stack(load_stack(path), path, RealClock())
        assert isinstance(stack, DockerStack)
        yield DockerPlace(folder, http, toxiproxy, project, host, path, stack)


def limited() -> dict[str, Any]:
    """Limits that a fault may change and must put back, for ``servers``."""
    return {
        "mem_limit": 64 * MIB,
        "memswap_limit": 64 * MIB,
        "cpu_period": 100_000,
        "cpu_quota": 100_000,
        "command": SERVES,
    }
