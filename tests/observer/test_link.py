"""The real process, real sockets, a scripted server."""

from __future__ import annotations

import itertools
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from tests.observer.conftest import SECRET, Make, Seen
from tests.scripted_server import ScriptedServer
from vqchaos.clock import RealClock, wait_until
from vqchaos.errors import UsageError, VqchaosError
from vqchaos.history.coding import encode
from vqchaos.history.events import (
    CanaryProbe,
    HealthProbe,
    LagProbe,
    MetricsProbe,
    ProcessStarted,
    Request,
    RouterReplica,
)
from vqchaos.load.workload import Workload
from vqchaos.observer.link import ObserverLink
from vqchaos.probes.golden import Canary, record_golden


def until(condition: object) -> None:
    assert callable(condition)
    assert wait_until(condition, 10, RealClock(), every=0.005)


def pid_of(link: ObserverLink) -> int:
    assert link._process is not None
    return link._process.pid


def test_everything_is_observed(link: Make, seen: Seen, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.touch()
    observer = link(events=str(events))
    was_alive = observer.alive
    seen.wait(Request, workload="pilot", outcome="ok")
    assert not seen.of(Request, workload="clients")  # no load before start_load
    observer.start_load()
    for request in seen.wait(Request, 20, workload="clients"):
        assert request.outcome == "ok"
        assert len(request.tokens) == 8
        assert 0 < request.due <= request.sent + 0.001 < request.first_token < request.ended
    me = os.getpid()
    record = {
        "event": "started",
        "role": "server",
        "pid": me,
        "start_time": 1.0,
        "mono": time.monotonic(),
    }
    events.write_text(json.dumps(record) + "\n")
    assert seen.wait(ProcessStarted)[0].pid == me
    assert seen.wait(HealthProbe, 3)[0].status == 200
    assert seen.wait(MetricsProbe)[0].values["iteration_tokens_total_count"] == 7
    assert seen.wait(LagProbe)[0].samples
    until(lambda: observer.status.in_flight > 0)
    assert not observer.status.paused
    assert observer.stop()
    assert was_alive
    assert not observer.alive
    assert observer.stop()  # idempotent
    ids = [e.id for e in seen.of(Request)]
    assert len(ids) == len(set(ids))


def test_the_observer_knows_which_header_names_the_replica(
    link: Make, seen: Seen, server: ScriptedServer
) -> None:
    server.replica = "server-1"
    observer = link()
    observer.start_load()
    assert seen.wait(Request, workload="clients")[0].replica == "server-1"
    assert seen.wait(Request, workload="pilot")[0].replica == "server-1"


def test_the_routers_word_on_its_replicas_is_written_when_it_changes(
    link: Make, seen: Seen, server: ScriptedServer
) -> None:
    server.stats = "# pxname,svname,status,\nreplicas,server-1,UP,\nreplicas,BACKEND,UP,\n"
    observer = link(router_stats=f"{server.url}/stats;csv")
    assert seen.wait(RouterReplica)[0].up is True
    server.stats = server.stats.replace("server-1,UP", "server-1,DOWN")
    assert seen.wait(RouterReplica, 2)[1].up is False
    assert observer.stop()
    assert len(seen.of(RouterReplica)) == 2


def test_a_workload_goes_to_the_endpoint_that_it_names(
    link: Make, seen: Seen, server: ScriptedServer
) -> None:
    with ScriptedServer(replica="server-2") as other:
        observer = link(workload=Workload(rate=40, endpoint="two"), named={"two": other.url})
        observer.start_load()
        assert seen.wait(Request, workload="clients")[0].replica == "server-2"
        assert seen.wait(Request, workload="pilot")[0].replica is None
        assert observer.stop()
    assert other.seen
    clients = {r.id for r in seen.of(Request, workload="clients")}
    assert not clients & {s.id for s in server.seen}


def test_drain_pause_and_resume(link: Make, seen: Seen, server: ScriptedServer) -> None:
    observer = link()
    observer.start_load()
    seen.wait(Request, 3, workload="clients")
    assert observer.drain(5)
    assert observer.status.in_flight == 0
    assert observer.status.paused
    count = len(seen.of(Request, workload="clients"))
    pilots = len(seen.of(Request, workload="pilot"))
    seen.wait(Request, pilots + 3, workload="pilot")  # the pilot goes on
    assert len(seen.of(Request, workload="clients")) == count
    observer.resume()
    seen.wait(Request, count + 3, workload="clients")
    server.behaviour = "hang-after"
    before = len(server.seen)
    until(lambda: len(server.seen) >= before + 3 and observer.status.streaming > 0)
    assert not observer.drain(0.3)
    observer.resume()
    until(lambda: not observer.status.paused)


def test_stop_cancels_what_is_in_flight(link: Make, seen: Seen, server: ScriptedServer) -> None:
    server.behaviour = "hang"
    observer = link()
    observer.start_load()
    until(lambda: observer.status.in_flight >= 5)
    assert observer.stop()
    cancelled = seen.of(Request, outcome="cancelled", workload="clients")
    assert len(cancelled) >= 5
    assert len(server.seen) <= len(seen.of(Request)) + 2
    until(lambda: all(s.disconnected for s in server.seen))


def test_the_canary_is_alone(link: Make, seen: Seen, server: ScriptedServer) -> None:
    observer = link()
    observer.start_load()
    seen.wait(Request, 3, workload="clients")
    assert observer.canary("baseline", 10)
    probes = seen.of(CanaryProbe)
    assert [p.moment for p in probes] == ["baseline"] * 4
    assert {p.api for p in probes} == {"completions", "chat"}
    assert all(p.outcome == "ok" and p.tokens and p.logprobs for p in probes)
    assert len(seen.of(Request, workload="canary")) == 4
    spans = [(p.sent, p.t) for p in probes]
    assert all(a[1] <= b[0] + 1e-5 for a, b in itertools.pairwise(spans))
    quiet_from, quiet_to = spans[0][0], spans[-1][1]
    others = [r for r in seen.of(Request) if r.workload != "canary"]
    assert not [r for r in others if r.ended > quiet_from and r.sent < quiet_to]
    assert observer.status.paused
    count = len(seen.of(Request, workload="pilot"))
    seen.wait(Request, count + 1, workload="pilot")  # the pilot is back by itself
    server.behaviour = "garbage"
    assert not observer.canary("fault", 10, direct=True)
    assert seen.of(CanaryProbe, moment="fault", outcome="corrupted")


def test_the_canary_under_load_leaves_the_load_running(
    link: Make, seen: Seen, server: ScriptedServer
) -> None:
    observer = link()
    observer.start_load()
    seen.wait(Request, 3, workload="clients")
    assert observer.canary_under_load(10)
    assert not observer.status.paused
    probes = seen.of(CanaryProbe)
    assert [(p.moment, p.outcome) for p in probes] == [("load", "ok")] * 4
    count = len(seen.of(Request, workload="clients"))
    seen.wait(Request, count + 1, workload="clients")
    server.behaviour = "garbage"
    assert not observer.canary_under_load(10)


def test_the_canary_knows_its_golden_answers(
    link: Make, seen: Seen, server: ScriptedServer, tmp_path: Path
) -> None:
    canary = Canary(name="one", api="completions", prompt="One,", max_tokens=4)
    path = tmp_path / "golden.json"
    golden = record_golden(server.url, "m", [canary], model_sha256="")
    golden.write(path)
    observer = link(golden=path)
    assert observer.canary("baseline", 10)
    path.write_text(path.read_text().replace("five", "nine"))
    assert not link(golden=path).canary("final", 10)
    probe = seen.of(CanaryProbe, moment="final")[0]
    assert probe.outcome == "corrupted"
    assert probe.expected_text == " nine, six,"
    assert probe.text == " five, six,"


def test_a_canary_that_cannot_be_quiet_in_time(
    link: Make, seen: Seen, server: ScriptedServer
) -> None:
    server.behaviour = "hang"
    observer = link()
    observer.start_load()
    until(lambda: observer.status.in_flight > 0)
    assert not observer.canary("baseline", 0.3)
    server.behaviour = "ok"
    observer.resume()
    seen.wait(Request, 1, workload="clients", outcome="ok")


def test_tokens_on_demand(link: Make, server: ScriptedServer, seen: Seen) -> None:
    observer = link(direct="http://127.0.0.1:9")
    assert observer.token(direct=False, timeout=5)
    assert not observer.token(direct=True, timeout=5)
    server.behaviour = "hang"
    assert not observer.token(direct=False, timeout=0.2)
    seen.wait(Request, workload="pilot", outcome="refused")  # the pilot asks the server itself
    observer.baseline_over()


def test_secrets_are_in_no_event_and_on_no_command_line(
    link: Make, seen: Seen, server: ScriptedServer
) -> None:
    server.behaviour = "echo-secret"
    observer = link()
    process = psutil.Process(pid_of(observer))
    assert SECRET not in " ".join(process.cmdline())
    assert SECRET not in str(process.environ())
    observer.start_load()
    seen.wait(Request, 3, workload="clients", outcome="error")
    observer.canary("baseline", 10)
    assert observer.stop()
    assert SECRET not in json.dumps([encode(e) for e in seen.events])
    assert server.headers_seen[-1]["authorization"] == f"Bearer {SECRET}"


def test_the_terminals_ctrl_c_does_not_reach_it(link: Make, seen: Seen) -> None:
    observer = link()
    os.kill(pid_of(observer), signal.SIGINT)
    assert os.getsid(pid_of(observer)) == pid_of(observer)
    count = len(seen.of(Request))
    seen.wait(Request, count + 2, workload="pilot")
    assert observer.stop()


def test_a_killed_observer_is_an_error_at_the_next_call(link: Make) -> None:
    observer = link()
    observer.start_load()
    os.kill(pid_of(observer), signal.SIGKILL)
    until(lambda: not observer.alive)
    with pytest.raises(VqchaosError, match=r"the observer died \(exit code -9\)"):
        observer.drain(5)
    assert not observer.stop()


def test_a_crashed_observer_says_why(link: Make) -> None:
    observer = link()
    observer._write(b'{"cmd": "dance"}\n')
    until(lambda: not observer.alive)
    with pytest.raises(VqchaosError, match="unknown command 'dance'"):
        observer.resume()
    assert not observer.stop()


def test_it_ends_when_its_runner_is_gone(link: Make, seen: Seen) -> None:
    observer = link()
    assert observer._process is not None
    assert observer._process.stdin is not None
    observer._process.stdin.close()  # what a SIGKILL of the runner does
    assert observer._process.wait(5) == 0


def test_a_reader_that_stands_still_does_not_stop_the_clock(link: Make, seen: Seen) -> None:
    gate = threading.Event()

    def blocked(event: object) -> None:
        gate.wait(10)
        seen(event)  # type: ignore[arg-type]

    observer = link(Workload(rate=200, max_tokens=32), on_event=blocked)
    observer.start_load()
    time.sleep(0.8)  # about a hundred requests, more than the pipe holds
    gate.set()
    assert observer.stop()
    late = [x for e in seen.of(LagProbe) for x in e.samples]
    assert sorted(late)[len(late) // 2] < 0.1
    assert len(seen.of(Request, workload="clients")) > 50


def test_an_event_that_cannot_be_recorded_is_an_error(link: Make) -> None:
    def full(_event: object) -> None:
        raise OSError("disk full")

    observer = link(on_event=full)
    with pytest.raises(VqchaosError, match="disk full"):
        until(lambda: observer.drain(0.01) and False)


def test_wrong_files_are_found_before_anything_starts(link: Make, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        link(Workload(prompts=tmp_path / "none.txt"))
    with pytest.raises(UsageError, match="cannot read"):
        link(golden=tmp_path / "none.json")


def test_a_person_who_starts_it_by_hand_is_told() -> None:
    command = [sys.executable, "-m", "vqchaos.observer"]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False
    )
    assert done.returncode == 2
    assert b"vqchaos run" in done.stderr


def test_three_thousand_hung_requests_do_no_harm(
    server: ScriptedServer, link: Make, seen: Seen
) -> None:
    """The observer may open so many files, goes on to probe, and ends each as cancelled."""
    server.behaviour = "hang"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the server's ends are here
    try:
        load = {"rate": 1500, "arrivals": "constant", "max_tokens": 3, "deadline": "5m"}
        observer = link(Workload.model_validate(load))
        observer.start_load()
        assert wait_until(lambda: observer.status.in_flight >= 3000, 60, RealClock(), every=0.05)
        observer.pause()
        probes = len(seen.of(HealthProbe))
        seen.wait(HealthProbe, probes + 3)
        assert observer.stop(timeout=60)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    requests = seen.of(Request, workload="clients")
    assert len(requests) >= 3000
    assert {r.outcome for r in requests} == {"cancelled"}
