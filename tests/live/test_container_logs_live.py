"""What containers wrote during a run is kept with it, on a real Docker daemon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.live.compose_like import PATIENCE, SERVES, Project
from tests.live.docker_place import DockerPlace
from vqchaos.clock import RealClock, wait_until
from vqchaos.errors import ExitCode
from vqchaos.stack.docker import logs
from vqchaos.stack.docker.facts import moment

pytestmark = [
    pytest.mark.docker,
    pytest.mark.timeout(180),
    pytest.mark.usefixtures("sockets_of_docker_py"),
]
CLOCK = RealClock()
SECRET = "sk-veryverysecret"
TALKS = ["/bin/sh", "-c", f"while :; do echo 'says {SECRET} \x1b[31mred'; sleep 0.1; done"]
# 11 MB, then a word at the end.
FLOOD = [
    "/bin/sh",
    "-c",
    f"busybox yes {'x' * 250} | head -c 11000000; echo; echo over; " + SERVES[2],
]


def test_each_containers_log_since_the_run_began_is_kept_clean_and_without_secrets(
    place: DockerPlace,
) -> None:
    place.servers(1)
    place.project.add("server", 2, command=TALKS)
    with place.stack_file.open("a", encoding="utf-8") as file:
        file.write("api_key_env: CHAOS_KEY\n")
    target = {"role": "server", "replica": 2}
    words = place.words({"type": "container_cpu", "target": target, "cpus": 0.5})
    done = place.call(*words, "--out", str(place.out), CHAOS_KEY=SECRET)
    assert done.returncode == ExitCode.PASS, done.stderr
    run = place.last_run()
    names = [f"{place.project.name}-server-{n}.log" for n in (1, 2)]
    assert sorted(path.name for path in (run / "logs").iterdir()) == names
    assert (run / "logs" / names[0]).read_text() == ""
    lines = (run / "logs" / names[1]).read_text().splitlines()
    assert len(lines) > 5
    assert {line.partition(" ")[2] for line in lines} == {"says [redacted] red"}
    events = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    times = [moment(line.partition(" ")[0]) for line in lines]
    assert all(time is not None and time >= events[0]["started_wall"] for time in times)


def test_a_container_removed_in_mid_run_is_a_note(place: DockerPlace) -> None:
    first, _ = place.servers(2)
    remove = ["docker", "rm", "-f", first]
    fault = {"type": "command", "inject": remove, "held": False}
    done = place.run(fault)
    assert "Traceback" not in done.stderr
    assert any(f"the container {first[:12]} of server was removed" in n for n in place.notes())
    kept = [path.name for path in (place.last_run() / "logs").iterdir()]
    assert kept == [f"{place.project.name}-server-2.log"]


def test_megabytes_are_cut_to_their_end(project: Project, tmp_path: Path) -> None:
    identifier = project.add(command=FLOOD)

    def over() -> bool:
        return b"over" in project.api.logs(identifier, tail=1)

    assert wait_until(over, PATIENCE, CLOCK)
    remarks = logs.of_run(project.name, {"server": ["server"]}, tmp_path, 0.0, str)
    assert remarks == []
    [path] = (tmp_path / "logs").iterdir()
    assert path.stat().st_size < logs.LONGEST + 100
    assert path.read_text().rstrip().endswith("over")


def test_a_terminals_log_is_read_too(project: Project, tmp_path: Path) -> None:
    made: Any = project.api.create_container(
        "vqchaos-test:busybox",
        ["/bin/sh", "-c", "echo one; echo two; " + SERVES[2]],
        tty=True,
        name=f"{project.name}-server-1",
        labels={
            **project.labels,
            "com.docker.compose.service": "server",
            "com.docker.compose.container-number": "1",
            "com.docker.compose.oneoff": "False",
        },
    )
    project.api.start(made["Id"])
    assert wait_until(lambda: b"two" in project.api.logs(made["Id"]), PATIENCE, CLOCK)
    assert logs.of_run(project.name, {"server": ["server"]}, tmp_path, 0.0, str) == []
    [path] = (tmp_path / "logs").iterdir()
    words = [line.partition(" ")[2].strip() for line in path.read_text().splitlines() if line]
    assert [word for word in words if word] == ["one", "two"]
