"""One daemon for the API, for Compose and for the observer, however it is named."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from vqchaos.errors import UsageError
from vqchaos.stack.config import DockerStackFile
from vqchaos.stack.docker.address import NAMES, SOCKET, Address, address, host, of_stack
from vqchaos.stack.docker.stack import DockerStack

FAR = "tcp://far.example:2376"


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "config"
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    return folder


def context(config: Path, name: str, *, certs: bool = False, **endpoint: Any) -> Path:
    """As `docker context create` leaves it; its folder of certificates."""
    key = hashlib.sha256(name.encode()).hexdigest()
    meta = config / "contexts" / "meta" / key
    meta.mkdir(parents=True)
    data = {"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}}
    (meta / "meta.json").write_text(json.dumps(data), encoding="utf-8")
    tls = config / "contexts" / "tls" / key / "docker"
    if certs:
        tls.mkdir(parents=True)
    return tls


def current(config: Path, name: str) -> None:
    (config / "config.json").write_text(json.dumps({"currentContext": name}), encoding="utf-8")


def test_nothing_named_is_this_machines_socket(config: Path) -> None:
    assert address() == Address(SOCKET)
    assert host() == SOCKET
    current(config, "default")
    assert address() == Address(SOCKET)
    for broken in ("not json", "[]", '{"currentContext": 7}'):
        (config / "config.json").write_text(broken, encoding="utf-8")
        assert address() == Address(SOCKET)


def test_the_environment_goes_before_any_context(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context(config, "mine", Host="unix:///run/mine.sock")
    context(config, "yours", Host="unix:///run/yours.sock")
    current(config, "mine")
    assert address() == Address("unix:///run/mine.sock")
    monkeypatch.setenv("DOCKER_CONTEXT", "yours")
    assert address() == Address("unix:///run/yours.sock")
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/host.sock")
    assert address() == Address("unix:///run/host.sock")


def test_tls_is_the_environments_or_the_contexts(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = context(config, "far", certs=True, Host=FAR, SkipTLSVerify=False)
    context(config, "loose", certs=True, Host=FAR, SkipTLSVerify=True)
    current(config, "far")
    assert address() == Address(FAR, str(tls), verify=True)
    assert address().env() == {
        "DOCKER_HOST": FAR,
        "DOCKER_CERT_PATH": str(tls),
        "DOCKER_TLS_VERIFY": "1",
    }
    current(config, "loose")
    assert not address().verify
    monkeypatch.setenv("DOCKER_HOST", FAR)
    assert address() == Address(FAR)
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    assert address() == Address(FAR, str(config), verify=True), "Docker's own default folder"
    monkeypatch.setenv("DOCKER_CERT_PATH", "/certs")
    assert address() == Address(FAR, "/certs", verify=True)


@pytest.mark.parametrize("text", [None, "not json", "{}", '{"Endpoints": {"docker": null}}'])
def test_a_context_that_is_not_there_is_told(config: Path, text: str | None) -> None:
    if text is not None:
        context(config, "lost", Host=FAR)
        [meta] = config.glob("contexts/meta/*/meta.json")
        meta.write_text(text, encoding="utf-8")
    current(config, "lost")
    with pytest.raises(UsageError, match="no Docker context 'lost'") as caught:
        address()
    assert "docker context ls" in str(caught.value.hint)


# ---------------------------------------------------------------- a stack's own file


def stack_file(**changes: Any) -> DockerStackFile:
    data = {
        "name": "docker",
        "kind": "docker",
        "url": "http://127.0.0.1:18100",
        "model": "qwen3",
        "project": "shop",
        "services": {"server": "server"},
        **changes,
    }
    return DockerStackFile.model_validate(data)


@pytest.mark.parametrize("by", ["env", "env_file"])
def test_a_stacks_file_counts_where_the_environment_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: Path, by: str
) -> None:
    changes: dict[str, Any] = {"env": {"DOCKER_HOST": FAR}}
    if by == "env_file":
        changes = {"env_file": "vars.env"}
        (tmp_path / "vars.env").write_text(f"A=b\nDOCKER_HOST={FAR}\n", encoding="utf-8")
    context(config, "mine", Host="unix:///run/mine.sock")
    current(config, "mine")
    path = tmp_path / "stack.yaml"
    assert of_stack(stack_file(**changes), path) == Address(FAR)
    stack = DockerStack(stack_file(environment="test", **changes), path)
    assert stack.remote
    source = stack.probe_sources().docker
    assert source is not None
    assert source.host == FAR
    monkeypatch.setenv("DOCKER_HOST", FAR)
    assert of_stack(stack_file(**changes), path) == Address(FAR), "the same is fine"
    monkeypatch.setenv("DOCKER_HOST", SOCKET)
    place = "vars.env" if by == "env_file" else "stack.yaml"
    with pytest.raises(UsageError, match=rf"{place} says DOCKER_HOST={FAR}, and the env") as caught:
        of_stack(stack_file(**changes), path)
    assert "unset DOCKER_HOST" in str(caught.value.hint)


def test_an_env_file_that_is_not_there_names_no_daemon(tmp_path: Path) -> None:
    """`up` says that it is not there; an undo does not need it."""
    assert of_stack(stack_file(env_file="no.env"), tmp_path / "s.yaml") == Address(SOCKET)


def test_over_an_environment_nothing_else_of_a_daemon_stays() -> None:
    env = {"PATH": "/bin", **dict.fromkeys(NAMES, "theirs")}
    assert Address(SOCKET).over(env) == {"PATH": "/bin", "DOCKER_HOST": SOCKET}
