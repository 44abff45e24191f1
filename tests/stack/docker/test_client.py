"""The client against sockets of the test's own: what a daemon that is not well looks like."""

from __future__ import annotations

import contextlib
import gc
import socket
import threading
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
import trustme
from docker.errors import DockerException, create_api_error_from_http_exception

from tests.certificates import Certificates
from tests.stack.docker.fake_engine import FakeEngine, refusal
from vqchaos.errors import StackError
from vqchaos.stack.docker.address import Address
from vqchaos.stack.docker.client import Docker, Gone, Refused
from vqchaos.stack.docker.containers import DockerContainers

VERSION = b'{"ApiVersion": "1.41", "Version": "20.10"}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(VERSION) + VERSION


@pytest.fixture(autouse=True)
def sockets_of_docker_py() -> Iterator[None]:
    """It leaves the socket of a call that failed to the garbage collector."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    where = tmp_path / "d.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{where}")
    return where


class Daemon:
    """Answers the first ``answers`` requests with its version, then holds the line."""

    def __init__(self, path: Path, answers: int) -> None:
        self._left = answers
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._lines: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            self._lines.append(line)
            thread = threading.Thread(target=self._serve, args=(line,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, line: socket.socket) -> None:
        try:
            while line.recv(65536):
                if self._left:
                    self._left -= 1
                    line.sendall(ANSWER)
        except OSError:
            return

    def die(self) -> None:
        with contextlib.suppress(OSError):  # it is dead already
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for line in self._lines:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()
        for thread in self._threads:
            thread.join(10)


@pytest.fixture
def daemon(path: Path) -> Iterator[Daemon]:
    made = Daemon(path, answers=1)
    yield made
    made.die()


def test_no_daemon(path: Path) -> None:
    with pytest.raises(StackError, match="daemon is not running at unix://") as caught:
        DockerContainers("shop", {})
    assert "systemctl start docker" in str(caught.value.hint)


def test_a_socket_that_nobody_listens_on(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    with pytest.raises(StackError, match="is not running"):
        Docker()


def test_a_socket_that_is_not_ours(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: socket.socket, address: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refused)
    with pytest.raises(StackError, match="this user may not talk to the Docker daemon") as caught:
        Docker()
    assert "group docker" in str(caught.value.hint)


@pytest.mark.parametrize("host", ["nonsense://x", "tcp://", "unix:///no\x1b[2Jwhere"])
def test_a_daemon_named_wrongly(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(StackError, match="the Docker daemon") as caught:
        Docker()
    assert "\x1b" not in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(("name", "fine"), [("127.0.0.1", True), ("other.example", False)])
def test_a_daemon_over_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, fine: bool
) -> None:
    """By what an address says of it alone, as a context of Docker's has it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(VERSION)))
            self.end_headers()
            self.wfile.write(VERSION)

        def log_message(self, *_: object) -> None: ...

    monkeypatch.delenv("DOCKER_HOST", raising=False)
    certificates = Certificates(tmp_path / "certs")
    others = tmp_path / "others.pem"  # requests would prefer it
    trustme.CA().cert_pem.write_to_path(others)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(others))
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = certificates.daemon(name).wrap_socket(server.socket, server_side=True)
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            host = f"tcp://127.0.0.1:{server.server_port}"
            at = Address(host, str(certificates.folder), verify=True)
            if fine:
                found = Docker(at=at, timeout=5.0)
                assert (found.host, found.local) == (host, False)
                assert found.call(found.api.version)["Version"] == "20.10"
                found.api.close()
            else:
                with pytest.raises(StackError, match="cannot be used"):
                    Docker(at=at, timeout=5.0)
        finally:
            server.shutdown()
            serving.join()


def test_a_daemon_that_hangs_from_the_start(path: Path) -> None:
    daemon = Daemon(path, answers=0)
    try:
        with pytest.raises(StackError, match="gave no answer within 200ms"):
            Docker(timeout=0.2)
    finally:
        daemon.die()


def test_a_daemon_that_hangs_later_every_call_has_a_timeout(daemon: Daemon) -> None:
    control = DockerContainers("shop", {}, Docker(timeout=0.2))
    with pytest.raises(StackError, match="gave no answer within 200ms") as caught:
        control.find("server")
    assert "docker ps" in str(caught.value.hint)


def test_not_even_docker_pys_own_wish_for_none_goes_without(daemon: Daemon) -> None:
    docker = Docker(timeout=0.2)
    with pytest.raises(StackError, match="gave no answer"):
        docker.call(lambda: next(docker.api.events(since=1, until=2)))


def test_a_daemon_that_dies_under_way(daemon: Daemon) -> None:
    control = DockerContainers("shop", {}, Docker(timeout=5.0))
    daemon.die()
    with pytest.raises(StackError, match="is not running"):
        control.find("server")


def test_refusals_are_told_apart() -> None:
    docker = Docker(FakeEngine())

    def said(error: Exception) -> StackError:
        def work() -> None:
            raise error

        with pytest.raises(StackError) as caught:
            docker.call(work, "shop-server-1")
        return caught.value

    gone = said(refusal(404, "No such container: abc"))
    assert type(gone) is Gone
    image = said(refusal(404, "No such image: vllm:latest"))
    assert type(image) is Refused
    assert "an image is missing: No such image: vllm:latest" in image.message
    network = said(refusal(404, "network shop_default not found"))
    assert type(network) is Refused
    assert "\x1b" not in said(refusal(500, "runc: \x1b]0;owned\x07failed\n")).message
    assert "cannot be used" in said(DockerException("odd")).message
    assert docker.call(lambda: 3) == 3


def test_the_recorded_shape_of_an_error_is_docker_pys() -> None:
    response = requests.Response()
    response.status_code = 418
    with pytest.raises(DockerException):
        create_api_error_from_http_exception(requests.HTTPError(response=response))
