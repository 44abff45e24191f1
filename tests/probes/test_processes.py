"""Against real processes that carry vLLM's titles."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vqchaos.history.events import Event, ProcessExited, ProcessStarted, ProcessStopped
from vqchaos.probes.processes import LauncherFile, ProcessWatch, below, read_stat, role_of

# A server whose child is the engine core, whose child is the worker. The empty quotes keep the
# shell's own command line from looking like a tracker's.
TREE = """
exec_as() { exec -a "$1" "${@:2}"; }
(
  ( exec_as VLLM::Worker sleep 300 ) &
  exec_as VLLM::EngineCore_DP0 sleep 300
) &
( exec_as "python -c from multiprocessing.resource""_tracker import main" sleep 300 ) &
sleep 300 &
exec sleep 300
"""


@pytest.fixture
def server() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["bash", "-c", TREE], start_new_session=True)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):  # killed before it had children
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Log:
    """The launcher's file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def say(self, event: str, pid: int, mono: float | None = None, **fields: Any) -> None:
        record = {
            "event": event,
            "role": "server",
            "pid": pid,
            "start_time": 5.0,
            "group": pid,
            "session": pid,
            "mono": time.monotonic() if mono is None else mono,
            **fields,
        }
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")


def look_until(watch: ProcessWatch, enough: Callable[[list[Event]], bool]) -> list[Event]:
    seen: list[Event] = []
    deadline = time.monotonic() + 10
    while not enough(seen):
        assert time.monotonic() < deadline, seen
        seen += watch.look()
        time.sleep(0.005)
    return seen


def watch_on(log: Log, origin: float = 0.0) -> ProcessWatch:
    return ProcessWatch(events=str(log.path), interval=0.2, origin=origin, emit=lambda _: None)


def roles(events: list[Event]) -> dict[str, ProcessStarted]:
    return {e.role: e for e in events if isinstance(e, ProcessStarted)}


def test_the_whole_tree_its_stops_and_its_end(
    server: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    log = Log(tmp_path / "events.jsonl")
    origin = time.monotonic() - 1
    watch = watch_on(log, origin)
    assert watch.look() == []
    log.say("started", server.pid, mono=origin + 0.001)
    found = roles(look_until(watch, lambda seen: len(roles(seen)) == 4))
    assert set(found) == {"server", "engine", "worker", "tracker"}
    assert found["server"].source == "launcher"
    assert found["server"].t == pytest.approx(0.001, abs=1e-6)
    engine = found["engine"]
    assert engine.source == "probe"
    assert engine.session == server.pid
    assert abs(engine.start_time - time.time()) < 60
    assert engine.title.startswith("VLLM::EngineCore_DP0")

    os.kill(engine.pid, signal.SIGSTOP)
    stopped = look_until(watch, bool)
    assert stopped == [ProcessStopped(t=stopped[0].t, role="engine", pid=engine.pid, stopped=True)]
    os.kill(engine.pid, signal.SIGCONT)
    assert look_until(watch, bool)[0].t > stopped[0].t

    worker = found["worker"]  # its parent dies first: an orphan is still watched
    os.kill(engine.pid, signal.SIGKILL)
    gone = look_until(watch, bool)
    assert isinstance(gone[0], ProcessExited)
    assert (gone[0].role, gone[0].exit_code, gone[0].source) == ("engine", None, "probe")
    os.kill(worker.pid, signal.SIGKILL)
    assert [getattr(e, "role", "") for e in look_until(watch, bool)] == ["worker"]

    server.kill()
    server.wait()
    log.say("exited", server.pid, exit_code=-9)
    last = look_until(watch, bool)
    assert isinstance(last[0], ProcessExited)
    assert (last[0].role, last[0].exit_code, last[0].source) == ("server", -9, "launcher")


def test_a_server_that_was_there_before_is_seen_now(
    server: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    log = Log(tmp_path / "events.jsonl")
    log.say("started", 1, mono=1.0)
    log.say("exited", 1, mono=2.0, exit_code=0)
    log.say("started", server.pid, mono=3.0)
    origin = time.monotonic()
    first = watch_on(log, origin).look()[0]
    assert isinstance(first, ProcessStarted)
    assert first.pid == server.pid
    assert 0 <= first.t < 5


def test_without_the_launchers_word_our_own_eyes_count(
    server: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    log = Log(tmp_path / "events.jsonl")
    log.say("started", server.pid)
    clock = [time.monotonic()]
    watch = ProcessWatch(
        events=str(log.path), interval=1, origin=0, emit=lambda _: None, now=lambda: clock[0]
    )
    watch.look()
    server.kill()
    server.wait()
    assert not any(isinstance(e, ProcessExited) and e.role == "server" for e in watch.look())
    clock[0] += 3
    gone = [e for e in watch.look() if isinstance(e, ProcessExited) and e.role == "server"]
    assert gone[0].source == "probe"
    log.say("exited", server.pid, exit_code=-9)  # late: not said twice
    assert not any(isinstance(e, ProcessExited) for e in watch.look())


def test_the_launchers_file_may_be_torn_truncated_or_replaced(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    file = LauncherFile(path)
    assert file.read() == []
    path.write_text('{"pid": 1}\n{"pi')
    assert file.read() == [{"pid": 1}]
    path.write_text('{"pid": 1}\n{"pid": 2}\nnonsense\n[]\n')
    assert file.read() == [{"pid": 2}]
    path.write_text('{"pid": 3}\n')
    assert file.read() == [{"pid": 3}]
    other = tmp_path / "new"
    other.write_text('{"pid": 4}\n{"pid": 5}\n')
    other.replace(path)
    assert file.read() == [{"pid": 4}, {"pid": 5}]


def test_a_fork_that_still_carries_its_parents_title_is_not_taken_for_it(
    server: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vqchaos.probes import processes

    log = Log(tmp_path / "events.jsonl")
    watch = watch_on(log)
    log.say("started", server.pid)
    found = roles(look_until(watch, lambda seen: len(roles(seen)) == 4))
    worker, real = found["worker"].pid, processes.title_of
    fresh = watch_on(log)
    monkeypatch.setattr(
        processes, "title_of", lambda pid: "VLLM::EngineCore" if pid == worker else real(pid)
    )
    assert [e.role for e in fresh.look() if isinstance(e, ProcessStarted)] == ["server"]
    monkeypatch.setattr(processes, "title_of", real)
    started = [e for _ in range(3) for e in fresh.look() if isinstance(e, ProcessStarted)]
    assert {e.role: e.pid for e in started}["worker"] == worker
    assert len(started) == 3


def test_titles() -> None:
    assert role_of("VLLM::EngineCore") == "engine"
    assert role_of("VLLM::Worker_TP0") == "worker"
    assert role_of("/usr/bin/python -c from multiprocessing.resource_tracker import main") == (
        "tracker"
    )
    assert role_of("sleep 5") is None


def test_own_stat() -> None:
    stat = read_stat(os.getpid())
    assert stat is not None
    assert (stat.parent, stat.session) == (os.getppid(), os.getsid(0))
    assert read_stat(2**22 + 5) is None
    assert list(below(os.getpid(), {})) == []
