"""``port_conflict``: another program has the server's port when it starts."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import ClassVar, Literal

import psutil

from vqchaos.clock import wait_until
from vqchaos.errors import FaultError
from vqchaos.faults.base import StartupFault, State, Ticket, Verification, World
from vqchaos.stack.environ import TOKEN_VARIABLE, carriers
from vqchaos.stack.protocols import StartOverride

_HOLDER = Path(__file__).with_name("_port_holder.py")
_PATIENCE = 5.0


class PortConflict(StartupFault):
    """Stops the server, lets a small program of ours take its port, and starts it. The program
    carries the fault's token in its environment and ends by itself at the run's deadline."""

    summary: ClassVar[str] = "Another program holds the server's port when it starts."
    graceful: ClassVar[str] = (
        "The server exits within seconds, not 0, names the address in use, and leaves no process."
    )
    undo: ClassVar[str] = "end that program, start the server clean"
    causes: ClassVar[tuple[str, ...]] = (r"address already in use", r"Errno 98")

    type: Literal["port_conflict"]

    def plan(self, world: World) -> list[str]:
        host, port = self.server(world).listens_on()
        return [
            f"drain, then stop {self.whom} (SIGTERM, SIGKILL to its group after 15 s)",
            f"take {host}:{port} with a program of ours, start the server",
            f"undo: {self.undo}",
        ]

    def before(self, world: World, ticket: Ticket) -> State:
        host, port = self.server(world).listens_on()
        ttl = max(60.0, ticket.deadline_wall - world.clock.wall())
        return {"host": host, "port": port, "ttl": ttl}

    def apply(self, world: World, state: State) -> StartOverride:
        holder = subprocess.Popen(
            [
                sys.executable,
                "-I",
                str(_HOLDER),
                state["host"],
                str(state["port"]),
                str(state["ttl"]),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, TOKEN_VARIABLE: state["token"]},
            text=True,
        )
        assert holder.stdout is not None
        with holder.stdout:
            said = holder.stdout.readline().strip()
        if said != "held":
            holder.wait()
            raise FaultError(f"port {state['port']} could not be taken: {said or 'no answer'}")
        # The undo goes by its token. Its exit status is taken here whenever it ends, by whatever
        # hand, so that no zombie stays of it.
        threading.Thread(target=holder.wait, daemon=True, name="port-holder").start()
        return StartOverride()

    def applied(self, world: World, state: State) -> Verification:
        if not holders(state["token"]):
            return Verification("no", "the program that takes the port is not there")
        if not _taken(state["host"], state["port"]):
            return Verification("no", f"port {state['port']} is not taken")
        return Verification("yes", f"port {state['port']} is taken by a program of ours")

    @classmethod
    def unapply(cls, world: World, state: State) -> str:
        found = holders(state["token"])
        for process in found:
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        _reap(found)
        # Real time: these are real processes, also where the world's clock is a manual one.
        deadline = time.monotonic() + _PATIENCE
        while holders(state["token"]) and time.monotonic() < deadline:
            _reap(found)
        return "" if found else "nothing held the port"

    @classmethod
    def unapplied(cls, world: World, state: State) -> Verification:
        if wait_until(lambda: not holders(state["token"]), 0.5, world.clock):
            return Verification("yes", "the program that took the port is gone")
        return Verification("no", "the program that took the port still runs")

    @classmethod
    def manual(cls, state: State) -> list[str]:
        where = f"port {state['port']}" if "port" in state else "the server's port"
        return [f"end the program that listens on {where}", "start the server again"]


def holders(token: str) -> list[psutil.Process]:
    """Live processes that carry this fault's token."""
    return list(carriers(TOKEN_VARIABLE, {token}))


def _reap(processes: list[psutil.Process]) -> None:
    """Where the holder is our own child, take its exit status, so that no zombie stays."""
    for process in processes:
        try:
            process.wait(timeout=1.0)
        except psutil.Error:
            continue


def _taken(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False
