from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from vqchaos.experiment.schema import schema_of
from vqchaos.stack.config import (
    AttachStackFile,
    DockerStackFile,
    LocalStackFile,
    StackFile,
)

ADAPTER = TypeAdapter[Any](StackFile)
LOCAL = {"name": "local", "kind": "local"}
ATTACH = {
    "name": "prod",
    "kind": "attach",
    "environment": "staging",
    "url": "https://llm.example/v1",
    "model": "qwen3",
}


def test_a_local_stack_needs_little() -> None:
    file = ADAPTER.validate_python(LOCAL)
    assert isinstance(file, LocalStackFile)
    assert (file.environment, file.model, file.served_model_name) == ("test", "demo", "qwen3")
    assert file.engine.command is None
    assert (file.restart.policy, file.restart.backoff, file.restart.limit) == ("always", 1.0, 10)
    assert file.memory_limit == 8 * 1024**3


def test_args_may_be_one_string_and_keep_their_text() -> None:
    engine = {"args": "--dtype float32 --x 'a b' --gpu-memory-utilization 0.90 $HOME"}
    file = ADAPTER.validate_python({**LOCAL, "engine": engine})
    assert file.engine.args[-4:] == ["a b", "--gpu-memory-utilization", "0.90", "$HOME"]
    assert ADAPTER.validate_python({**LOCAL, "engine": {"command": "vllm serve"}}).engine.command


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"nmae": "x"}, "nmae"),
        ({"name": "Not A Name"}, "name"),
        ({"kind": "kubernetes"}, ""),
        ({"environment": "prod"}, "environment"),
        ({"engine": {"command": []}}, "command"),
        ({"engine": {"args": [1]}}, "args"),
        ({"engine": {"args": "'open"}}, "args"),
        ({"engine": {"env": {"not a name": "x"}}}, "env"),
        ({"restart": {"policy": "sometimes"}}, "policy"),
        ({"restart": {"backoff": 1}}, "backoff"),
        ({"restart": {"limit": 0}}, "limit"),
        ({"memory_limit": 8}, "memory_limit"),
        ({"version": 2}, "version"),
    ],
)
def test_a_wrong_local_file_is_refused_at_its_place(changes: dict[str, Any], place: str) -> None:
    with pytest.raises(ValidationError) as raised:
        ADAPTER.validate_python({**LOCAL, **changes})
    assert place in [str(part) for part in raised.value.errors()[0]["loc"]] or not place


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"environment": None}, "test"),
        ({"url": "llm.example"}, "pattern"),
        ({"url": "https://user:pw@llm.example"}, "must not hold a user or password"),
        ({"proxy_api": "http://127.0.0.1:8474"}, "go together"),
        ({"process": {}}, "exactly one"),
        ({"replica_header": "X Replica"}, "pattern"),
        ({"endpoints": {"A b": "http://h"}}, "pattern"),
        ({"endpoints": {"a": "h:1"}}, "pattern"),
        ({"endpoints": {"a": "http://me:pw@h"}}, "must not hold a user or password"),
        ({"process": {"listens": 1, "pid_file": "/x"}}, "listens and pid_file"),
    ],
)
def test_a_wrong_attach_file_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ADAPTER.validate_python({**ATTACH, **changes})


PROXY = {"proxy_api": "http://127.0.0.1:8474", "proxy_name": "llm"}


@pytest.mark.parametrize(
    ("links", "message"),
    [
        ({"client-router": "other"}, "links.client-router is other and proxy_name llm"),
        ({"router-replica": ["a", "b", "a"]}, "a cannot be on two links"),
        ({"router-replica": ["a", "llm"]}, "llm cannot be on two links"),
        ({"router-replica": []}, "at least 1"),
        ({"router-replica": ["a/b"]}, "pattern"),
        ({"router-server": ["a"]}, "Extra inputs"),
    ],
)
def test_wrong_links_are_refused(links: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ADAPTER.validate_python({**ATTACH, **PROXY, "links": links})


def test_links_need_a_toxiproxy_and_survive_a_dump() -> None:
    links = {"client-router": "llm", "router-replica": "replica-1"}
    with pytest.raises(ValidationError, match="at proxy_api: give that too"):
        ADAPTER.validate_python({**ATTACH, "links": links})
    file = ADAPTER.validate_python({**ATTACH, **PROXY, "links": links})
    assert file.links.router_replica == ["replica-1"]
    assert ADAPTER.validate_json(file.model_dump_json(by_alias=True)) == file


@pytest.mark.parametrize(
    "data",
    [
        {**LOCAL, "restart": {"backoff": "250ms"}, "memory_limit": "1.5GiB"},
        {**LOCAL, "memory_limit": None},
        {**ATTACH, "process": {"listens": 8000}},
    ],
)
def test_a_dumped_file_can_be_read_again(data: dict[str, Any]) -> None:
    file = ADAPTER.validate_python(data)
    assert ADAPTER.validate_json(file.model_dump_json(by_alias=True)) == file


def test_attach_needs_url_model_and_environment() -> None:
    assert isinstance(ADAPTER.validate_python(ATTACH), AttachStackFile)
    for key in ("url", "model", "environment"):
        with pytest.raises(ValidationError):
            ADAPTER.validate_python({k: v for k, v in ATTACH.items() if k != key})


def test_the_schema_offers_every_kind_and_scalars_in_args() -> None:
    schema = schema_of("stack")
    kinds = [schema["$defs"][one["$ref"].removeprefix("#/$defs/")] for one in schema["anyOf"]]
    assert {kind["properties"]["kind"]["const"] for kind in kinds} == {"local", "docker", "attach"}
    [text, items] = schema["$defs"]["EngineSettings"]["properties"]["args"]["anyOf"]
    assert text == {"type": "string"}
    assert "number" in items["items"]["type"]


DOCKER = {
    "name": "docker",
    "kind": "docker",
    "url": "http://127.0.0.1:18100",
    "model": "qwen3",
    "project": "vqchaos",
    "services": {"server": ["server-1", "server-2"], "proxy": "toxiproxy"},
}


def test_a_docker_stack_takes_one_service_or_several_a_role() -> None:
    file = ADAPTER.validate_python(DOCKER)
    assert isinstance(file, DockerStackFile)
    assert file.services.by_role() == {"server": ["server-1", "server-2"], "proxy": ["toxiproxy"]}
    assert ADAPTER.validate_json(file.model_dump_json(by_alias=True)) == file


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"project": "Not a project"}, "project"),
        ({"services": {"proxy": "toxiproxy"}}, "server"),
        ({"services": {"server": []}}, "server"),
        ({"services": {"server": "--privileged"}}, "server"),
        ({"services": {"server": "a", "cache": "b"}}, "cache"),
        ({"compose": []}, "compose"),
        ({"proxy_api": "http://127.0.0.1:1"}, ""),
        ({"env": {"a-b": "1"}}, "env"),
    ],
)
def test_a_wrong_docker_file_is_refused_at_its_place(changes: dict[str, Any], place: str) -> None:
    with pytest.raises(ValidationError) as raised:
        ADAPTER.validate_python({**DOCKER, **changes})
    assert place in [str(part) for part in raised.value.errors()[0]["loc"]] or not place


def test_the_shipped_stack_file_is_valid() -> None:
    path = Path(__file__).resolve().parents[2] / "stacks" / "local.yaml"
    file = ADAPTER.validate_python(
        yaml.load(path.read_text(), Loader=yaml.BaseLoader)
        | {"version": 1, "restart": {"limit": 10}, "engine": {}}
    )
    assert file.name == "local"
