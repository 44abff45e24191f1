"""docker-compose.chaos.yml as a user brings it up: by `vqchaos up`, with a project and ports of
the test's own."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vqchaos.clock import RealClock
from vqchaos.experiment.files import load_stack
from vqchaos.stack.docker.containers import DockerContainers
from vqchaos.stack.docker.stack import DockerStack
from vqchaos.stack.opening import open_stack

ROOT = Path(__file__).resolve().parents[2]
VLLM, STAND_IN = ROOT / ".docker.env", ROOT / ".docker-stand-in.env"
LIMIT = 900.0  # seconds for one command; a hang guard
_PORTS = ("", "_TOXIPROXY", "_ROUTER", "_ROUTER_STATS", "_SERVER_1", "_SERVER_2")


@dataclass
class ComposeStack:
    """``folder`` holds its file, its state and its runs."""

    folder: Path
    file: Path
    stack: DockerStack

    @property
    def control(self) -> DockerContainers:
        return self.stack.docker

    def call(self, command: str, *words: str) -> subprocess.CompletedProcess[str]:
        """``vqchaos COMMAND --stack … WORDS``."""
        return subprocess.run(
            [sys.executable, "-m", "vqchaos", command, "--stack", str(self.file), *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT,
            cwd=self.folder,
            env={**os.environ, "XDG_STATE_HOME": str(self.folder / "state")},
        )

    def run(self, experiment: str, *sets: str) -> tuple[int, dict[str, Any], str]:
        """Exit code, verdict and what was said."""
        out = self.folder / f"runs-{secrets.token_hex(3)}"
        words = [word for item in sets for word in ("--set", item)]
        done = self.call("run", str(ROOT / experiment), *words, "--out", str(out))
        said = done.stdout + done.stderr
        found = list(out.glob("*/verdict.json"))
        assert len(found) == 1, said
        verdict: dict[str, Any] = json.loads(found[0].read_text(encoding="utf-8"))
        return done.returncode, verdict | {"folder": str(found[0].parent)}, said


@contextmanager
def compose_stack(folder: Path, env_file: Path) -> Iterator[ComposeStack]:
    """Up; taken down at the end if the test did not. ``env_file`` names the images."""
    if not env_file.is_file():
        raise RuntimeError(
            f"there is no {env_file}: `make docker` makes it, or tools/docker/for_tests.sh"
        )
    project = f"vqlive{secrets.token_hex(3)}"
    ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
    file = folder / "stack.yaml"
    data = {
        "version": 1,
        "name": project,
        "kind": "docker",
        "environment": "test",
        "compose": str(ROOT / "docker-compose.chaos.yml"),
        "project": project,
        "profiles": ["cpu"],
        "services": {
            "server": ["server-1", "server-2"],
            "router": "router",
            "proxy": "toxiproxy",
        },
        "env_file": str(env_file),
        "env": {f"VQCHAOS_PORT{name}": str(port) for name, port in ports.items()},
        "url": f"http://127.0.0.1:{ports['']}",
        "direct_url": f"http://127.0.0.1:{ports['_ROUTER']}",
        "proxy_api": f"http://127.0.0.1:{ports['_TOXIPROXY']}",
        "proxy_name": "vllm",
        "model": "qwen3",
    }
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    stack = open_stack(load_stack(file), file, RealClock())
    assert isinstance(stack, DockerStack)
    made = ComposeStack(folder, file, stack)
    try:
        up = made.call("up")
        assert up.returncode == 0, up.stdout + up.stderr
        yield made
    finally:
        down = made.call("down", "--force")
        assert down.returncode == 0, down.stdout + down.stderr


def free_ports(count: int) -> list[int]:
    """Below the ephemeral range, so that no client's connection takes them meanwhile."""
    found: list[int] = []
    for port in range(21000, 24000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError("no free ports between 21000 and 24000")


def mounts_of(project: str) -> list[str]:
    """What this machine has mounted for it: volumes carry the project's name."""
    lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if f"/{project}_" in line]
