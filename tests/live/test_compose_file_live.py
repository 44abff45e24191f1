"""Compose's own loaders read docker-compose.chaos.yml: v2's through Go, 1.29 where it is there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]  # the loader is compiled the first time

TOP = Path(__file__).parents[2]
FILE = TOP / "docker-compose.chaos.yml"
LOADER = Path(__file__).parent / "compose_go"


def load(*profiles: str, **variables: str) -> dict[str, Any]:
    assert shutil.which("go") is not None, "Compose's loader is built with Go"
    done = subprocess.run(
        ["go", "run", ".", str(FILE), *profiles],
        cwd=LOADER,
        env={**os.environ, "GOFLAGS": "-mod=readonly", **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    project = json.loads(done.stdout)
    assert isinstance(project, dict)
    return project


@pytest.mark.parametrize(
    ("profiles", "servers"),
    [
        ((), set()),
        (("cpu",), {"server-1", "server-2"}),
        (("gpu",), {"server-1-gpu", "server-2-gpu"}),
    ],
)
def test_compose_v2_takes_it(profiles: tuple[str, ...], servers: set[str]) -> None:
    project = load(*profiles)
    assert set(project["services"]) == {"router", "toxiproxy", *servers}
    for service in project["services"].values():
        assert service["mem_limit"] == service["memswap_limit"]
        assert {port["host_ip"] for port in service["ports"]} == {"127.0.0.1"}


def test_an_engine_of_the_host_is_mounted_where_it_was_made() -> None:
    project = load(
        "cpu",
        VQCHAOS_ENGINE_DIR="/srv/engine",
        VQCHAOS_ENGINE_PATH="/srv/engine",
        VQCHAOS_SERVER_PYTHON="/srv/engine/env/bin/python",
        VQCHAOS_SERVER_ARGS="--dtype float32 --max-model-len 512",
    )
    server = project["services"]["server-2"]
    mounts = {mount["target"]: mount for mount in server["volumes"]}
    assert mounts["/srv/engine"]["type"] == "bind"
    assert mounts["/opt/vqchaos/python"]["type"] == "volume"  # the harmless default
    writable = [target for target, mount in mounts.items() if not mount.get("read_only")]
    assert writable == ["/var/cache/vqchaos"]
    assert server["entrypoint"][0] == "/srv/engine/env/bin/python"
    assert server["command"][-4:] == ["--dtype", "float32", "--max-model-len", "512"]


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_compose_1_29_takes_it(profile: str) -> None:
    command = ["docker-compose", "-f", str(FILE), "--profile", profile, "config"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
