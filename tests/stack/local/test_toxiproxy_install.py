"""The installer against a local HTTP server that stands in for the project's releases."""

from __future__ import annotations

import hashlib
import http.server
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.local.conftest import Quiet
from vqchaos.errors import StackError
from vqchaos.stack.local import toxiproxy_install
from vqchaos.stack.local.toxiproxy_install import PINNED, VERSION, download, find_toxiproxy

PROGRAM = f"#!{sys.executable}\nprint('toxiproxy-server version 2.12.0')\n".encode()
NAME = "toxiproxy-server-linux-amd64"


class Releases:
    """Files by path; ``cut`` announces more than it sends."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cut = False
        self.asked: list[str] = []
        releases = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                releases.asked.append(self.path)
                data = releases.files.get(self.path)
                if data is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                cut = releases.cut and not self.path.endswith(".txt")
                self.send_header("Content-Length", str(len(data) + (100 if cut else 0)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None: ...

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        serve = self.server.serve_forever
        threading.Thread(target=serve, args=(0.01,), daemon=True).start()

    def publish(self, program: bytes, digest: str | None = None) -> None:
        digest = digest or hashlib.sha256(program).hexdigest()
        self.files[f"/v{VERSION}/{NAME}"] = program
        self.files[f"/v{VERSION}/checksums.txt"] = f"{digest}  {NAME}\n".encode()


@pytest.fixture
def releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Releases]:
    """And a host without Go and Toxiproxy."""
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    server = Releases()
    yield server
    server.server.shutdown()
    server.server.server_close()


def installed(cache: Path) -> list[str]:
    return [path.name for path in (cache / f"toxiproxy-{VERSION}").iterdir()]


def test_a_good_download_is_installed_once(releases: Releases, tmp_path: Path) -> None:
    releases.publish(PROGRAM)
    binary = find_toxiproxy(Quiet(), cache=tmp_path, releases=releases.url)
    assert toxiproxy_install.version_of(binary) == "2.12.0"
    assert find_toxiproxy(Quiet(), cache=tmp_path, releases=releases.url) == binary
    assert len(releases.asked) == 2  # checksums and program; the second time neither
    assert installed(tmp_path) == ["toxiproxy-server"]


def test_a_wrong_checksum_installs_nothing(releases: Releases, tmp_path: Path) -> None:
    releases.publish(PROGRAM, digest="0" * 64)
    with pytest.raises(StackError, match="checksum is wrong") as raised:
        find_toxiproxy(Quiet(), cache=tmp_path, releases=releases.url)
    assert "Go is not installed" in raised.value.message
    assert "on PATH" in str(raised.value.hint)
    assert installed(tmp_path) == []


def test_a_download_that_ends_early_installs_nothing(releases: Releases, tmp_path: Path) -> None:
    releases.publish(PROGRAM)
    releases.cut = True
    with pytest.raises(StackError, match=NAME):
        find_toxiproxy(Quiet(), cache=tmp_path, releases=releases.url)
    assert installed(tmp_path) == []


def test_a_release_that_is_not_there(releases: Releases, tmp_path: Path) -> None:
    with pytest.raises(StackError, match="answered 404"):
        find_toxiproxy(Quiet(), cache=tmp_path, releases=releases.url)
    assert installed(tmp_path) == []


def test_a_checksum_list_without_the_file(releases: Releases, tmp_path: Path) -> None:
    releases.publish(PROGRAM)
    releases.files[f"/v{VERSION}/checksums.txt"] = b"abc  other\n"
    with pytest.raises(StackError, match="names no SHA-256"):
        find_toxiproxy(Quiet(), cache=tmp_path, releases=releases.url)


def test_a_program_of_another_machine(releases: Releases, tmp_path: Path) -> None:
    releases.publish(b"\x7fELF not for here")
    with pytest.raises(StackError, match="not a program that runs here"):
        find_toxiproxy(Quiet(), cache=tmp_path, releases=releases.url)
    assert installed(tmp_path) == []


def test_no_release_for_an_odd_machine(
    releases: Releases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "sparc64")
    with pytest.raises(StackError, match="no release for Linux on sparc64"):
        find_toxiproxy(Quiet(), cache=tmp_path, releases=releases.url)


def test_nobody_answers(releases: Releases, tmp_path: Path) -> None:
    releases.server.shutdown()
    releases.server.server_close()
    with pytest.raises(StackError, match="Toxiproxy cannot be had"):
        find_toxiproxy(Quiet(), cache=tmp_path, releases=releases.url)


def test_the_pinned_checksum_rules_for_the_project_itself(
    releases: Releases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    releases.publish(PROGRAM)  # with a checksums.txt that agrees with it
    monkeypatch.setattr(toxiproxy_install, "RELEASES", releases.url)
    with pytest.raises(StackError, match=PINNED[NAME]):
        find_toxiproxy(Quiet(), cache=tmp_path, releases=releases.url)
    assert all(len(digest) == 64 for digest in PINNED.values())


def test_an_old_file_survives_a_failed_download(releases: Releases, tmp_path: Path) -> None:
    target = tmp_path / "there"
    target.write_text("old")
    releases.files["/x"] = b"new"
    with pytest.raises(StackError):
        download(f"{releases.url}/x", target, "0" * 64)
    assert target.read_text() == "old"


def program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("version", "used"), [("2.12.0", True), ("2.9.0", True), ("2.4.0", False), ("git", True)]
)
def test_the_version_on_path_is_looked_at(
    releases: Releases,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    used: bool,
) -> None:
    releases.publish(PROGRAM)
    program(tmp_path / "bin", "toxiproxy-server", f"echo toxiproxy-server version {version}")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    found = find_toxiproxy(Quiet(), cache=tmp_path, releases=releases.url)
    assert (found.parent == tmp_path / "bin") == used


def test_go_builds_it_before_anything_is_downloaded(
    releases: Releases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        f'[ "$2" = "{toxiproxy_install.MODULE}" ] || exit 9\n'
        'printf "#!/bin/sh\\necho toxiproxy-server version git\\n" > "$GOBIN/server"\n'
        'chmod +x "$GOBIN/server"'
    )
    program(tmp_path / "bin", "go", script)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    find_toxiproxy(Quiet(), cache=tmp_path, releases=releases.url)
    assert releases.asked == []
    assert installed(tmp_path) == ["toxiproxy-server"]


def test_go_that_fails_gives_way_to_the_download(
    releases: Releases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    releases.publish(PROGRAM)
    program(tmp_path / "bin", "go", "echo proxy is down >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    binary = find_toxiproxy(Quiet(), cache=tmp_path, releases=releases.url)
    assert os.access(binary, os.X_OK)
    assert releases.asked != []
