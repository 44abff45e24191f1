"""docker-compose.chaos.yml and what it mounts, read as they are: no Docker, no Go."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from vqchaos.stack.local import paths

TOP = Path(__file__).parents[1]
FILE = TOP / "docker-compose.chaos.yml"
SERVERS = {"server-1", "server-2", "server-1-gpu", "server-2-gpu"}
VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


def resolved() -> dict[str, Any]:
    """The file with every variable at its default."""
    text = VARIABLE.sub(lambda match: match[2], FILE.read_text(encoding="utf-8"))
    project = yaml.safe_load(text)
    assert isinstance(project, dict)
    return project


SERVICES: dict[str, Any] = resolved()["services"]


def test_compose_1_29_takes_it() -> None:
    assert not {"name", "version"} & resolved().keys()


def test_the_services_and_their_profiles() -> None:
    profiles = {name: service.get("profiles") for name, service in SERVICES.items()}
    assert profiles == {
        "server-1": ["cpu"],
        "server-2": ["cpu"],
        "server-1-gpu": ["gpu"],
        "server-2-gpu": ["gpu"],
        "router": None,
        "toxiproxy": None,
    }
    # A service of a profile that is off must not be needed: one replica alone is a stack.
    assert not any("depends_on" in service for service in SERVICES.values())


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_comes_back_is_limited_and_is_ours(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "always"
    assert service["init"] is True
    assert service["mem_limit"] == service["memswap_limit"]
    assert service["healthcheck"]["test"]
    assert service["labels"]["io.vqchaos.stack"] == "docker"
    role = {"router": "router", "toxiproxy": "proxy"}.get(name, "server")
    assert service["labels"]["io.vqchaos.role"] == role
    assert list(service["networks"]) == ["stack"]


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_ports_are_on_loopback_apart_and_out_of_the_way(profile: str) -> None:
    ports = [
        port
        for service in SERVICES.values()
        if profile in service.get("profiles", [profile])
        for port in service["ports"]
    ]
    published = []
    for port in ports:
        host, number, _ = port.split(":")
        assert host == "127.0.0.1"
        published.append(int(number))
    assert len(set(published)) == len(published) == 6
    assert max(published) < 32768  # the ephemeral range
    assert max(published) < paths._PORT_FLOOR  # the local stack's


def test_images_are_pinned_and_can_be_replaced() -> None:
    text = FILE.read_text(encoding="utf-8")
    images = re.findall(r'image: "\$\{(VQCHAOS_\w+_IMAGE):-([^}]+)\}"', text)
    assert {name for name, _ in images} == {
        "VQCHAOS_SERVER_IMAGE",
        "VQCHAOS_ROUTER_IMAGE",
        "VQCHAOS_TOXIPROXY_IMAGE",
    }
    assert len(images) == len(re.findall(r"^ +image:", text, re.MULTILINE))
    assert all(re.search(r":v?\d+\.\d+\.\d+$", image) for _, image in images)


def test_the_local_stacks_mark_is_not_a_variable_here() -> None:
    assert "${VQCHAOS_STACK:" not in FILE.read_text(encoding="utf-8")


def test_gpu_servers_go_by_the_names_that_toxiproxy_knows() -> None:
    for n in (1, 2):
        service = SERVICES[f"server-{n}-gpu"]
        assert service["networks"]["stack"]["aliases"] == [f"server-{n}"]
        (device,) = service["deploy"]["resources"]["reservations"]["devices"]
        assert device["capabilities"] == ["gpu"]


def test_the_proxies() -> None:
    proxies = json.loads((TOP / "compose" / "toxiproxy.json").read_text(encoding="utf-8"))
    assert [(p["name"], p["listen"], p["upstream"], p["enabled"]) for p in proxies] == [
        ("vllm", "0.0.0.0:8100", "router:8000", True),
        ("replica-1", "0.0.0.0:8101", "server-1:8000", True),
        ("replica-2", "0.0.0.0:8102", "server-2:8000", True),
    ]


def test_the_routers_errors_have_the_apis_shape() -> None:
    config = (TOP / "compose" / "haproxy.cfg").read_text(encoding="utf-8")
    said = re.findall(
        r"http-error status (\d+) content-type application/json file /etc/vqchaos/(\S+)", config
    )
    assert {int(status) for status, _ in said} == {400, 408, 500, 502, 503, 504}
    for status, file in said:
        error = json.loads((TOP / "compose" / file).read_text(encoding="utf-8"))["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["code"] == int(status)
        assert error["message"].startswith("router: ")


@pytest.mark.docker
def test_haproxy_takes_the_configuration(tmp_path: Path) -> None:
    config = (TOP / "compose" / "haproxy.cfg").read_text(encoding="utf-8")
    mounted = tmp_path / "haproxy.cfg"
    mounted.write_text(config.replace("/etc/vqchaos", str(TOP / "compose")), encoding="utf-8")
    done = subprocess.run(
        ["haproxy", "-c", "-f", str(mounted)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["images.sh", "--no-such"], "unknown option --no-such"),
        (["images.sh", "--suite"], "--suite needs a value"),
        (["images.sh", "--data-root", ""], "--data-root needs a value"),
        (["daemon.sh"], "start or stop?"),
        (["daemon.sh", "restart"], "unknown action restart"),
        (["daemon.sh", "stop", "--work"], "--work needs a value"),
    ],
)
def test_the_image_scripts_refuse_what_they_do_not_know(arguments: list[str], says: str) -> None:
    command = ["bash", str(TOP / "tools" / "docker" / arguments[0]), *arguments[1:]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2
    assert says in done.stderr
    assert not done.stdout


def test_every_volume_has_a_label_of_ours_by_which_down_takes_it() -> None:
    volumes = resolved()["volumes"]
    assert volumes
    for volume in volumes.values():
        assert set(volume["labels"]) == {"io.vqchaos.stack"}
