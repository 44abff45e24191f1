"""One real stack for all live tests of a session: vLLM, Toxiproxy, supervisord. And a Docker
daemon for those of containers.

The caches are the user's own, so that the engine is installed once; state lies in a folder of
the session's. What is not there is installed, and what cannot be installed is an error.
"""

from __future__ import annotations

import gc
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.live.compose_like import Project, client, make_image
from tests.live.docker_place import DockerPlace, docker_place
from vqchaos.stack.config import LocalStackFile
from vqchaos.stack.docker import address
from vqchaos.stack.local.down import down, leftovers
from vqchaos.stack.local.stack import LocalStack
from vqchaos.stack.local.up import up

STACK_FILE = Path(__file__).resolve().parents[2] / "stacks" / "local.yaml"
# As stacks/local.yaml, without its YAML loader, which is tested elsewhere.
ENGINE_ARGS = ["--dtype", "float32", "--max-model-len", "2048", "--enforce-eager"]


class Lines:
    """Progress on stderr, where `pytest -s` shows it."""

    def step(self, text: str) -> None:
        sys.stderr.write(f"[stack] {text}\n")

    def detail(self, text: str) -> None:
        sys.stderr.write(f"[stack]   {text}\n")


@pytest.fixture(scope="session")
def live_state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An XDG_STATE_HOME of the session's own; commands run as subprocesses inherit it."""
    home = tmp_path_factory.mktemp("state")
    before = os.environ.get("XDG_STATE_HOME")
    os.environ["XDG_STATE_HOME"] = str(home)
    yield home
    if before is None:
        del os.environ["XDG_STATE_HOME"]
    else:
        os.environ["XDG_STATE_HOME"] = before


def make_live_stack(name: str = "local", extra_args: Sequence[str] = ()) -> LocalStack:
    """A stack beside others: its name sets it apart."""
    file = LocalStackFile.model_validate(
        {"name": name, "kind": "local", "engine": {"args": [*ENGINE_ARGS, *extra_args]}}
    )
    return LocalStack(file, STACK_FILE)


@pytest.fixture(scope="session")
def live_stack_session(live_state_home: Path) -> Iterator[LocalStack]:
    """Up once, down at the end. Use ``live_stack``, which also mends it between tests."""
    stack = make_live_stack()
    try:
        up(stack, Lines())
        yield stack
    finally:
        down(stack, Lines(), force=True)
    assert leftovers(stack) == []


@pytest.fixture
def live_stack(live_stack_session: LocalStack) -> LocalStack:
    """The session's stack, serving and clean when the test begins, whatever the one before did."""
    up(live_stack_session, Lines())
    live_stack_session.remove_residue()
    return live_stack_session


# ---------------------------------------------------------------- Docker


@pytest.fixture
def sockets_of_docker_py() -> Iterator[None]:
    """It leaves some to the garbage collector."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


@pytest.fixture(scope="session")
def docker_api() -> Any:
    found = client()
    make_image(found)
    return found


@pytest.fixture
def project(docker_api: Any) -> Iterator[Project]:
    made = Project(docker_api)
    yield made
    made.remove()


@pytest.fixture
def other_project(docker_api: Any) -> Iterator[Project]:
    """A second project with services of the same names."""
    made = Project(docker_api)
    yield made
    made.remove()


@pytest.fixture
def place(
    tmp_path: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DockerPlace]:
    """A stack of busybox containers, none yet, on the daemon of DOCKER_HOST."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with docker_place(tmp_path, project, address.host()) as made:
        yield made
