from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from tests.stack.local.conftest import Bench, eventually
from vqchaos.clock import RealClock
from vqchaos.errors import StackError
from vqchaos.stack.local import groups, launcher, residue
from vqchaos.stack.local.state_files import EVENTS, MARK
from vqchaos.stack.protocols import StartOverride


def events(bench: Bench) -> list[dict[str, Any]]:
    path = bench.paths.up / EVENTS
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_clean_start_is_written_down(bench: Bench) -> None:
    server = bench.server()
    bench.launch()
    before = time.monotonic()
    server.start_clean()
    attempt = server.attempt()
    assert (attempt.generation, attempt.state, attempt.clean) == (1, "running", True)
    assert attempt.started is not None
    assert before <= attempt.started <= time.monotonic()
    process = server.process()
    assert process is not None
    assert process.pid == attempt.pid
    [event] = events(bench)
    assert event["event"] == "started"
    assert event["role"] == "server"
    assert event["pid"] == event["group"] == event["session"] == attempt.pid
    assert abs(event["start_time"] - process.create_time()) < 0.1
    assert event["mono"] == attempt.started
    assert (event["generation"], event["clean"]) == (1, True)
    assert os.getpgid(process.pid) == os.getsid(process.pid) == process.pid


def test_a_running_clean_server_is_left_alone(bench: Bench) -> None:
    server = bench.server()
    bench.launch()
    server.start_clean()
    pid = server.attempt().pid
    server.start_clean()
    assert server.attempt().pid == pid
    assert len(events(bench)) == 1


@pytest.mark.parametrize(("code", "policy"), [(0, "always"), (3, "always"), (3, "on-failure")])
def test_restarts_and_exact_exit_codes(bench: Bench, code: int, policy: str) -> None:
    server = bench.server(policy=policy, env={"FAKE_EXIT": str(code)}, limit=3)
    bench.launch()
    server.start_clean()
    eventually(lambda: server.attempt().state == "exited")
    assert server.attempt().generation == 3  # the limit: failed starts in a row
    exits = [event for event in events(bench) if event["event"] == "exited"]
    assert [event["exit_code"] for event in exits] == [code] * 3
    starts = [event["mono"] for event in events(bench) if event["event"] == "started"]
    ends = [event["mono"] for event in exits]
    pauses = [start - end for start, end in zip(starts[1:], ends, strict=False)]
    assert pauses[0] >= 0.05
    assert pauses[1] >= 0.1  # the backoff doubles


@pytest.mark.parametrize(("code", "policy"), [(3, "never"), (0, "on-failure")])
def test_policies_that_do_not_restart(bench: Bench, code: int, policy: str) -> None:
    server = bench.server(policy=policy, env={"FAKE_EXIT": str(code)})
    bench.launch()
    server.start_clean()
    eventually(lambda: server.attempt().state == "exited")
    assert (server.attempt().generation, server.attempt().exit_code) == (1, code)


def test_a_server_that_served_starts_the_count_of_failures_anew(bench: Bench) -> None:
    server = bench.server(limit=2)
    bench.launch()
    server.start_clean()
    for generation in (1, 2, 3):
        eventually(lambda: ready(bench))
        pid = server.attempt().pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        eventually(lambda n=generation: server.attempt().generation == n + 1)  # type: ignore[misc]
    codes = [event["exit_code"] for event in events(bench) if event["event"] == "exited"]
    assert codes == [-9, -9, -9]


def ready(bench: Bench) -> bool:
    attempt = json.loads((bench.paths.up / "attempt.json").read_text())
    return attempt["state"] == "running" and attempt["ready"] is not None


def test_a_stranger_on_the_port_does_not_make_a_start_successful(bench: Bench) -> None:
    server = bench.server(limit=2, env={"FAKE_EXIT": "1", "FAKE_AFTER": "0.6"})
    with_stranger = subprocess.Popen(
        [sys.executable, "-m", "http.server", str(bench.port), "--bind", "127.0.0.1"],
        stderr=subprocess.DEVNULL,
    )
    try:
        bench.launch()
        server.start_clean()
        eventually(lambda: server.attempt().state == "exited")
        assert server.attempt().generation == 2
    finally:
        with_stranger.kill()
        with_stranger.wait()


def test_an_override_starts_once_and_says_so(bench: Bench) -> None:
    server = bench.server()
    bench.launch()
    server.start_clean()
    server.stop()
    override = StartOverride(env={"FAKE_EXIT": "7", "FAKE_SAY": "\x1b[31mno such tensor\x1b[0m"})
    server.start(override)
    eventually(lambda: server.attempt().state == "exited")
    attempt = server.attempt()
    assert (attempt.generation, attempt.clean, attempt.exit_code) == (2, False, 7)
    assert attempt.log == ("no such tensor",)  # of this attempt only, without escapes
    server.start_clean()
    assert server.attempt().clean
    assert server.attempt().state == "running"


def test_an_override_with_restarts_is_restarted(bench: Bench) -> None:
    server = bench.server(limit=2)
    bench.launch()
    server.start(StartOverride(env={"FAKE_EXIT": "1"}), restarts=True)
    eventually(lambda: server.attempt().state == "exited")
    assert server.attempt().generation == 2


def test_stop_ends_the_whole_group_and_is_idempotent(bench: Bench) -> None:
    server = bench.server(env={"FAKE_CHILDREN": "1"})
    bench.launch()
    server.start_clean()
    [group] = groups_with(bench, 3)
    # The fake's children ignore the server's end: they must be killed after the grace.
    server.stop()
    assert groups.in_group(group.group, group.session) == []
    assert server.attempt().state == "stopped"
    assert server.attempt().exit_code == 0  # SIGTERM went to the API server, which obeyed
    server.stop()
    assert server.attempt().state == "stopped"


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VQCHAOS_STOP_GRACE", "0.3")


def groups_with(bench: Bench, count: int) -> list[groups.Group]:
    eventually(lambda: [len(g.processes) for g in bench.groups()] == [count])
    return bench.groups()


def test_stop_kills_what_ignores_sigterm(bench: Bench) -> None:
    server = bench.server(env={"FAKE_IGNORE_TERM": "1"})
    bench.launch()
    server.start_clean()
    eventually(lambda: ready(bench))
    server.stop()
    assert server.attempt().exit_code == -9


@pytest.fixture
def shm_name(bench: Bench) -> Iterator[str]:
    name = f"vqchaos-test-{uuid.uuid4().hex[:8]}"
    yield name
    bench.end()
    (groups.SHM / name).unlink(missing_ok=True)


def test_a_crash_leaves_residue_that_is_found_and_removed(bench: Bench, shm_name: str) -> None:
    name = shm_name
    server = bench.server(env={"FAKE_CHILDREN": "1", "FAKE_SHM": name})
    bench.launch()
    server.start_clean()
    groups_with(bench, 3)
    eventually(lambda: name in bench.groups()[0].shm)
    assert residue.find(bench.paths) == []  # all of it belongs to a live server
    first = server.attempt().pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    eventually(lambda: server.attempt().generation == 2)
    found = residue.items(residue.find(bench.paths))
    kinds = sorted(item.kind for item in found)
    assert kinds.count("process") == 2, found  # the new server's engine is none of them
    assert any(item.name.startswith("engine ") for item in found)
    assert any(item.name.startswith("tracker ") for item in found)
    assert [item.name for item in found if item.kind == "shared_memory"] == [f"/dev/shm/{name}"]
    assert any(item.name.endswith("vllm_dist_fake") for item in found)
    group = bench.groups()[0]
    server.stop()  # the new one, whose engine has made the name its own again
    residue.remove(bench.paths, residue.find(bench.paths), RealClock())
    assert groups.in_group(group.group, group.session) == []
    assert not (groups.SHM / name).exists()
    assert residue.find(bench.paths) == []


def test_a_killed_launcher_is_followed_by_one_that_ends_the_old_server(bench: Bench) -> None:
    server = bench.server()
    first = bench.launch()
    server.start_clean()
    old = server.process()
    assert old is not None
    first.kill()
    first.wait()
    assert old.is_running()
    bench.launch()
    eventually(lambda: server.attempt().generation == 2 and server.attempt().state == "running")
    assert not old.is_running() or old.status() == psutil.STATUS_ZOMBIE
    [exited] = [event for event in events(bench) if event["event"] == "exited"]
    assert (exited["pid"], exited["exit_code"]) == (old.pid, None)


def test_a_terminated_launcher_stops_the_server_and_the_next_starts_it(bench: Bench) -> None:
    server = bench.server()
    first = bench.launch()
    server.start_clean()
    pid = server.attempt().pid
    first.terminate()
    assert first.wait(10) == 0
    assert pid is not None
    assert not psutil.pid_exists(pid)
    bench.launch()
    eventually(lambda: server.attempt().generation == 2 and server.attempt().state == "running")


def test_a_program_that_is_not_there_is_a_failed_start(bench: Bench) -> None:
    server = bench.server(command=["/no/such/python"], limit=1)
    bench.launch()
    server.start_clean()
    eventually(lambda: server.attempt().state == "exited")
    assert server.attempt().exit_code == 127
    assert "/no/such/python" in " ".join(server.attempt().log)


def test_the_environment_and_the_limits(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_USERS", "user")
    monkeypatch.setenv("VIRTUAL_ENV", "/somewhere")
    defaults = {"FAKE_USERS": "ours", "FAKE_OURS": "ours"}
    server = bench.server(defaults=defaults, env={"FAKE_FILE": "file"}, memory_limit=2**30)
    bench.launch()
    server.start_clean()
    process = server.process()
    assert process is not None
    seen = process.environ()
    assert (seen["FAKE_USERS"], seen["FAKE_OURS"], seen["FAKE_FILE"]) == ("user", "ours", "file")
    assert seen[MARK] == bench.paths.id
    assert seen["TMPDIR"] == str(bench.paths.engine_tmp / "1")
    assert "VIRTUAL_ENV" not in seen
    assert process.rlimit(psutil.RLIMIT_DATA) == (2**30, 2**30)
    assert process.rlimit(psutil.RLIMIT_CORE) == (0, 0)


def test_old_logs_go_and_a_large_one_keeps_its_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = launcher.Launcher(bench.paths.up, bench.paths.id)
    for number in range(30):
        one.new_log(number).write_text("x", encoding="utf-8")
    kept = sorted(path.name for path in (bench.paths.up / "logs").iterdir())
    assert kept[-1] == "attempt-000029.log"
    assert len(kept) == launcher._LOGS_KEPT
    log = bench.paths.up / "logs" / "attempt-000029.log"
    log.write_bytes(b"old\n" * 600_000 + b"new\n")
    monkeypatch.setattr(launcher, "_LOG_LIMIT", 2**20)
    one.attempt["log"] = str(log)
    one.process = subprocess.Popen(["true"])
    one.process.wait()
    one.bound_log()
    assert log.stat().st_size < 2**20 + 200
    assert log.read_bytes().endswith(b"new\n")


def test_without_a_launcher_a_stop_says_that_the_stack_is_not_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vqchaos.stack.local.control._ACCEPTED", 0.1)
    with pytest.raises(StackError, match="not up"):
        bench.server().stop()
