"""Programs inside, against a daemon of the test's own that frames its answers as Docker does."""

from __future__ import annotations

import contextlib
import gc
import json
import socket
import struct
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.stack.docker.fake_engine import ID
from vqchaos.errors import StackError
from vqchaos.stack.docker import inside
from vqchaos.stack.docker.client import Docker
from vqchaos.stack.docker.inside import Inside

UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"


def frame(stream: int, text: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(text)) + text


class ExecDaemon:
    """Speaks as much of the API as one exec needs. ``output`` is sent together with the header of
    the answer; with ``endless``, the line is then held."""

    def __init__(self, path: Path, output: bytes, *, endless: bool = False) -> None:
        self.output, self.endless = output, endless
        self.code = 4
        self.asked: list[str] = []
        self.bodies: list[bytes] = []
        self.lines: list[socket.socket] = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.threads = [threading.Thread(target=self.accept)]
        self.threads[0].start()

    def accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = self.listener.accept()
                self.lines.append(line)
                self.threads.append(threading.Thread(target=self.serve, args=(line,)))
                self.threads[-1].start()

    def serve(self, line: socket.socket) -> None:
        with contextlib.suppress(OSError), line.makefile("rb") as stream:
            while request := stream.readline():
                path = request.split()[1].decode()
                self.asked.append(path)
                size = 0
                while (header := stream.readline()).strip():
                    if header.lower().startswith(b"content-length:"):
                        size = int(header.split(b":")[1])
                self.bodies.append(stream.read(size))
                if path.endswith("/start"):
                    line.sendall(UPGRADED + self.output)
                    if not self.endless:
                        line.shutdown(socket.SHUT_RDWR)
                        return
                    continue
                body = json.dumps(self.answer(path)).encode()
                line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    def answer(self, path: str) -> dict[str, object]:
        if path.endswith("/version"):
            return {"ApiVersion": "1.41"}
        if path.endswith("/exec"):
            return {"Id": "e1"}
        inspected = len([asked for asked in self.asked if asked.endswith("/json")])
        return {"Running": inspected < 2, "ExitCode": self.code}  # it knows a moment later

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for line in self.lines:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()
        for thread in self.threads:
            thread.join(10)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/d.sock")
    with warnings.catch_warnings():  # docker-py leaves sockets to the garbage collector
        warnings.simplefilter("ignore", ResourceWarning)
        yield tmp_path / "d.sock"
        gc.collect()


def test_output_that_comes_with_the_header_is_not_lost(path: Path) -> None:
    daemon = ExecDaemon(path, frame(1, b"nameserver ") + frame(2, b"") + frame(1, b"10.0.0.1\n"))
    try:
        ran = Inside(Docker()).run(ID, "shop-server-1", ["cat"], 10.0, {"A": "b c"})
        assert ran == (4, "nameserver 10.0.0.1\n")
        made = json.loads(next(body for body in daemon.bodies if b"Cmd" in body))
        assert (made["Cmd"], made["User"], made["Env"][0]) == (["cat"], "0", "A=b c")
    finally:
        daemon.close()


def test_output_is_cut_and_what_is_cut_off_is_read(path: Path) -> None:
    daemon = ExecDaemon(path, frame(1, b"x" * 70_000) + frame(1, b"y" * 70_000))
    try:
        code, text = Inside(Docker()).run(ID, "shop-server-1", ["cat"], 10.0, {})
        assert (code, text) == (4, "x" * 65_536)
    finally:
        daemon.close()


def test_one_that_does_not_end_is_killed_by_its_mark(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = ExecDaemon(path, frame(1, b"begun"), endless=True)
    killed: list[str] = []

    def kill(container: str, mark: str) -> int:
        killed.append(mark)
        daemon.close()
        return 1

    monkeypatch.setattr(inside, "kill_marked", kill)
    try:
        with pytest.raises(
            StackError, match=r"shop-server-1: `cat` did not end inside within 200ms"
        ):
            Inside(Docker()).run(ID, "shop-server-1", ["cat"], 0.2, {})
        made = json.loads(next(body for body in daemon.bodies if b"Cmd" in body))
        assert killed == made["Env"], "the mark of this very call"
    finally:
        daemon.close()


@pytest.mark.parametrize("seen", [None, PermissionError])
def test_where_its_processes_are_not_this_machines_a_shell_inside_kills(
    path: Path, monkeypatch: pytest.MonkeyPatch, seen: type[Exception] | None
) -> None:
    """As with a daemon in a virtual machine, or as another user."""

    def kill(container: str, mark: str) -> None:
        if seen is not None:
            raise seen

    monkeypatch.setattr(inside, "kill_marked", kill)
    daemon = ExecDaemon(path, frame(1, b"2\n"))
    daemon.code = 0
    try:
        call = Inside(Docker())
        run, asked = call.run, []

        def once(*words: Any) -> tuple[int, str]:
            asked.append(words[2])
            return run(*words) if len(asked) == 1 else (0, "0")

        monkeypatch.setattr(call, "run", once)
        assert call.end(ID, "shop-server-1", "t0k3n000") == 2
        assert [words[-1] for words in asked] == ["VQCHAOS_TOKEN=t0k3n000"] * 2
        made = json.loads(next(body for body in daemon.bodies if b"Cmd" in body))
        assert made["Cmd"][:2] == ["/bin/sh", "-c"]
    finally:
        daemon.close()


def test_what_is_seen_here_is_killed_here(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    daemon = ExecDaemon(path, b"")
    found = iter([1, 0])
    monkeypatch.setattr(inside, "kill_marked", lambda container, mark: next(found))
    try:
        assert Inside(Docker()).end(ID, "shop-server-1", "t0k3n000") == 1
        assert not [asked for asked in daemon.asked if asked.endswith("/exec")]
    finally:
        daemon.close()
