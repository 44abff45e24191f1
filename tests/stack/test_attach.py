from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.stack.fake_toxiproxy import FakeToxiproxy
from vqchaos.errors import CapabilityMissing, StackError, UsageError
from vqchaos.stack.attach import AttachStack
from vqchaos.stack.config import AttachStackFile, LocalStackFile
from vqchaos.stack.inventory import compare
from vqchaos.stack.local.stack import LocalStack
from vqchaos.stack.opening import open_stack
from vqchaos.stack.protocols import Capability, ProxyRef, Toxic


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
    assert ends.named == {}
    assert ends.router_stats is None
    stats = "http://h:3/stats;csv"
    assert make(router_stats=stats).endpoints.router_stats == stats
    assert make(endpoints={"one": "http://h:1/v1/"}).endpoints.named == {"one": "http://h:1"}
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


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("hunter2\n", "a newline at its end"),
        ("hunter2\r", "a carriage return at its end"),
        ("hunt\r\ner2", "a carriage return"),
        ("hunter2\x1b[0m", "the control character U+001B"),
        ("hunter2\x7f", "the control character U+007F at its end"),
        ("hunter2\udcff", "bytes that are not UTF-8"),
    ],
)
@pytest.mark.parametrize(
    ("setting", "what"),
    [
        ({"api_key_env": "LLM_KEY"}, "api_key_env"),
        ({"headers_env": {"X-Team": "LLM_KEY"}}, "X-Team"),
    ],
)
def test_a_secret_that_no_header_may_hold_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, value: str, said: str, setting: dict[str, Any], what: str
) -> None:
    monkeypatch.setenv("LLM_KEY", value)
    with pytest.raises(UsageError) as caught:
        _ = make(**setting).endpoints
    text = str(caught.value)
    assert f"{what} names the environment variable LLM_KEY, which holds {said}: " in text
    assert "LLM_KEY" in (caught.value.hint or "")
    assert "hunt" not in text


@pytest.mark.parametrize("value", [" hunter2 ", "hunter\t2", "clé"])
def test_a_secret_is_sent_as_it_is(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("LLM_KEY", value)
    assert make(api_key_env="LLM_KEY").endpoints.headers == {"Authorization": f"Bearer {value}"}


def test_what_is_missing_is_told_with_what_unlocks_it() -> None:
    stack = make()
    assert set(stack.missing()) == set(Capability)
    assert "proxy_api" in stack.missing()[Capability.PROXY]
    for ask in ("proxy", "processes", "server", "containers"):
        with pytest.raises(CapabilityMissing):
            getattr(stack, ask)
    local = make(url="http://127.0.0.1:1", proxy_api="http://127.0.0.1:2", proxy_name="llm")
    assert not {Capability.PROXY, Capability.HOST} & set(local.missing())


def test_each_link_has_its_proxies() -> None:
    with FakeToxiproxy() as toxiproxy:
        for name in ("llm", "r-1", "r-2"):
            toxiproxy.proxies[name] = {
                "name": name, "listen": "", "upstream": "", "enabled": True, "toxics": [],
            }  # fmt: skip
        named = {"proxy_api": toxiproxy.url, "proxy_name": "llm"}
        plain = make(**named)
        assert plain.links() == [ProxyRef("llm")]
        assert "links: {router-replica" in plain.missing()[Capability.REPLICA_LINKS]
        far = make(**named, links={"client-router": "llm", "router-replica": ["r-1", "r-2"]})
        assert far.links() == [ProxyRef("llm"), ProxyRef("r-1", 1), ProxyRef("r-2", 2)]
        assert far.describe()["links"] == {
            "client-router": ["llm"],
            "router-replica": ["r-1", "r-2"],
        }
        assert Capability.REPLICA_LINKS not in far.missing()
        mark = Toxic("vqchaos.r.1.5", "noop", "downstream", 1.0, {})
        before = far.inventory()
        assert before.looked_at == {"toxiproxy": 1, "proxy": 3, "toxic": 0}
        far.proxy_called("r-2").add(mark)
        far.proxy_called("r-1").set_enabled(False)
        assert far.proxy.toxics() == far.proxy_called("r-1").toxics() == []
        ours, theirs = compare(before, far.inventory(before))
        assert theirs == []
        assert [(item.kind, item.name) for item in ours] == [
            ("proxy", "router → replica 1 (r-1)"),
            ("toxic", "vqchaos.r.1.5 on r-2"),
        ]
        with pytest.raises(StackError, match="not reached from here"):
            far.proxy_called("r-2").timed_connect(1.0)
        del toxiproxy.proxies["r-1"]
        ours, _ = compare(before, far.inventory(before))
        assert ("proxy", "was on, is gone") in [(item.kind, item.detail) for item in ours]
    assert make().links() == []


def test_a_local_stack_has_one_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    file = LocalStackFile.model_validate({"name": "x", "kind": "local"})
    local = LocalStack(file, tmp_path / "x.yaml")
    assert "no router" in local.missing()[Capability.REPLICA_LINKS]
    [link] = local.links()
    assert link.link == "client-router"
    with pytest.raises(StackError, match="has one proxy"):
        local.proxy_called("replica-1")


def test_state_is_told_apart_by_url() -> None:
    assert make().state_dir != make(url="https://other.example").state_dir
    assert make().residue() == make().remove_residue() == []
    assert make().probe_sources().events is None


def test_opening_picks_the_adapter() -> None:
    local = LocalStackFile.model_validate({"name": "x", "kind": "local"})
    assert isinstance(open_stack(local, Path("/stacks/x.yaml")), LocalStack)
    assert isinstance(open_stack(make().file, Path("/stacks/x.yaml")), AttachStack)
