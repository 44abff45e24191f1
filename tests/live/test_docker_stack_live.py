"""docker-compose.chaos.yml through `vqchaos up`, `run` and `down`: with a server without a model,
and once with two replicas of real vLLM. The images are those of `make docker`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.live.compose_like import Project, started_anew
from tests.live.compose_stack import ROOT, STAND_IN, VLLM, ComposeStack, compose_stack, mounts_of
from vqchaos.clock import RealClock, wait_until
from vqchaos.errors import ExitCode

pytestmark = [
    pytest.mark.docker,
    pytest.mark.timeout(900),
    pytest.mark.usefixtures("sockets_of_docker_py"),
]
CLOCK = RealClock()
HEALTHY = 240.0  # seconds; a hang guard
SHORT = ("phases.warmup=2s", "phases.baseline=10s", "phases.fault=8s", "phases.settle=2s")


@pytest.fixture(scope="module")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeStack]:
    with compose_stack(tmp_path_factory.mktemp("vllm"), VLLM) as made:
        yield made


@pytest.fixture
def whole(vllm: ComposeStack) -> ComposeStack:
    """Both replicas serve when the test begins, whatever the one before did."""
    assert wait_until(lambda: healthy(vllm), HEALTHY, CLOCK, every=0.5)
    return vllm


def healthy(stack: ComposeStack) -> bool:
    refs = stack.control.find("server")
    return [stack.control.state(ref).health for ref in refs] == ["healthy", "healthy"]


def events(verdict: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    text = (Path(verdict["folder"]) / "history.jsonl").read_text(encoding="utf-8")
    return [e for e in map(json.loads, text.splitlines()) if e["type"] == kind]


def test_up_run_down_leaves_nothing_and_touches_no_stranger(
    tmp_path: Path, other_project: Project
) -> None:
    stranger = other_project.add("server-1")
    seen = other_project.api.inspect_container(stranger)["State"]
    with compose_stack(tmp_path, STAND_IN) as made:
        assert wait_until(lambda: healthy(made), HEALTHY, CLOCK, every=0.5)
        first, second = made.control.find("server")
        before = [made.control.state(ref) for ref in (first, second)]
        experiment = yaml.safe_load((ROOT / "experiments" / "container_kill.yaml").read_text())
        experiment["checks"] = [c for c in experiment["checks"] if c["type"] != "canary"]
        experiment["canary"] = {"enabled": False}  # it has no model
        quick = tmp_path / "quick.yaml"
        quick.write_text(yaml.safe_dump(experiment))
        code, verdict, said = made.run(str(quick), *SHORT)
        assert code == ExitCode.PASS, said
        assert (verdict["valid"], verdict["leftovers"]) == (True, [])
        [fault] = verdict["faults"]
        assert (fault["type"], fault["verified"], fault["error"]) == ("container_kill", "yes", None)
        assert started_anew(made.control, first, before[0]), "by its restart policy"
        assert made.control.state(first).restarts == before[0].restarts + 1
        assert made.control.state(second).started == before[1].started
        project = made.stack.file.project
        assert len(list((Path(verdict["folder"]) / "logs").iterdir())) == 4
        down = made.call("down")
        assert down.returncode == ExitCode.PASS, down.stdout + down.stderr
        assert made.stack.leftovers() == [], "no container, network or volume"
        assert mounts_of(project) == []
        assert made.call("status").returncode == ExitCode.UNKNOWN
    assert other_project.api.inspect_container(stranger)["State"] == seen


def test_a_killed_replica_of_vllm_is_started_again(whole: ComposeStack) -> None:
    first, second = whole.control.find("server")
    before = [whole.control.state(ref) for ref in (first, second)]
    since = CLOCK.wall()
    code, verdict, said = whole.run("experiments/container_kill.yaml", *SHORT)
    assert code == ExitCode.PASS, said
    [fault] = verdict["faults"]
    assert (verdict["valid"], fault["verified"]) == (True, "yes")
    assert not verdict["recovery"]["censored"]
    assert verdict["recovery"]["phases"], "in parts"
    assert started_anew(whole.control, first, before[0])
    assert whole.control.state(first).restarts == before[0].restarts + 1
    assert whole.control.state(second).started == before[1].started
    assert whole.control.ooms(first, since) == 0, "no kill of the kernel's"


def test_memory_that_ran_out_is_told_from_a_kill(whole: ComposeStack) -> None:
    first, _ = whole.control.find("server")
    limits = whole.control.limits(first)
    code, verdict, said = whole.run("experiments/container_memory.yaml", *SHORT)
    assert code in (ExitCode.PASS, ExitCode.FAIL), said
    [fault] = verdict["faults"]
    assert (verdict["valid"], fault["verified"], verdict["leftovers"]) == (True, "yes", [])
    [verified] = events(verdict, "fault.verified")
    assert "OOM killer" in verified["why"]
    assert whole.control.limits(first) == limits


def test_down_leaves_nothing_of_it(vllm: ComposeStack) -> None:
    """The last of this file: the stack is shared."""
    project = vllm.stack.file.project
    down = vllm.call("down")
    assert down.returncode == ExitCode.PASS, down.stdout + down.stderr
    assert vllm.stack.leftovers() == []
    assert mounts_of(project) == []
