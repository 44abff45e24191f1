from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from docker import APIClient

from tests.stack.docker.fake_engine import ID, FakeEngine, inspected, listed, refusal
from vqchaos.errors import CapabilityMissing, StackError
from vqchaos.stack.container_protocols import Attachment, ContainerRef, ContainerState, Limits
from vqchaos.stack.docker import facts, host
from vqchaos.stack.docker.address import SOCKET
from vqchaos.stack.docker.client import Docker
from vqchaos.stack.docker.containers import DockerContainers

REF = ContainerRef(ID, "shop-server-1", "server", "server", 1)
MIB = 1024**2


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def control(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> DockerContainers:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    return DockerContainers("shop", {"server": ["big", "small"]}, Docker(engine))


def changes(engine: FakeEngine) -> list[str]:
    return [call[0] for call in engine.calls if call[0] != "containers"]


# ---------------------------------------------------------------- looking


def test_what_stands_in_for_a_server_is_that_replica(
    control: DockerContainers, engine: FakeEngine
) -> None:
    other = listed("server", 1, "9" * 64)
    other["Labels"] |= {"com.docker.compose.oneoff": "True", "io.vqchaos.stands-for": "1" * 64}
    engine.listing = [listed("server", 1, "1" * 64), listed("server", 2, "2" * 64), other]
    control = DockerContainers("shop", {"server": ["server"]}, Docker(engine))
    assert [(r.replica, r.id[0]) for r in control.find("server")] == [(1, "9"), (2, "2")]
    own = [place.own for place in control.places("server")]
    assert [(ref.replica, ref.id[0]) for ref in own if ref] == [(1, "1"), (2, "2")]


def test_replicas_run_on_over_the_services_in_their_order(
    control: DockerContainers, engine: FakeEngine
) -> None:
    engine.listing = [
        listed("small", 1, "1" * 64),
        listed("big", 10, "2" * 64),
        listed("big", 2, "3" * 64),
        listed("router", 1, "4" * 64),
    ]
    found = control.find("server")
    assert [(ref.replica, ref.name, ref.id[0]) for ref in found] == [
        (1, "shop-big-2", "3"),
        (2, "shop-big-10", "2"),
        (3, "shop-small-1", "1"),
    ]
    assert control.find("proxy") == []
    options = engine.calls[0][1]
    assert options == {
        "all": True,
        "filters": {"label": ["com.docker.compose.project=shop"]},
    }


def test_labels_and_names_are_data(control: DockerContainers, engine: FakeEngine) -> None:
    odd = listed("big", 1, ID)
    odd["Names"] = ["/shop\x1b[2J-big"]
    odd["Labels"]["com.docker.compose.container-number"] = "many"
    engine.listing = [odd, {"Id": "5" * 64, "Names": None, "State": "created", "Labels": {}}]
    assert [ref.name for ref in control.find("server")] == ["shop-big"]
    assert control.version() == "20.10.24"


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        ({}, ContainerState("running", 1795612817.1476505, 4321)),
        ({"Status": "paused"}, ContainerState("paused", 1795612817.1476505, 4321)),
        (
            {"Status": "exited", "Pid": 0, "ExitCode": 137},
            ContainerState("exited", 1795612817.1476505, None, 0, 137),
        ),
        (
            {"Status": "created", "Pid": 0, "StartedAt": "0001-01-01T00:00:00Z"},
            ContainerState("created"),
        ),
        (
            {"Status": "removing", "Pid": 0, "StartedAt": "2026-11-25T13:20:17Z"},
            ContainerState("dead", 1795612817.0, None, 0, 0),
        ),
        (
            {"Health": {"Status": "unhealthy"}},
            ContainerState("running", 1795612817.1476505, 4321, health="unhealthy"),
        ),
        ({"Health": {"Status": "none"}}, ContainerState("running", 1795612817.1476505, 4321)),
    ],
)
def test_states(
    control: DockerContainers, engine: FakeEngine, seen: dict[str, Any], state: ContainerState
) -> None:
    engine.container = inspected(**seen)
    assert control.state(REF) == state


@pytest.mark.parametrize(
    ("stamp", "wall"),
    [
        ("2026-11-01T10:00:00.5Z", 1793527200.5),
        ("2026-11-01T10:00:00.123456789Z", pytest.approx(1793527200.123456789, abs=1e-6)),
        ("2026-11-01T10:00:00Z", 1793527200.0),
        ("2026-11-01T11:00:00+01:00", 1793527200.0),
        ("0001-01-01T00:00:00Z", None),
        ("soon", None),
    ],
)
def test_dockers_times(stamp: str, wall: float | None) -> None:
    assert facts.moment(stamp) == wall


def test_two_starts_within_a_millisecond_differ() -> None:
    one = facts.moment("2026-11-25T13:20:17.147650438Z")
    other = facts.moment("2026-11-25T13:20:17.147951438Z")
    assert one is not None
    assert other is not None
    assert one < other


def test_one_that_is_gone_is_a_state_and_else_an_error(
    control: DockerContainers, engine: FakeEngine
) -> None:
    engine.container = None
    assert control.state(REF) == ContainerState("gone")
    with pytest.raises(StackError, match="shop-server-1 is gone: somebody removed it") as caught:
        control.pause(REF)
    assert "docker compose up" in str(caught.value.hint)


def test_another_projects_container_is_never_touched(
    control: DockerContainers, engine: FakeEngine
) -> None:
    engine.container = inspected(project="other")
    for act in (control.pause, control.start, control.crash, control.attachments):
        with pytest.raises(StackError, match="does not belong to the project shop"):
            act(REF)
    with pytest.raises(StackError, match="not a container's full id"):
        control.pause(ContainerRef("shop-server-1", "x", "server", "server", 1))
    assert changes(engine) == []


# ---------------------------------------------------------------- idempotence

TWICE: dict[str, tuple[str, Callable[[DockerContainers], object]]] = {
    "pause": ("paused", lambda c: c.pause(REF)),
    "unpause": ("running", lambda c: c.unpause(REF)),
    "kill": ("exited", lambda c: c.kill(REF, 9)),
    "stop": ("exited", lambda c: c.stop(REF, 3.0)),
    "start": ("running", lambda c: c.start(REF)),
}


@pytest.mark.parametrize("name", list(TWICE))
def test_what_is_so_already_is_left_alone(
    control: DockerContainers, engine: FakeEngine, name: str
) -> None:
    status, act = TWICE[name]
    engine.status = status
    act(control)
    assert (engine.status, changes(engine)) == (status, [])


@pytest.mark.parametrize("name", list(TWICE))
def test_where_somebody_else_was_faster_a_refusal_is_no_error(
    control: DockerContainers, engine: FakeEngine, name: str
) -> None:
    status, act = TWICE[name]
    engine.status = {"paused": "running", "running": "paused", "exited": "running"}[status]
    if name == "start":
        engine.status = "exited"

    def faster(_: str) -> None:
        engine.status = status
        raise refusal(500, "is so already")

    engine.before = faster
    act(control)
    assert changes(engine) == [name]


def test_a_refusal_for_another_reason_is_told_in_dockers_words(
    control: DockerContainers, engine: FakeEngine
) -> None:
    engine.status = "exited"
    with pytest.raises(StackError, match=r"shop-server-1: Docker said no \(409\): .*paused"):
        control.pause(REF)


def test_networks(control: DockerContainers, engine: FakeEngine) -> None:
    [place] = control.attachments(REF)
    assert place == Attachment("shop_default", ("server",)), "without the short id"
    control.connect(REF, place)
    assert changes(engine) == []
    control.disconnect(REF, "shop_default")
    control.disconnect(REF, "shop_default")
    control.connect(REF, Attachment("shop_default", ("server",), ipv4="10.1.2.3"))
    assert changes(engine) == ["disconnect", "connect"]
    assert control.attachments(REF) == [Attachment("shop_default", ("server",), "10.1.2.3")]
    control.connect(REF, place)  # an attachment that is otherwise is replaced
    assert changes(engine) == ["disconnect", "connect", "disconnect", "connect"]


def test_host_networking_is_no_place_to_be_taken_off(
    control: DockerContainers, engine: FakeEngine
) -> None:
    engine.networks.clear()
    engine.networks["host"] = {"Aliases": None, "IPAMConfig": None, "Links": None}
    assert control.attachments(REF) == []


# ---------------------------------------------------------------- limits


@pytest.mark.parametrize(
    ("now", "wanted", "update"),
    [
        ({}, Limits(64 * MIB, 64 * MIB), {"Memory": 64 * MIB, "MemorySwap": 64 * MIB}),
        ({}, Limits(64 * MIB), {"Memory": 64 * MIB, "MemorySwap": -1}),
        ({"Memory": 64 * MIB}, Limits(), {"Memory": 2**63 - 4096, "MemorySwap": -1}),
        ({}, Limits(cpus=0.5), {"CpuPeriod": 100_000, "CpuQuota": 50_000}),
        ({"CpuPeriod": 50_000, "CpuQuota": 25_000}, Limits(), {"CpuQuota": -1}),
        ({"NanoCpus": 2 * 10**9}, Limits(cpus=0.2), {"NanoCpus": 200_000_000}),
        ({"NanoCpus": 2 * 10**9}, Limits(cpus=2.0), None),
        ({"Memory": 2**63 - 4096, "MemorySwap": -1, "CpuQuota": -1}, Limits(), None),
    ],
)
def test_limits(
    control: DockerContainers,
    engine: FakeEngine,
    now: dict[str, int],
    wanted: Limits,
    update: dict[str, int] | None,
) -> None:
    assert engine.container is not None
    engine.container["HostConfig"].update(now)
    control.set_limits(REF, wanted)
    assert [call[1] for call in engine.calls] == ([update] if update else [])
    assert control.limits(REF) == wanted


def test_where_unlimited_swap_is_refused_its_number_is_taken(
    control: DockerContainers, engine: FakeEngine
) -> None:
    assert engine.container is not None
    engine.container["HostConfig"].update({"Memory": 64 * MIB, "MemorySwap": 64 * MIB})

    def version_1(_: str) -> None:
        if engine.calls[-1][1]["MemorySwap"] == -1:
            raise refusal(500, "failed to write 9223372036854771712: invalid argument")

    engine.before = version_1
    control.set_limits(REF, Limits())
    assert engine.calls[-1][1] == {"Memory": 2**63 - 4096, "MemorySwap": 2**63 - 4096}
    assert control.limits(REF) == Limits()


def test_a_limit_that_cannot_be_taken_off_is_an_error(
    control: DockerContainers, engine: FakeEngine
) -> None:
    assert engine.container is not None
    engine.container["HostConfig"]["NanoCpus"] = 10**9
    with pytest.raises(StackError, match="cannot take off"):
        control.set_limits(REF, Limits())


def test_ooms_are_asked_for_one_container_and_since(
    control: DockerContainers, engine: FakeEngine
) -> None:
    assert control.ooms(REF, 17.25) == 0
    engine.events = '{"Action": "oom"}\n{"Action": "oom"}\n'
    assert control.ooms(REF, 17.25) == 2
    path, window = engine.calls[0]
    assert (path, window["since"]) == ("/events", "17.250000")
    assert json.loads(window["filters"]) == {"container": [ID], "event": ["oom"]}


def test_the_daemon_is_known_by_its_own_id(
    control: DockerContainers, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = control.identity()
    assert found is not None
    assert (found.id, found.host) == ("DAEM:ON01 /data", SOCKET)
    monkeypatch.setattr(engine, "info", dict)
    assert control.identity() is None


def test_signals_are_asked_for_by_the_daemons_clock_and_since_the_latest_start(
    control: DockerContainers, engine: FakeEngine
) -> None:
    """The daemon says 13:21:00.5; the container was started at 13:20:17.1."""
    assert not control.signalled(REF, 20.0)
    engine.events = '{"Action": "kill"}\n'
    assert control.signalled(REF, 3600.0)
    short, long = (window for path, window in engine.calls)
    assert json.loads(short["filters"]) == {"container": [ID], "event": ["kill"]}
    assert float(short["until"]) - float(short["since"]) == pytest.approx(20.0)
    assert float(long["until"]) - float(long["since"]) == pytest.approx(43.352, abs=0.01)


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_the_answer_to_a_stop_is_waited_for_as_long_as_its_grace(
    verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By docker-py's own code: what it asks of requests."""
    asked: list[float] = []

    class Api(APIClient):  # type: ignore[misc]
        def inspect_container(self, container: str) -> dict[str, Any]:
            return inspected()

        def request(self, method: str, url: str, **options: Any) -> requests.Response:
            asked.append(options["timeout"])
            answer = requests.Response()
            answer.status_code = 204
            return answer

    with contextlib.closing(Api(base_url="tcp://127.0.0.1:1", version="1.41", timeout=20.0)) as api:
        getattr(DockerContainers("shop", {}, Docker(api)), verb)(REF, 45.0)
    assert asked == [65.0]


# ---------------------------------------------------------------- a crash


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "300"]) as process:
        yield process
        process.kill()


def own_cgroup(process: subprocess.Popen[bytes]) -> str:
    """Some text of the process's cgroups, to stand for the container's id in them."""
    return Path(f"/proc/{process.pid}/cgroup").read_text(encoding="utf-8").splitlines()[-1]


def test_the_very_process_is_killed(victim: subprocess.Popen[bytes]) -> None:
    assert host.kill_first(victim.pid, own_cgroup(victim), lambda: True) == "killed"
    assert victim.wait(10) == -signal.SIGKILL


def test_a_strangers_process_with_the_pid_is_not(victim: subprocess.Popen[bytes]) -> None:
    assert host.kill_first(victim.pid, ID, lambda: True) == "elsewhere"
    assert host.kill_first(victim.pid, ID, lambda: False) == "gone"
    assert host.kill_first(victim.pid, own_cgroup(victim), lambda: False) == "gone"
    assert victim.poll() is None


def test_a_process_that_is_not_there(victim: subprocess.Popen[bytes]) -> None:
    victim.kill()
    victim.wait(10)
    assert host.kill_first(victim.pid, ID, lambda: True) == "elsewhere"
    assert host.kill_first(victim.pid, ID, lambda: False) == "gone"


@pytest.fixture
def marked() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["/bin/sleep", "300"], env={"VQCHAOS_TOKEN": "t1"}) as process:
        yield process
        process.kill()


def test_only_what_carries_the_mark_is_killed(
    victim: subprocess.Popen[bytes], marked: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    for process in (victim, marked):  # a /proc of these two alone
        (tmp_path / str(process.pid)).symlink_to(f"/proc/{process.pid}")
    where = own_cgroup(marked)
    assert host.kill_marked(ID, "VQCHAOS_TOKEN=t1", tmp_path) is None, "another container's"
    assert host.kill_marked(where, "VQCHAOS_TOKEN=t", tmp_path) == 0, "a part of the token"
    assert host.kill_marked(where, "VQCHAOS_TOKEN=t1", tmp_path) == 1
    assert marked.wait(10) == -signal.SIGKILL
    assert victim.poll() is None


@pytest.mark.parametrize("status", ["paused", "exited", "restarting"])
def test_only_one_that_runs_can_crash(
    control: DockerContainers, engine: FakeEngine, status: str
) -> None:
    engine.status = status
    with pytest.raises(StackError, match=f"is {status}: it cannot crash"):
        control.crash(REF)


def test_a_daemon_whose_processes_are_not_here_needs_an_init(
    control: DockerContainers, engine: FakeEngine, victim: subprocess.Popen[bytes]
) -> None:
    assert engine.container is not None
    engine.container["State"]["Pid"] = victim.pid
    with pytest.raises(CapabilityMissing, match="not of this machine") as caught:
        control.crash(REF)
    assert "`init: true`" in str(caught.value.hint)
    assert victim.poll() is None


def test_a_remote_daemon(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.99:2376")
    control = DockerContainers("shop", {}, Docker(engine))
    assert control.state(REF).pid is None
    with pytest.raises(CapabilityMissing, match="on another machine"):
        control.crash(REF)
    with pytest.raises(CapabilityMissing, match="on another machine"):
        control.memory(REF)
