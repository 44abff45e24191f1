from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.scripted_server import ScriptedServer
from tests.stack.fake_toxiproxy import FakeToxiproxy
from vqchaos.clock import RealClock
from vqchaos.experiment.files import load_stack
from vqchaos.stack.opening import AnyStack, open_stack

STRANGERS = {
    "name": "somebody-elses",
    "type": "latency",
    "stream": "upstream",
    "toxicity": 1.0,
    "attributes": {"latency": 0, "jitter": 0},
}


@dataclass
class Place:
    """An attached stack of a scripted server and a fake Toxiproxy, and three faults for it."""

    folder: Path
    http: ScriptedServer
    toxiproxy: FakeToxiproxy
    stack_file: Path
    experiment: Path
    mark: Path
    stack: AnyStack

    @property
    def words(self) -> list[str]:
        return ["run", str(self.experiment), "--stack", str(self.stack_file)]

    @property
    def out(self) -> Path:
        return self.folder / "runs"

    @property
    def state(self) -> Path:
        return self.stack.state_dir

    def effects(self) -> list[str]:
        """What of the faults is in force in the world itself."""
        proxy = self.toxiproxy.proxies["vllm"]
        names = [t["name"] for t in proxy["toxics"]]
        assert STRANGERS["name"] in names, "a stranger's toxic was touched"
        found = [f"toxic {name}" for name in names if name != STRANGERS["name"]]
        found += [] if proxy["enabled"] else ["the proxy is off"]
        return found + (["the command's mark"] if self.mark.exists() else [])


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    mark = tmp_path / "mark"
    with ScriptedServer() as http, FakeToxiproxy() as toxiproxy:
        toxiproxy.proxies["vllm"] = {
            "name": "vllm",
            "listen": "127.0.0.1:1",
            "upstream": "127.0.0.1:2",
            "enabled": True,
            "toxics": [dict(STRANGERS)],
        }
        stack_file = tmp_path / "stack.yaml"
        _write(
            stack_file,
            {
                "version": 1,
                "name": "attached",
                "kind": "attach",
                "environment": "test",
                "url": http.url,
                "model": "qwen3",
                "proxy_api": toxiproxy.url,
                "proxy_name": "vllm",
            },
        )
        experiment = tmp_path / "experiment.yaml"
        _write(
            experiment,
            {
                "version": 1,
                "name": "crash",
                "workload": {"rate": 40, "arrivals": "constant", "max_tokens": 4, "deadline": "2s"},
                "phases": {
                    "warmup": "100ms",
                    "baseline": "600ms",
                    "fault": "500ms",
                    "recovery": "2s",
                    "settle": "100ms",
                },
                "steady_state": {"requests": 5},
                "recovered": {"for": "200ms", "successes": 3, "slowdown": 50.0},
                "canary": {"enabled": False},
                "observer": {"max_lag": "5s"},
                "faults": [
                    {"type": "latency", "latency": "50ms"},
                    {
                        "type": "command",
                        "inject": ["touch", str(mark)],
                        "revert": ["rm", "-f", str(mark)],
                        "verify": ["test", "-e", str(mark)],
                    },
                    {"type": "proxy_down"},
                ],
            },
        )
        stack = open_stack(load_stack(stack_file), stack_file, RealClock())
        yield Place(tmp_path, http, toxiproxy, stack_file, experiment, mark, stack)
    assert os.environ["XDG_STATE_HOME"] == str(tmp_path / "state")


def _write(path: Path, data: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
