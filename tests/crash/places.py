"""Where the crash matrix kills its runners: a real local stack, or busybox containers."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.crash.harness import PATIENCE, Victim, settled, victim
from tests.live.compose_like import Project, client, make_image
from tests.live.conftest import Lines, make_live_stack
from tests.live.docker_place import FAULTS as CONTAINER_FAULTS
from tests.live.docker_place import DockerPlace, docker_place, limited
from tests.live.test_undo_live import FAMILIES, effects, words
from vqchaos.clock import RealClock, wait_until
from vqchaos.stack.docker.address import host
from vqchaos.stack.local.down import down
from vqchaos.stack.local.stack import LocalStack
from vqchaos.stack.local.up import up

CLOCK = RealClock()
CONTAINERS = "containers"
EVERY = [*FAMILIES, CONTAINERS]
LATE = 0.25  # seconds; an exchange under the family's latency takes 0.3


def vqchaos(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vqchaos", *arguments], capture_output=True, text=True, check=False
    )


@dataclass
class Place:
    """The stack, one family, and a folder for each run."""

    stack: Any  # LocalStack; a DockerStack for containers
    family: str
    folder: Path
    times: list[float] = field(default_factory=list)  # seconds from SIGKILL to every effect gone

    @contextmanager
    def at(self, step: str, **options: Any) -> Iterator[Victim]:
        """A runner that stands at the step, with all of the family's faults begun."""
        folder = self.folder / f"{time.monotonic_ns()}"
        nth = 1 if step in ("preflight", "recovery") else self.faults
        command = self.words(folder)
        with victim(step, command, folder / "runs", nth=nth, **options) as runner:
            runner.await_step()
            yield runner

    @property
    def faults(self) -> int:
        return len(FAMILIES[self.family])

    def words(self, folder: Path) -> list[str]:
        return words(self.family, folder, fault="5s")

    def effects(self) -> list[str]:
        """What of a fault is in force in the world itself."""
        return effects(self.stack)

    def ready(self) -> None:
        """Serving and clean, whatever the death before did."""
        up(self.stack, Lines())

    def heal(self) -> None:
        """By the command. Raises AssertionError if it does not end well."""
        healed = vqchaos("heal", "--stack", str(self.stack.path))
        assert healed.returncode == 0, healed.stdout + healed.stderr

    def _as_the_world_is(self) -> bool:
        return self.effects() == []

    def _as_clients_see(self) -> bool:
        """Without a word to Toxiproxy's API: a listing that waits behind a removal that hangs
        keeps the proxy from being made anew, and the look would make the trouble that it sees."""
        took = self.stack.proxy.timed_connect(1.0)
        return took is not None and took < LATE

    def dies(self, runner: Victim) -> None:
        """SIGKILL, and what its watchdog does then; timed where an effect was in force."""
        stood = self.effects()
        killed = time.monotonic()
        runner.process.kill()
        if stood:
            gone = self._as_clients_see if self.family == "network" else self._as_the_world_is
            assert wait_until(gone, PATIENCE, CLOCK, every=0.02)
            self.times.append(round(time.monotonic() - killed, 3))
        assert wait_until(lambda: runner.ended_as() == "died", PATIENCE, CLOCK, every=0.1)
        assert wait_until(lambda: settled(self.stack.state_dir), PATIENCE, CLOCK)


@dataclass
class ContainerPlace(Place):
    """Five busybox containers, each hit by another fault."""

    docker: DockerPlace | None = None

    @property
    def world(self) -> DockerPlace:
        assert self.docker is not None
        return self.docker

    @property
    def faults(self) -> int:
        return len(CONTAINER_FAULTS)

    def words(self, folder: Path) -> list[str]:
        folder.mkdir(parents=True, exist_ok=True)
        command = self.world.words(*CONTAINER_FAULTS, fault="5s")
        own = Path(command[1]).rename(folder / "crash.yaml")  # it may be deleted alone
        return ["run", str(own), *command[2:]]

    def effects(self) -> list[str]:
        return self.world.effects()

    def ready(self) -> None:
        """A container that was killed is started again in its own time."""
        assert wait_until(lambda: self.effects() == [], PATIENCE, CLOCK), self.effects()

    def heal(self) -> None:
        super().heal()
        self.ready()


def places(families: list[str], folder: Path, stack_of: ExitStack) -> Iterator[Place]:
    """One of each family; what they need is brought up when it is first needed."""
    local: LocalStack | None = None
    for family in families:
        if family == CONTAINERS:
            api = client()
            make_image(api)
            project = Project(api)
            stack_of.callback(project.remove)
            docker = stack_of.enter_context(docker_place(folder / "docker", project, host()))
            docker.servers(len(CONTAINER_FAULTS), **limited())
            yield ContainerPlace(docker.stack, family, folder, docker=docker)
            continue
        if local is None:
            local = make_live_stack()
            stack_of.callback(lambda stack: down(stack, Lines(), force=True), local)
            up(local, Lines())
        yield Place(local, family, folder)
