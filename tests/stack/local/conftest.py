from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import vqchaos
from vqchaos.clock import RealClock, wait_until
from vqchaos.stack.local import groups
from vqchaos.stack.local.control import CleanStart, LocalServer
from vqchaos.stack.local.paths import StackPaths

HERE = Path(__file__).parent
SOURCE = str(Path(vqchaos.__file__).parent.parent)


def eventually(condition: Callable[[], bool], timeout: float = 15.0) -> None:
    assert wait_until(condition, timeout, RealClock(), every=0.01), "it did not come true"


class Quiet:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.details: list[str] = []

    def step(self, text: str) -> None:
        self.steps.append(text)

    def detail(self, text: str) -> None:
        self.details.append(text)


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """State and cache of this test alone."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


class Bench:
    """A launcher under test, without supervisord: the test starts and kills it."""

    def __init__(self, paths: StackPaths) -> None:
        self.paths = paths
        self.port = paths.ports().server
        self.launchers: list[subprocess.Popen[bytes]] = []
        self.clean = CleanStart(
            command=[sys.executable, str(HERE / "fake_server.py")],
            model="/model",
            arguments=["--port", str(self.port)],
            port=self.port,
            backoff=0.05,
        )
        paths.make()

    def server(self, **changes: object) -> LocalServer:
        self.clean = replace(self.clean, **changes)  # type: ignore[arg-type]
        return LocalServer(self.paths, self.clean, None, RealClock())

    def launch(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "vqchaos.stack.local.launcher"]
        with (self.paths.up / "launcher.log").open("ab") as log:
            process = subprocess.Popen(
                [*command, str(self.paths.up), self.paths.id],
                env={**os.environ, "PYTHONPATH": SOURCE},
                stdout=log,
                stderr=log,
            )
        self.launchers.append(process)
        return process

    def groups(self) -> list[groups.Group]:
        return groups.load(self.paths.up)

    def end(self) -> None:
        for launcher in self.launchers:
            launcher.kill()
            launcher.wait()
        for record in self.groups():
            groups.kill(groups.members(record, self.paths.id))
            for name in groups.existing_shm(record):
                (groups.SHM / name).unlink(missing_ok=True)
        groups.kill(groups.marked_processes(self.paths.id))


@pytest.fixture
def bench(homes: Path) -> Iterator[Bench]:
    paths = StackPaths(homes / "state" / "vqchaos" / "stacks" / f"t-{uuid.uuid4().hex[:8]}")
    bench = Bench(paths)
    yield bench
    bench.end()
    subprocess.run(["rm", "-rf", str(paths.runtime)], check=True)
