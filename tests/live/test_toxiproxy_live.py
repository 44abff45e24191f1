"""Each trap of the real Toxiproxy, and that ``ToxiproxyControl`` does not fall into it."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import free_port
from vqchaos.errors import StackError
from vqchaos.stack.local.toxiproxy_install import find_toxiproxy
from vqchaos.stack.protocols import Toxic
from vqchaos.stack.toxics import ATTRIBUTES, check
from vqchaos.stack.toxiproxy import ToxiproxyControl

pytestmark = pytest.mark.live


class Quiet:
    def step(self, text: str) -> None:
        pass

    def detail(self, text: str) -> None:
        pass


class Upstream(BaseHTTPRequestHandler):
    """Answers 200 at once, over connections that stay open."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args: Any) -> None:
        pass


class UpstreamServer(ThreadingHTTPServer):
    def handle_error(self, *args: Any) -> None:
        """A connection that the proxy cut is no news."""


@dataclass
class Server:
    """A real Toxiproxy process; ``api`` is a client of its own, without any guard."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def api(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def gone(self) -> bool:
        """As a supervisor knows it."""
        return self.process.poll() is not None

    def dead(self) -> bool:
        try:
            self.process.wait(15)  # a stack that overflows takes seconds
        except subprocess.TimeoutExpired:
            return False
        return True


@pytest.fixture(scope="session")
def binary() -> Path:
    return find_toxiproxy(Quiet())


def launch(binary: Path, port: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [binary, "-host", "127.0.0.1", "-port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def start(binary: Path) -> Server:
    port = free_port()
    server = Server(launch(binary, port), port)
    ToxiproxyControl(server.url, "any", server.url).wait_ready(10)
    return server


@pytest.fixture
def server(binary: Path) -> Iterator[Server]:
    server = start(binary)
    yield server
    server.process.kill()
    server.process.wait(10)


@pytest.fixture(scope="module")
def upstream() -> Iterator[int]:
    with UpstreamServer(("127.0.0.1", 0), Upstream) as http:
        http.daemon_threads = True
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield http.server_address[1]
        http.shutdown()
        thread.join()


def proxied(server: Server, upstream: int, **options: Any) -> tuple[ToxiproxyControl, int]:
    """The proxy ``llm`` before the upstream, and its port."""
    port = free_port()
    control = ToxiproxyControl(server.url, "llm", f"http://127.0.0.1:{port}", **options)
    control.ensure_proxy(f"127.0.0.1:{port}", f"127.0.0.1:{upstream}")
    return control, port


def toxic(kind: str, name: str = "ours", toxicity: float = 1.0, **attributes: int) -> Toxic:
    values = {key: max(low, 1) for key, (low, _) in ATTRIBUTES[kind].items()} | attributes
    return Toxic(name, kind, "downstream", toxicity, values)


def test_every_type_is_stored_as_asked_and_removed(server: Server, upstream: int) -> None:
    """Our table of attributes is the server's: a misspelt one would read back as another."""
    control, _ = proxied(server, upstream)
    for kind in ATTRIBUTES:
        control.add(toxic(kind, kind))
    assert {t.name: dict(t.attributes) for t in control.toxics()} == {
        kind: dict(toxic(kind).attributes) for kind in ATTRIBUTES
    }
    for kind in ATTRIBUTES:
        assert control.remove(kind) == "removed"
    assert control.toxics() == []
    assert control.timed_connect(5.0) is not None


DEADLY: dict[str, dict[str, Any]] = {
    "slicer without attributes": {"type": "slicer", "attributes": {}},
    "slicer with a variation above its average": {
        "type": "slicer",
        "attributes": {"average_size": 1, "size_variation": 5, "delay": 0},
    },
    "bandwidth with a negative rate": {"type": "bandwidth", "attributes": {"rate": -1}},
}


def dies_of_an_answer(server: Server, control: ToxiproxyControl) -> bool:
    """The slicer throws dice over each answer: about one in ten comes through."""
    control.timed_connect(1.0)
    return server.dead()


@pytest.mark.parametrize("body", list(DEADLY.values()), ids=list(DEADLY))
def test_what_kills_the_server_is_refused(
    server: Server, upstream: int, body: dict[str, Any]
) -> None:
    control, _ = proxied(server, upstream, gone=server.gone)
    ours = Toxic("t", body["type"], "downstream", 1.0, body["attributes"])
    with pytest.raises(StackError):
        control.add(ours)
    assert control.exists()
    assert control.toxics() == []
    # And without the guard it is true that the whole server dies of it.
    status, _text = server.api("POST", "/proxies/llm/toxics", {"name": "t", **body})
    assert status == 200
    assert any(dies_of_an_answer(server, control) for _ in range(4))
    assert control.exists() is False
    assert control.remove("t") == "absent"


@pytest.mark.parametrize(
    ("body", "ours"),
    [
        (
            {"attributes": {"latncy": 100}},
            Toxic("t", "latency", "downstream", 1.0, {"latncy": 100}),
        ),
        (
            {"attributes": {"latency": -5}},
            Toxic("t", "latency", "downstream", 1.0, {"latency": -5, "jitter": 0}),
        ),
        (
            {"attributes": {"latency": 1}, "toxicity": 7},
            Toxic("t", "latency", "downstream", 7, {"latency": 1, "jitter": 0}),
        ),
    ],
    ids=["misspelt", "negative latency", "toxicity 7"],
)
def test_what_the_server_takes_in_silence_is_refused(
    server: Server, upstream: int, body: dict[str, Any], ours: Toxic
) -> None:
    proxied(server, upstream)
    with pytest.raises(StackError):
        check(ours)
    status, _ = server.api("POST", "/proxies/llm/toxics", {"name": "t", "type": "latency", **body})
    assert status == 200, "the server takes it"


def test_a_share_of_zero_still_resets(server: Server, upstream: int) -> None:
    control, _ = proxied(server, upstream)
    with pytest.raises(StackError, match="resets even with toxicity 0"):
        control.add(toxic("reset_peer", toxicity=0))


def test_removal_behind_a_pending_reset_comes_to_its_end(server: Server, upstream: int) -> None:
    """The API may hang for as long as the delay: then the proxy is made anew."""
    control, port = proxied(server, upstream, timeout=1.0)
    theirs = toxic("latency", "theirs", latency=1, jitter=0)
    control.add(theirs)
    control.add(toxic("reset_peer", timeout=20_000))
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        began = time.monotonic()
        assert control.remove("ours") == "recreated"
        assert time.monotonic() - began < 10
    assert control.toxics() == [theirs], "a stranger's toxic stays"
    took = control.timed_connect(5.0)
    assert took is not None


def test_a_recreated_proxy_is_as_it_was(server: Server, upstream: int) -> None:
    control, port = proxied(server, upstream)
    theirs = toxic("latency", "theirs", 0.5, latency=3, jitter=1)
    control.add(theirs)
    control.add(toxic("noop"))
    control._recreate(control._call(control._proxy), [theirs])
    assert control.toxics() == [theirs]
    data = json.loads(server.api("GET", "/proxies/llm")[1])
    assert data["listen"] == f"127.0.0.1:{port}"
    assert data["upstream"] == f"127.0.0.1:{upstream}"
    assert data["enabled"] is True


def test_a_port_clash_is_an_error_with_the_servers_words(server: Server, upstream: int) -> None:
    """It answers 500, which toxiproxy-python takes for a proxy."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        control = ToxiproxyControl(server.url, "llm", server.url)
        with pytest.raises(StackError, match=r"500: .*address already in use"):
            control.ensure_proxy(f"127.0.0.1:{taken}", f"127.0.0.1:{upstream}")


def test_a_slash_in_a_name_is_refused(server: Server) -> None:
    with pytest.raises(StackError, match="never be deleted"):
        ToxiproxyControl(server.url, "a/b", server.url)
    with pytest.raises(StackError, match="slash"):
        check(toxic("noop", "a/b"))


def test_two_servers_at_once_do_not_mix(server: Server, binary: Path, upstream: int) -> None:
    other = start(binary)
    try:
        first, _ = proxied(server, upstream)
        second, _ = proxied(other, upstream)
        first.add(toxic("noop", "first"))
        second.add(toxic("noop", "second"))
        assert [t.name for t in first.toxics()] == ["first"]
        assert [t.name for t in second.toxics()] == ["second"]
    finally:
        other.process.kill()
        other.process.wait(10)


def test_a_restart_loses_everything_and_that_counts_as_gone(
    server: Server, binary: Path, upstream: int
) -> None:
    control, _ = proxied(server, upstream, gone=server.gone)
    control.add(toxic("noop"))
    server.process.kill()
    server.process.wait(10)
    assert control.exists() is False
    assert control.remove("ours") == "absent"
    again = launch(binary, server.port)
    try:
        control.wait_ready(10)
        assert control.exists() is False, "it runs, and has no such proxy"
        assert control.remove("ours") == "absent"
    finally:
        again.kill()
        again.wait(10)


def test_enabling_is_idempotent_and_cuts_and_serves(server: Server, upstream: int) -> None:
    control, port = proxied(server, upstream)
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(100)
        control.set_enabled(False)
        control.set_enabled(False)
    assert control.timed_connect(2.0) is None
    control.set_enabled(True)
    control.set_enabled(True)
    assert control.timed_connect(5.0) is not None


def test_latency_is_felt_and_gone_again(server: Server, upstream: int) -> None:
    control, _ = proxied(server, upstream)
    control.add(toxic("latency", latency=300, jitter=0))
    slow = control.timed_connect(5.0)
    assert slow is not None
    assert slow >= 0.3
    control.remove("ours")
    fast = control.timed_connect(5.0)
    assert fast is not None
    assert fast < 0.3
