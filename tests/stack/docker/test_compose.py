"""What is asked of Compose, against a stand-in on PATH that writes down how it was called."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from vqchaos.errors import CapabilityMissing, StackError, UsageError
from vqchaos.stack.config import DockerStackFile
from vqchaos.stack.docker.address import NAMES, SOCKET
from vqchaos.stack.docker.compose import Compose, advice, read_env

PROGRAM = f"""#!{sys.executable}
import json, os, pathlib, sys
log = pathlib.Path({{log!r}})
if sys.argv[1:] == ["compose", "version"]:
    sys.exit(0 if {{plugin!r}} else 1)
env = {{{{k: os.environ.get(k) for k in {{names!r}}}}}}
log.write_text(json.dumps({{{{"argv": sys.argv, "env": env, "cwd": os.getcwd()}}}}))
print("Creating \\x1b[31mserver-1\\x1b[0m ... done")
print({{says!r}})
sys.exit({{code!r}})
"""


def put(folder: Path, name: str, **values: Any) -> Path:
    given = {"log": str(folder / "log.json"), "plugin": True, "says": "", "code": 0, **values}
    given.setdefault("names", ("COMPOSE_PROFILES", "ONE", "TWO"))
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(PROGRAM.format(**given), encoding="utf-8")
    path.chmod(0o755)
    return folder / "log.json"


def stack_file(**changes: Any) -> DockerStackFile:
    data = {
        "name": "docker",
        "kind": "docker",
        "url": "http://127.0.0.1:18100",
        "model": "qwen3",
        "project": "vqchaos",
        "services": {"server": ["server-1", "server-2"], "proxy": "toxiproxy"},
        "compose": "compose.yml",
        **changes,
    }
    return DockerStackFile.model_validate(data)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "compose.yml").write_text("services: {}\n", encoding="utf-8")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def up(place: Path, **changes: Any) -> list[str]:
    said: list[str] = []
    Compose.of(stack_file(**changes), place / "docker.yaml").up(said.append)
    return said


def test_up_names_project_files_and_profiles(place: Path) -> None:
    (place / "vars.env").write_text("# theirs\nONE=1\nTWO=two\n", encoding="utf-8")
    log = put(place, "docker")
    said = up(place, profiles=["cpu", "extra"], env={"TWO": "ours"}, env_file="vars.env")
    call = json.loads(log.read_text(encoding="utf-8"))
    assert call["argv"][1:] == [
        *("compose", "-p", "vqchaos", "-f", str(place / "compose.yml")),
        *("up", "-d"),
    ]
    assert call["env"] == {"COMPOSE_PROFILES": "cpu,extra", "ONE": "1", "TWO": "ours"}
    assert said == ["Creating server-1 ... done"], "progress is text, never an escape"


@pytest.mark.parametrize("volumes", [False, True])
def test_down_takes_volumes_only_if_told_and_never_orphans(place: Path, volumes: bool) -> None:
    log = put(place, "docker")
    Compose.of(stack_file(), place / "docker.yaml").down(lambda _: None, volumes=volumes)
    argv = json.loads(log.read_text(encoding="utf-8"))["argv"]
    more = ["--volumes"] if volumes else []
    assert argv[argv.index("down") :] == ["down", *more, "--timeout", "20"]


def test_services_are_what_compose_says_without_its_warnings(place: Path) -> None:
    put(place, "docker", says='The "X" variable is not set.\nserver-1\nprom_1')
    assert Compose.of(stack_file(), place / "docker.yaml").services() == {"server-1", "prom_1"}


def test_the_older_program_is_used_where_the_plugin_is_not(place: Path) -> None:
    put(place, "docker", plugin=False)
    log = put(place, "docker-compose")
    up(place)
    assert json.loads(log.read_text(encoding="utf-8"))["argv"][0].endswith("docker-compose")


def test_no_compose_at_all_says_what_to_install(place: Path) -> None:
    with pytest.raises(CapabilityMissing, match="no Compose") as raised:
        up(place)
    assert "docker-compose" in (raised.value.hint or "")


def test_a_failure_is_told_in_composes_words_with_the_way_out(place: Path) -> None:
    put(place, "docker", says="Cannot connect to the Docker daemon at unix:///x", code=1)
    with pytest.raises(StackError, match=r"exit code 1:\n.*server-1") as raised:
        up(place)
    assert "start the daemon" in (raised.value.hint or "")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("dial unix /var/run/docker.sock: connect: permission denied", "group docker"),
        ("pull access denied for vllm/vllm-openai", "image is missing"),
        ("Bind for 127.0.0.1:8100 failed: port is already allocated", "another program"),
        ("something else", "by hand"),
    ],
)
def test_advice(text: str, word: str) -> None:
    assert word in advice(text)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"compose": None}, "somebody else"),
        ({"compose": ["compose.yml", "more.yml"]}, "no file .*more.yml"),
        ({"env_file": "no.env"}, "no file .*no.env"),
    ],
)
def test_what_is_not_there_is_told_before_anything_runs(
    place: Path, changes: dict[str, Any], word: str
) -> None:
    log = put(place, "docker")
    with pytest.raises(UsageError, match=word):
        up(place, **changes)
    assert not log.exists()


def test_a_broken_env_file_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "vars.env"
    path.write_text("A=1\n\nnot a line\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"vars\.env:3: expected NAME=value"):
        read_env(path)


def daemon_of_compose(place: Path, **changes: Any) -> dict[str, str | None]:
    log = put(place, "docker", names=NAMES)
    up(place, **changes)
    found: dict[str, str | None] = json.loads(log.read_text(encoding="utf-8"))["env"]
    return found


def test_compose_is_told_the_daemon_and_no_context(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    none: dict[str, str | None] = dict.fromkeys(NAMES)
    assert daemon_of_compose(place) == none | {"DOCKER_HOST": SOCKET}
    (place / "vars.env").write_text("DOCKER_HOST=unix:///run/theirs.sock\n", encoding="utf-8")
    theirs = none | {"DOCKER_HOST": "unix:///run/theirs.sock"}
    assert daemon_of_compose(place, env_file="vars.env") == theirs
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/theirs.sock")
    monkeypatch.setenv("DOCKER_CONTEXT", "elsewhere")
    assert daemon_of_compose(place, env_file="vars.env") == theirs


def test_compose_is_not_run_on_another_daemon(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = put(place, "docker")
    monkeypatch.setenv("DOCKER_HOST", "tcp://far.example:2375")
    with pytest.raises(UsageError, match="different daemons"):
        up(place, env={"DOCKER_HOST": "unix:///run/theirs.sock"})
    assert not log.exists()
