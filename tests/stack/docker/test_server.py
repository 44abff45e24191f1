"""Which container a start-up fault's undo acts on, and when; the rest is on a real daemon."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from vqchaos.clock import ManualClock
from vqchaos.stack.container_protocols import ContainerRef
from vqchaos.stack.docker.places import Place
from vqchaos.stack.docker.server import DockerServer

A = ContainerRef("a" * 12, "p_vllm-a_1", "server", "vllm-a", 1)
B = ContainerRef("b" * 12, "p_vllm-b_1", "server", "vllm-b", 2)
STAND_IN = ContainerRef("c" * 12, "p_vllm-a_1-vqchaos", "server", "vllm-a", 1)


@dataclass
class Daemon:
    """What of ``DockerContainers`` a server uses; ``ends_at`` is when A's stop is through."""

    clock: ManualClock
    found: list[Place]
    told: bool = False
    ends_at: float = float("inf")
    calls: list[tuple[str, str]] = field(default_factory=list)

    def places(self, role: str) -> list[Place]:
        assert role == "server"
        return self.found

    def state(self, ref: ContainerRef) -> Any:
        ended = ref == A and self.clock.now() >= self.ends_at
        return SimpleNamespace(status="exited" if ended else "running")

    def signalled(self, _ref: ContainerRef, _within: float) -> bool:
        return self.told

    def stop(self, ref: ContainerRef, _grace: float) -> None:
        self.calls.append(("stop", ref.name))

    def start(self, ref: ContainerRef) -> None:
        running = self.state(ref).status == "running"
        self.calls.append(("is left alone" if running else "start", ref.name))


def server(daemon: Daemon) -> DockerServer:
    return DockerServer(daemon, Path("/nowhere"), daemon.clock)  # type: ignore[arg-type]


def place(ref: ContainerRef, replica: int) -> Place:
    return Place(replica, 1, ref, ())


def test_a_neighbour_that_gets_its_number_is_never_taken_for_it() -> None:
    """The own container is pruned under the fault: the neighbour is counted as the first then."""
    daemon = Daemon(ManualClock(), [place(A, 1), place(B, 2)])
    mine = server(daemon)
    assert mine.is_up()
    daemon.found = [place(B, 1)]
    assert not mine.is_up()
    assert mine.attempt().state == "stopped"
    assert daemon.calls == []


def test_a_stop_that_is_still_under_way_is_waited_for() -> None:
    daemon = Daemon(ManualClock(), [place(A, 1)], told=True)
    daemon.ends_at = daemon.clock.now() + 7.0
    server(daemon).start_clean()
    assert daemon.calls == [("start", A.name)]


def test_where_none_was_sent_a_second_is_all() -> None:
    daemon = Daemon(ManualClock(), [place(A, 1)])
    began = daemon.clock.now()
    server(daemon).start_clean()
    assert daemon.calls == [("is left alone", A.name)]
    assert daemon.clock.now() - began < 2.0


def test_one_that_ended_is_started_at_once() -> None:
    daemon = Daemon(ManualClock(), [place(A, 1)], ends_at=0.0)
    began = daemon.clock.now()
    server(daemon).start_clean()
    assert daemon.calls == [("start", A.name)]
    assert daemon.clock.now() == began
