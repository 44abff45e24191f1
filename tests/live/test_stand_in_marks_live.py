"""A start-up fault's container on a real daemon, when the ledger is lost: found by its labels."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from tests.fakes import free_port, make_model
from tests.live.compose_like import PATIENCE
from tests.live.docker_place import DockerPlace
from vqchaos.clock import RealClock, wait_until
from vqchaos.errors import ExitCode
from vqchaos.faults.base import Ticket
from vqchaos.faults.model_corruption import ModelCorruption
from vqchaos.ledger import Ledger
from vqchaos.runner.leftovers import leftovers

pytestmark = [
    pytest.mark.docker,
    pytest.mark.timeout(180),
    pytest.mark.usefixtures("sockets_of_docker_py"),
]
CLOCK = RealClock()
FAULT = ModelCorruption(type="model_corruption", mode="config")
SERVES = 'cat "$2/config.json" && trap "exit 0" TERM && while :; do sleep 0.1; done'
COMMAND = ["/bin/sh", "-c", SERVES, "server", "--model", "/models/it"]
NAME = "vqchaos.elsewhere.1."


def own(place: DockerPlace, number: int = 1, **more: Any) -> str:
    """Made, or made anew as Compose does, with the model that it serves; its id."""
    model = place.folder / "model"
    if not model.exists():
        make_model(model)
    bind = f"{model}:/models/it:ro"
    port = {8000: ("127.0.0.1", free_port())}
    host: dict[str, Any] = {"binds": [bind], "port_bindings": port, "init": True}
    return place.project.add(number=number, command=COMMAND, **host, **more)


def inject(place: DockerPlace, deadline: float, fault: ModelCorruption = FAULT) -> str:
    """By a run of which nobody here knows; what its container is called."""
    state = fault.capture(place.stack, Ticket("elsewhere", 1, "t0k3n000", deadline, 1))
    fault.inject(place.stack, state, lambda: None)
    [found] = place.stack.stand_ins()
    return found.name


def test_a_live_one_refuses_a_run_and_is_left_alone(place: DockerPlace) -> None:
    own(place)
    deadline = CLOCK.wall() + 3600
    name = inject(place, deadline)
    assert name == f"{place.project.name}-server-1-vqchaos"
    [container] = leftovers(place.stack, Ledger(place.state), set())
    assert (container.kind, container.name) == ("container", name)
    refused = place.run({"type": "container_pause", "target": "server"})
    assert refused.returncode == ExitCode.UNCLEAN
    assert f"docker rm -f {name}" in " ".join(refused.stderr.split())
    healed = place.call("heal", "--stack", str(place.stack_file), "--json")
    assert healed.returncode == ExitCode.UNCLEAN
    [said] = json.loads(healed.stdout)
    assert (said["faults"], said["left"], said["problems"]) == ([], [], [])
    [live] = said["live"]
    assert (live["mark"], live["name"]) == (f"{NAME}{int(deadline)}", name)
    assert [found.name for found in place.stack.stand_ins()] == [name]


@pytest.mark.parametrize("made_anew", [False, True], ids=["own", "own made anew"])
def test_an_expired_one_is_removed_and_the_own_one_started(
    place: DockerPlace, made_anew: bool
) -> None:
    first = own(place)
    inject(place, CLOCK.wall() - 1)
    shutil.rmtree(place.state)  # with the ledger
    if made_anew:
        place.project.api.remove_container(first, force=True)
        first = own(place)
    healed = place.call("heal", "--stack", str(place.stack_file))
    assert healed.returncode == ExitCode.PASS, healed.stdout + healed.stderr
    assert "model_corruption" in healed.stdout
    assert place.stack.stand_ins() == []
    [now] = place.stack.docker.find("server")
    assert now.id == first
    assert wait_until(lambda: place.stack.docker.state(now).status == "running", PATIENCE, CLOCK)
    again = place.call("heal", "--stack", str(place.stack_file))
    assert "no faults in force" in again.stdout
    assert leftovers(place.stack, Ledger(place.state), set()) == []


def test_one_whose_own_container_somebody_removed(place: DockerPlace) -> None:
    first = own(place)
    inject(place, CLOCK.wall() - 1)
    place.project.api.remove_container(first, force=True)
    healed = place.call("heal", "--stack", str(place.stack_file))
    assert healed.returncode == ExitCode.PASS, healed.stdout + healed.stderr
    assert place.stack.docker.find("server") == []


def test_the_second_replicas_start_is_broken_and_the_first_serves_on(place: DockerPlace) -> None:
    first, second = own(place), own(place, 2)
    control = place.stack.docker
    started = control.state(control.find("server")[0]).started
    target = {"role": "server", "replica": 2}
    wanted = {"type": "model_corruption", "mode": "config", "target": target}
    fault = ModelCorruption.model_validate(wanted)
    name = inject(place, CLOCK.wall() - 1, fault)
    assert name == f"{place.project.name}-server-2-vqchaos"
    assert place.stack.server_of(2).attempt().clean is False
    assert place.stack.server_of(1).attempt().clean
    place.project.api.remove_container(second, force=True)
    second = own(place, 2)
    healed = place.call("heal", "--stack", str(place.stack_file))
    assert healed.returncode == ExitCode.PASS, healed.stdout + healed.stderr
    assert [ref.id for ref in control.find("server")] == [first, second]
    assert control.state(control.find("server")[0]).started == started


def test_a_container_of_another_user_reads_the_damaged_copy(place: DockerPlace) -> None:
    own(place, user="1000:1000")
    inject(place, CLOCK.wall() - 1)
    server = place.stack.server_of(1)
    assert wait_until(lambda: len(server.attempt().log) > 0, PATIENCE, CLOCK)
    found = server.attempt()
    assert (found.state, found.clean) == ("running", False)
    assert "NoSuchModelForCausalLM" in " ".join(found.log)


def test_a_whole_run_that_breaks_the_second_replicas_start(place: DockerPlace) -> None:
    first, second = own(place), own(place, 2)
    fault = {"type": "port_conflict", "target": {"role": "server", "replica": 2}}
    done = place.run(fault, fault="20s", checks=[{"type": "refuses_to_start", "within": "15s"}])
    assert done.returncode == ExitCode.PASS, done.stdout + done.stderr
    verdict = place.verdict()
    assert verdict["leftovers"] == []
    events = (place.last_run() / "history.jsonl").read_text(encoding="utf-8").splitlines()
    [recorded] = [e for e in map(json.loads, events) if e["type"] == "fault.recorded"]
    assert recorded["target"] == "server 2"
    told = {
        (e["service"], e["number"], e["replica"])
        for e in map(json.loads, events)
        if e["type"] == "container" and e["action"] in ("die", "start")
    }
    assert told == {("server", 2, 2)}, "the first was never touched"
    assert [ref.id for ref in place.stack.docker.find("server")] == [first, second]
