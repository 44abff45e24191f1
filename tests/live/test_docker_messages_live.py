"""What goes wrong with Docker ends in a clear message with the way out and the design's exit code:
3 for what is not there or not healthy, 4 while a fault may be in force."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.crash.harness import victim
from tests.live.compose_like import IMAGE, PATIENCE, SERVES, Project
from tests.live.docker_place import FAULTS, VQCHAOS, DockerPlace, docker_place, limited
from tests.live.private_daemon import PrivateDaemon, private_daemon
from vqchaos.clock import RealClock, wait_until
from vqchaos.errors import ExitCode

pytestmark = [
    pytest.mark.docker,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("sockets_of_docker_py"),
]
CLOCK = RealClock()
PAUSE = {"type": "container_pause"}
NOBODY = 65534
COMMANDS = ("up", "down", "status", "plan", "run")


@pytest.fixture(scope="module")
def daemon() -> Iterator[PrivateDaemon]:
    with private_daemon() as made:
        yield made


@pytest.fixture(params=[True, False], ids=["live-restore", "without live-restore"])
def restartable(
    daemon: PrivateDaemon,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[DockerPlace, PrivateDaemon, bool]]:
    """A stack on a daemon that may be stopped, and whether its containers outlive that."""
    live_restore = bool(request.param)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DOCKER_HOST", daemon.host)
    daemon.stop()
    daemon.start(live_restore=live_restore)
    project = Project(daemon.api())
    with docker_place(tmp_path, project, daemon.host) as made:
        made.servers(1)
        yield made, daemon, live_restore
    daemon.start(live_restore=False)
    project.remove()
    project.api.close()


def words(place: DockerPlace, command: str) -> list[str]:
    """With a compose file, which only up and down read."""
    compose = place.folder / "compose.yml"
    service = {"image": IMAGE, "command": SERVES}
    compose.write_text(yaml.safe_dump({"version": "2.4", "services": {"server": service}}))
    stack = yaml.safe_load(place.stack_file.read_text())
    place.stack_file.write_text(yaml.safe_dump({**stack, "compose": "compose.yml"}))
    if command == "run":
        return [*place.words(PAUSE), "--out", str(place.out)]
    if command == "plan":
        return ["plan", str(place.experiment(PAUSE)), "--stack", str(place.stack_file)]
    return [command, "--stack", str(place.stack_file)]


def says(done: subprocess.CompletedProcess[str], code: int, *texts: str) -> None:
    """All of the texts, in that case or another, and no traceback."""
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert "Traceback" not in said
    flowing = " ".join(said.replace("│", " ").split()).lower()
    for text in texts:
        assert text.lower() in flowing, said


# ---------------------------------------------------------------- nobody to talk to


@pytest.mark.parametrize("command", COMMANDS)
def test_no_daemon(place: DockerPlace, command: str) -> None:
    host = f"unix://{place.folder}/none.sock"
    done = place.call(*words(place, command), DOCKER_HOST=host)
    says(done, ExitCode.UNKNOWN, "docker", "daemon", "start", "systemctl start docker")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_daemon_that_this_user_may_not_talk_to(place: DockerPlace, command: str) -> None:
    """Root without its right to overlook whose a file is: as any other user."""
    path = place.folder / "d.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        os.chown(path, NOBODY, NOBODY)
        path.chmod(0o600)
        done = subprocess.run(
            [
                "setpriv",
                "--bounding-set=-dac_override,-dac_read_search",
                *VQCHAOS,
                *words(place, command),
            ],
            env={**place.env, "DOCKER_HOST": f"unix://{path}"},
            cwd=place.folder,
            capture_output=True,
            text=True,
            check=False,
        )
    says(done, ExitCode.UNKNOWN, "may not talk to", "group docker")


def test_heal_without_a_daemon(place: DockerPlace) -> None:
    place.servers(1)
    host = f"unix://{place.folder}/none.sock"
    blind = place.call("heal", "--stack", str(place.stack_file), DOCKER_HOST=host)
    says(blind, ExitCode.UNCLEAN, "could not look", "daemon is not running")
    with victim("hold", [*place.words(PAUSE), "--no-watchdog"], place.out, env=place.env) as runner:
        runner.await_step()
        runner.process.kill()
        runner.process.wait(PATIENCE)
    stuck = place.call("heal", "--stack", str(place.stack_file), DOCKER_HOST=host)
    says(stuck, ExitCode.UNCLEAN, "not reverted", "daemon is not running", "docker unpause")
    healed = place.call("heal", "--stack", str(place.stack_file))
    says(healed, ExitCode.PASS, "reverted")
    assert paused(place) == []


def test_heal_on_another_daemon(place: DockerPlace, daemon: PrivateDaemon) -> None:
    """It has no such container, which would count as undone."""
    place.servers(1)
    with victim("hold", [*place.words(PAUSE), "--no-watchdog"], place.out, env=place.env) as runner:
        runner.await_step()
        runner.process.kill()
        runner.process.wait(PATIENCE)
    stuck = place.call("heal", "--stack", str(place.stack_file), DOCKER_HOST=daemon.host)
    says(stuck, ExitCode.UNCLEAN, "is another", f"DOCKER_HOST={place.host} vqchaos heal")
    assert len(paused(place)) == 1
    healed = place.call("heal", "--stack", str(place.stack_file))
    says(healed, ExitCode.PASS, "reverted")
    assert paused(place) == []


def test_an_image_that_is_missing(place: DockerPlace) -> None:
    command = words(place, "up")
    service = {"image": "localhost:1/vqchaos-test:none", "command": SERVES}
    text = yaml.safe_dump({"version": "2.4", "services": {"server": service}})
    (place.folder / "compose.yml").write_text(text)
    says(place.call(*command), ExitCode.UNKNOWN, "vqchaos-test", "image", "pull", "docs/docker.md")


def test_down_leaves_a_strangers_container_and_volumes(place: DockerPlace) -> None:
    """By the real Compose. The volume goes when that is asked for, by its Compose name."""
    project, api = place.project, place.project.api
    command = words(place, "down")
    compose = yaml.safe_load((place.folder / "compose.yml").read_text())
    (place.folder / "compose.yml").write_text(yaml.safe_dump({**compose, "volumes": {"data": {}}}))
    place.servers(1)
    stranger = project.add("grafana")
    other = {"com.docker.compose.service": "server", "io.vqchaos.stands-for": "1" * 64}
    api.create_container(IMAGE, SERVES, labels={**project.labels, **other})
    volume = f"{project.name}_data"
    labels = {**project.labels, "com.docker.compose.volume": "data"}
    api.create_volume(volume, labels=labels)
    try:
        done = place.call(*command)
        says(done, ExitCode.PASS, "left alone", "grafana-1", project.network, volume, "--volumes")
        filters = {"label": f"com.docker.compose.project={project.name}"}
        assert [c["Id"] for c in api.containers(all=True, filters=filters)] == [stranger]
        assert api.inspect_container(stranger)["State"]["Running"]
        assert api.inspect_volume(volume)["Name"] == volume
        api.remove_container(stranger, force=True)
        says(place.call(*command, "--volumes"), ExitCode.PASS, "nothing of this stack is left")
        assert place.stack.leftovers() == []
    finally:
        for left in api.volumes(filters={"name": volume})["Volumes"] or []:
            api.remove_volume(left["Name"])


def test_a_context_of_docker_is_the_daemon_where_no_host_is_named(place: DockerPlace) -> None:
    """Made by Docker's own command."""
    config = place.folder / "config"
    none = f"unix://{place.folder}/none.sock"
    env = {**place.env, "DOCKER_CONFIG": str(config), "DOCKER_HOST": ""}
    make = ["docker", "context", "create", "far", "--docker", f"host={none}"]
    for command in (make, ["docker", "context", "use", "far"]):
        subprocess.run(command, env=env, check=True, capture_output=True)
    named = {"DOCKER_CONFIG": str(config), "DOCKER_HOST": ""}
    done = place.call(*words(place, "status"), **named)
    says(done, ExitCode.UNKNOWN, f"daemon is not running at {none}")
    lost = place.call(*words(place, "status"), **named, DOCKER_CONTEXT="lost")
    says(lost, ExitCode.USAGE, "no Docker context 'lost'")


def test_an_env_file_names_the_daemon_of_compose_and_of_the_api(place: DockerPlace) -> None:
    [server] = place.servers(1)
    command = words(place, "down")
    stack = yaml.safe_load(place.stack_file.read_text())
    place.stack_file.write_text(yaml.safe_dump({**stack, "env_file": "vars.env"}))
    (place.folder / "vars.env").write_text(f"DOCKER_HOST={place.host}\n")
    none = f"unix://{place.folder}/none.sock"
    other = place.call(*command, DOCKER_HOST=none)
    says(other, ExitCode.USAGE, "different daemons", f"DOCKER_HOST={place.host}", none)
    assert place.project.api.inspect_container(server)["State"]["Running"]
    says(place.call(*command, DOCKER_HOST="", DOCKER_CONTEXT="lost"), ExitCode.PASS)
    assert place.stack.leftovers() == []


# ---------------------------------------------------------------- under way


def paused(place: DockerPlace) -> list[str]:
    control = place.stack.docker
    refs = control.find("server")
    return [ref.name for ref in refs if control.state(ref).status == "paused"]


def running(place: DockerPlace) -> bool:
    control = place.stack.docker
    return [control.state(ref).status for ref in control.find("server")] == ["running"]


def test_a_daemon_that_is_down_when_a_fault_must_be_reverted(
    restartable: tuple[DockerPlace, PrivateDaemon, bool],
) -> None:
    place, daemon, live_restore = restartable
    with victim("hold", place.words(PAUSE), place.out, env=place.env) as runner:
        runner.await_step()
        assert len(paused(place)) == 1
        daemon.stop()
        assert runner.ends() == ExitCode.UNCLEAN
        out, errors = runner.process.communicate()
    said = subprocess.CompletedProcess([], ExitCode.UNCLEAN, out, errors)
    says(said, ExitCode.UNCLEAN, "daemon is not running", "vqchaos heal")
    [fault] = place.verdict()["faults"]
    assert "not running" in fault["error"]
    assert [item["kind"] for item in place.verdict()["leftovers"]] == ["fault"]
    daemon.start(live_restore=live_restore)
    says(place.call("heal", "--stack", str(place.stack_file)), ExitCode.PASS, "reverted")
    assert wait_until(lambda: running(place), PATIENCE, CLOCK)


def test_a_daemon_that_was_restarted_under_a_fault(
    restartable: tuple[DockerPlace, PrivateDaemon, bool],
) -> None:
    place, daemon, live_restore = restartable
    with victim("hold", place.words(PAUSE), place.out, env=place.env) as runner:
        runner.await_step()
        daemon.stop()
        daemon.start(live_restore=live_restore)
        assert bool(paused(place)) == live_restore, "else it was started anew"
        code = runner.ends()
        said = "".join(runner.process.communicate())
    assert code in (ExitCode.PASS, ExitCode.FAIL, ExitCode.UNKNOWN), said
    assert "Traceback" not in said
    assert place.verdict()["leftovers"] == []
    assert place.verdict()["faults"][0]["reverted_at"] is not None
    assert wait_until(lambda: running(place), PATIENCE, CLOCK)


@pytest.mark.parametrize("restartable", [False], indirect=True)
def test_a_daemon_that_is_down_before_a_fault(
    restartable: tuple[DockerPlace, PrivateDaemon, bool],
) -> None:
    place, daemon, _ = restartable
    with victim("before-ledger", place.words(PAUSE), place.out, env=place.env) as runner:
        runner.await_step()
        daemon.stop()
        code = runner.ends()
        said = "".join(runner.process.communicate())
    assert "Traceback" not in said
    assert "daemon is not running" in " ".join(said.split())
    # It was recorded and its injection failed: whether it is in force nobody can see.
    assert code == ExitCode.UNCLEAN, said


def test_a_container_removed_by_somebody_else(place: DockerPlace) -> None:
    [identifier] = place.servers(1)
    with victim("hold", place.words(PAUSE), place.out, env=place.env) as runner:
        runner.await_step()
        place.project.api.remove_container(identifier, force=True)
        code = runner.ends()
        said = "".join(runner.process.communicate())
    assert code in (ExitCode.PASS, ExitCode.FAIL, ExitCode.UNKNOWN), said
    assert "Traceback" not in said
    undone = [e for e in history(place) if e["type"] == "fault.reverted"]
    assert "is gone" in undone[0]["note"]
    assert not any(item["kind"] == "fault" for item in place.verdict()["leftovers"])


def test_a_strangers_project_with_services_of_the_same_names(
    place: DockerPlace, other_project: Project
) -> None:
    place.servers(len(FAULTS), **limited())
    theirs = [other_project.add("server", n, **limited()) for n in range(1, len(FAULTS) + 1)]

    def seen() -> list[Any]:
        found = [other_project.api.inspect_container(each) for each in theirs]
        return [[i["State"], i["HostConfig"], i["NetworkSettings"]["Networks"]] for i in found]

    before = seen()
    done = place.run(*FAULTS)
    says(done, ExitCode.PASS)
    assert [fault["verified"] for fault in place.verdict()["faults"]] == ["yes"] * len(FAULTS)
    assert seen() == before


def history(place: DockerPlace) -> list[dict[str, Any]]:
    text = (place.last_run() / "history.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]
