"""What stands in for a server's container, made of what Docker says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vqchaos.errors import CapabilityMissing
from vqchaos.stack.docker import sibling
from vqchaos.stack.protocols import StartOverride


def own(command: list[str], **more: Any) -> dict[str, Any]:
    """As much of `docker inspect` as is read."""
    return {
        "Id": "ab" * 32,
        "Name": "/shop-server-1",
        "Config": {
            "Hostname": "abababababab",
            "Image": "vllm",
            "Cmd": command,
            "Entrypoint": more.pop("entrypoint", ["python3", "-m", "api_server"]),
            "Env": ["A=1"],
            "Labels": {"com.docker.compose.oneoff": "False", "com.docker.compose.project": "shop"},
        },
        "HostConfig": {
            "Binds": ["/models:/models:ro"],
            "Memory": 8,
            "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0},
            "PortBindings": {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "17011"}]},
        },
        "NetworkSettings": {
            "Networks": {
                "shop_net": {"Aliases": ["server", "ab" * 6], "IPAMConfig": None, "Links": None}
            }
        },
        "Mounts": [],
        **more,
    }


@pytest.mark.parametrize(
    ("entrypoint", "command", "expected"),
    [
        ([], ["--model", "/models/it", "--x"], ["--model", "/broken", "--x"]),
        ([], ["--port", "1", "--model=/models/it"], ["--port", "1", "--model=/broken"]),
        (["vllm", "serve"], ["/models/it", "--x"], ["/broken", "--x"]),
        ([], ["serve", "/models/it"], ["serve", "/broken"]),
    ],
)
def test_the_model_is_replaced_where_it_stands(
    entrypoint: list[str], command: list[str], expected: list[str], tmp_path: Path
) -> None:
    override = StartOverride(model=tmp_path, extra_args=("--load-format", "dummy"))
    made = sibling.command(own(command, entrypoint=entrypoint), override)
    want = [word.replace("/broken", str(tmp_path)) for word in expected]
    assert made == [*want, "--load-format", "dummy"]


def test_a_command_without_a_model_is_out_of_reach(tmp_path: Path) -> None:
    with pytest.raises(CapabilityMissing, match="names no model") as caught:
        sibling.command(own(["--host", "0.0.0.0"]), StartOverride(model=tmp_path))
    assert "--model PATH" in (caught.value.hint or "")


def test_the_body_is_the_own_one_but_for_what_the_fault_wants(tmp_path: Path) -> None:
    elsewhere = tmp_path / "hub"
    elsewhere.mkdir()
    (elsewhere / "weights").touch()
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "weights").symlink_to(elsewhere / "weights")
    info = own(["--model", "/models/it"])
    made = sibling.body(info, StartOverride(model=copy, env={"B": "2"}), restarts=False)
    assert made["Env"] == ["A=1", "B=2"]
    assert made["HostConfig"]["RestartPolicy"]["Name"] == "no"
    assert made["HostConfig"]["Memory"] == 8
    assert made["HostConfig"]["Binds"] == [
        "/models:/models:ro",
        f"{copy}:{copy}:ro",
        f"{elsewhere}:{elsewhere}:ro",
    ]
    assert made["Labels"]["com.docker.compose.project"] == "shop"  # so that `down` removes it
    assert made["Labels"]["com.docker.compose.oneoff"] == "True"
    assert made["Labels"]["io.vqchaos.stands-for"] == info["Id"]
    assert made["NetworkingConfig"]["EndpointsConfig"]["shop_net"]["Aliases"] == ["server"]
    assert "Hostname" not in made
    assert info == own(["--model", "/models/it"])  # untouched
    looping = sibling.body(info, StartOverride(model=copy), restarts=True)
    assert looping["HostConfig"]["RestartPolicy"]["Name"] == "always"


def test_what_is_mounted_at_its_own_path_is_not_mounted_twice(tmp_path: Path) -> None:
    model, copy = tmp_path / "model", tmp_path / "copy"
    model.mkdir()
    copy.mkdir()
    (model / "weights").touch()
    (copy / "weights").symlink_to(model / "weights")
    mounts = [{"Type": "bind", "Source": str(model), "Destination": str(model)}]
    info = own(["--model", str(model)], Mounts=mounts, Image="sha256:abc")
    made = sibling.body(info, StartOverride(model=copy), restarts=False)
    assert made["HostConfig"]["Binds"] == ["/models:/models:ro", f"{copy}:{copy}:ro"]
    assert made["Image"] == "sha256:abc"


def test_the_models_folder_is_the_one_that_is_mounted(tmp_path: Path) -> None:
    (tmp_path / "it").mkdir()
    mounts = [{"Type": "bind", "Source": str(tmp_path), "Destination": "/models"}]
    info = own(["--model", "/models/it"], Mounts=mounts)
    assert sibling.model_dir(info) == tmp_path / "it"
    for command in (["--model", "Qwen/Qwen3-8B"], ["--model", "/models/other"]):
        with pytest.raises(CapabilityMissing, match="not a folder of this machine"):
            sibling.model_dir(own(command, Mounts=mounts))


def test_the_published_address_of_the_servers_port() -> None:
    assert sibling.listens_on(own(["--model", "m"])) == ("127.0.0.1", 17011)
    assert sibling.listens_on(own(["--port", "8000"])) == ("127.0.0.1", 17011)
    for command in (["--port", "9000"], ["--port=9000"]):
        with pytest.raises(CapabilityMissing, match="publishes port 9000 at no fixed port"):
            sibling.listens_on(own(command))


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:17011"),
        ("", "http://127.0.0.1:17011"),
        ("10.0.0.7", "http://10.0.0.7:17011"),
        ("::", "http://[::1]:17011"),
        ("fd00::7", "http://[fd00::7]:17011"),
    ],
)
def test_the_url_of_a_published_port(host: str, url: str) -> None:
    server = own(["--model", "m"])
    server["HostConfig"]["PortBindings"]["8000/tcp"][0]["HostIp"] = host
    assert sibling.url_of(*sibling.listens_on(server)) == url
