from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vqchaos.errors import CapabilityMissing, UsageError
from vqchaos.stack.attach import AttachStack
from vqchaos.stack.config import AttachStackFile, LocalStackFile
from vqchaos.stack.local.stack import LocalStack
from vqchaos.stack.opening import open_stack
from vqchaos.stack.protocols import Capability


def make(**changes: Any) -> AttachStack:
    data = {
        "name": "far",
        "kind": "attach",
        "environment": "staging",
        "url": "https://llm.example/v1/",
        "model": "qwen3",
        **changes,
    }
    return AttachStack(AttachStackFile.model_validate(data), Path("/stacks/far.yaml"))


def test_endpoints_default_from_the_url() -> None:
    ends = make(url="http://llm.example:8000/v1").endpoints
    assert ends.client_url == ends.direct_url == "http://llm.example:8000"
    assert ends.health_url == "http://llm.example:8000/health"
    assert ends.metrics_url == "http://llm.example:8000/metrics"
    assert ends.replica_header is None
    assert make(replica_header="X-Served-By").endpoints.replica_header == "X-Served-By"
    ends = make(direct_url="http://10.0.0.1:8000/", ca_file="ca.pem").endpoints
    assert ends.health_url == "http://10.0.0.1:8000/health"
    assert ends.ca_file == "/stacks/ca.pem"


def test_secrets_come_from_the_environment_and_stay_out_of_artifacts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LLM_KEY", "hunter2")
    stack = make(api_key_env="LLM_KEY", headers_env={"X-Team": "LLM_KEY"})
    assert stack.endpoints.headers == {"Authorization": "Bearer hunter2", "X-Team": "hunter2"}
    assert "hunter2" not in json.dumps(stack.describe())
    monkeypatch.delenv("LLM_KEY")
    with pytest.raises(UsageError, match="LLM_KEY, which is not set"):
        _ = stack.endpoints


def test_what_is_missing_is_told_with_what_unlocks_it() -> None:
    stack = make()
    assert set(stack.missing()) == set(Capability)
    assert "proxy_api" in stack.missing()[Capability.PROXY]
    for ask in ("proxy", "processes", "server", "containers"):
        with pytest.raises(CapabilityMissing):
            getattr(stack, ask)
    local = make(url="http://127.0.0.1:1", proxy_api="http://127.0.0.1:2", proxy_name="llm")
    assert not {Capability.PROXY, Capability.HOST} & set(local.missing())


def test_state_is_told_apart_by_url() -> None:
    assert make().state_dir != make(url="https://other.example").state_dir
    assert make().residue() == make().remove_residue() == []
    assert make().probe_sources().events is None


def test_opening_picks_the_adapter() -> None:
    local = LocalStackFile.model_validate({"name": "x", "kind": "local"})
    assert isinstance(open_stack(local, Path("/stacks/x.yaml")), LocalStack)
    assert isinstance(open_stack(make().file, Path("/stacks/x.yaml")), AttachStack)
