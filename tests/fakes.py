"""A world in memory to try faults on: strict where the real one is, fragile on demand.

The server's wish and its model lie in a folder, as the real ones do, so that a second ``FakeWorld``
on the same folder, maybe in another process, finds what the first one left.
"""

from __future__ import annotations

import json
import signal
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from tests.fake_containers import FakeContainers
from vqchaos.clock import ManualClock
from vqchaos.errors import FaultError, StackError
from vqchaos.stack.container_protocols import DaemonRef
from vqchaos.stack.marked import StandIn
from vqchaos.stack.protocols import Attempt, ProcessRef, ProxyRef, Removal, StartOverride, Toxic

GIB = 1024**3
STRANGERS_TOXIC = Toxic("somebody-elses", "latency", "upstream", 1.0, {"latency": 1, "jitter": 0})
_SERVING = Attempt(generation=1, state="running", clean=True, pid=100, started=900.0)
CLIENTS_PROXY = "clients"
REPLICA_PROXIES = ("replica-1", "replica-2")
_ROUND_TRIP = 0.002  # seconds of an exchange through the untouched proxy


def free_port() -> int:
    """A port of loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_model(folder: Path) -> None:
    """A small model folder: real safetensors in three dtypes, a config, a tokenizer."""
    folder.mkdir(parents=True)
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    payload = b""
    for name, dtype, width, rows, columns in (
        ("model.embed_tokens.weight", "F32", 4, 8, 16),
        ("model.layers.0.mlp.down_proj.weight", "F32", 4, 16, 16),
        ("model.layers.0.self_attn.q_proj.weight", "BF16", 2, 8, 8),
        ("model.norm.weight", "F16", 2, 4, 4),
    ):
        end = len(payload) + rows * columns * width
        header[name] = {"dtype": dtype, "shape": [rows, columns]}
        header[name]["data_offsets"] = [len(payload), end]
        payload += bytes((7 * i) % 61 for i in range(len(payload), end))
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + payload)
    config = {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "layer_types": ["full_attention"],
        "max_window_layers": 1,
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    vocabulary = {f"word{n}": n for n in range(40)}
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocabulary}}))


class FakeWorld:
    """Implements ``faults.base.World``. ``calls`` are all calls to it, ``mutations`` those that
    change something. Time stands still unless somebody sleeps."""

    def __init__(self, folder: Path, *, memory_limit: int | None = 4 * GIB) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "model").exists():
            make_model(folder / "model")
        self.clock = ManualClock()
        self.calls: list[str] = []
        self.mutations: list[str] = []
        self._fail_at = 0
        self._fail_after = False
        toxiproxy = FakeToxiproxyProcess()
        self.proxy = FakeProxy(self, toxiproxy)
        self.replica_proxies = {name: FakeProxy(self, toxiproxy) for name in REPLICA_PROXIES}
        self.processes = FakeProcesses(self)
        self.server = FakeServer(self, memory_limit)
        self.others: dict[int, FakeServer] = {}  # more replicas, if a test has them
        self.containers = FakeContainers(self)
        self.docker: DaemonRef | None = None

    def links(self) -> list[ProxyRef]:
        """As the stack's file says: no call to the world."""
        replicas = [ProxyRef(name, n) for n, name in enumerate(self.replica_proxies, 1)]
        return [ProxyRef(CLIENTS_PROXY), *replicas]

    def proxy_called(self, name: str) -> FakeProxy:
        return self.proxy if name == CLIENTS_PROXY else self.replica_proxies[name]

    def server_of(self, replica: int) -> FakeServer:
        """As the stack's file says: no call to the world."""
        servers = {1: self.server, **self.others}
        if replica not in servers:
            raise FaultError(f"there is no server {replica}")
        return servers[replica]

    def daemon(self) -> DaemonRef | None:
        if self.docker is None:
            return None
        with self.call("daemon"):
            return self.docker

    def fail_at(self, nth: int, *, after: bool = False) -> None:
        """The ``nth`` call from now (1: the next) raises StackError; with ``after``, it has done
        its work by then, as when an answer is lost. 0: none."""
        self._fail_at = len(self.calls) + nth if nth else 0
        self._fail_after = after

    @contextmanager
    def call(self, name: str, *, mutates: bool = False) -> Iterator[None]:
        """Around each call: counts it, and fails it when its turn has come."""
        self.calls.append(name)
        fails = len(self.calls) == self._fail_at
        if fails and not self._fail_after:
            raise StackError(f"{name}: no answer")
        if mutates:
            self.mutations.append(name)
        yield
        if fails:
            raise StackError(f"{name}: the answer was lost")

    def target_died(self) -> None:
        """All at once: Toxiproxy, every process and every container are gone, the server has
        exited."""
        self.proxy.die()
        self.containers.die()
        self.processes.die()
        self.server.exits(-signal.SIGKILL)

    def snapshot(self) -> dict[str, Any]:
        """All that a fault may change and must put back. Does not count as a call."""
        attempt = self.server.latest
        return {
            "toxics": sorted(self.proxy.listed),
            "enabled": self.proxy.is_enabled,
            "toxiproxy": self.proxy.there,
            "to replicas": {
                name: (sorted(proxy.listed), proxy.is_enabled)
                for name, proxy in self.replica_proxies.items()
            },
            "processes": {ref.role: state for ref, state in self.processes.table.items()},
            "server": (attempt.state, attempt.clean, len(self.server.standing_in)),
            "other servers": {
                n: (s.latest.state, s.latest.clean, len(s.standing_in))
                for n, s in self.others.items()
            },
            "containers": self.containers.snapshot(),
            "files": self.files(),
        }

    def files(self) -> dict[str, int]:
        """Path → size of everything in the folder but the fake's own notes."""
        return {
            str(path.relative_to(self.folder)): path.lstat().st_size
            for path in self.folder.rglob("*")
            if not (path.name.startswith("server") and path.suffix == ".json")
        }


@dataclass
class FakeToxiproxyProcess:
    """What all its proxies share."""

    there: bool = True
    hung: bool = False
    proxies: list[FakeProxy] = field(default_factory=list)


class FakeProxy:
    """``ProxyControl`` in memory. A stranger's toxic is there from the start."""

    def __init__(self, world: FakeWorld, process: FakeToxiproxyProcess) -> None:
        self._world = world
        self._process = process
        process.proxies.append(self)
        self.is_enabled = True
        self.listed = {STRANGERS_TOXIC.name: STRANGERS_TOXIC}

    @property
    def there(self) -> bool:
        return self._process.there

    @property
    def hung(self) -> bool:
        return self._process.hung

    @hung.setter
    def hung(self, hung: bool) -> None:
        self._process.hung = hung

    def die(self) -> None:
        """Toxiproxy is gone; its state dies with it."""
        self._process.there = False
        for proxy in self._process.proxies:
            proxy.is_enabled = False
            proxy.listed = {}

    def restart(self) -> None:
        """Toxiproxy came back and the stack made its proxies anew: on, and without any toxic."""
        self._process.there = True
        for proxy in self._process.proxies:
            proxy.is_enabled = True
            proxy.listed = {}

    def toxics(self) -> list[Toxic]:
        with self._world.call("proxy.toxics"):
            self._reach()
            return list(self.listed.values())

    def add(self, toxic: Toxic) -> None:
        with self._world.call("proxy.add", mutates=toxic.type != "noop"):
            self._reach()
            if toxic.name in self.listed:
                raise StackError(f"the proxy has a toxic called {toxic.name} already")
            self.listed[toxic.name] = toxic

    def remove(self, name: str) -> Removal:
        with self._world.call("proxy.remove", mutates=True):
            return "absent" if self.listed.pop(name, None) is None else "removed"

    def revive(self) -> bool:
        with self._world.call("proxy.revive"):
            if self.hung:
                self.hung = False
                self.restart()
                return True
            return False

    def enabled(self) -> bool:
        with self._world.call("proxy.enabled"):
            self._reach()
            return self.is_enabled

    def set_enabled(self, enabled: bool) -> None:
        with self._world.call("proxy.set_enabled", mutates=True):
            self._reach()
            self.is_enabled = enabled

    def exists(self) -> bool:
        with self._world.call("proxy.exists"):
            return self.there

    def timed_connect(self, timeout: float) -> float | None:
        if self is not self._world.proxy:
            raise StackError("only the router reaches this proxy")
        with self._world.call("proxy.timed_connect"):
            if not (self.there and self.is_enabled):
                return None
            late = sum(t.attributes.get("latency", 0) for t in self.listed.values() if t.toxicity)
            took = _ROUND_TRIP + late / 1000
            self._world.clock.sleep(min(took, timeout))
            return took if took <= timeout else None

    def _reach(self) -> None:
        if self.hung:
            raise StackError("Toxiproxy gave no answer")
        if not self.there:
            raise StackError("Toxiproxy cannot be reached")


class FakeProcesses:
    """``ProcessControl`` in memory: a server and its engine, unless the test spawns more."""

    def __init__(self, world: FakeWorld) -> None:
        self._world = world
        self._next_pid = 100
        self._spawned = 0
        self.table: dict[ProcessRef, Literal["running", "stopped"]] = {}
        self.supervised = False  # whether a killed process brings the whole server back at once
        self.signals: list[tuple[str, int]] = []
        self.immortal = False  # signals are taken and do nothing
        self.spawn_server()

    def spawn(self, role: str, *, pid: int | None = None, replica: int = 1) -> ProcessRef:
        """One more process of that role."""
        if pid is None:
            pid, self._next_pid = self._next_pid, self._next_pid + 1
        self._spawned += 1
        start = float(self._spawned)  # no two processes have the same
        ref = ProcessRef(pid, start, role, 100, 100, title=f"VLLM::{role}", replica=replica)
        self.table[ref] = "running"
        return ref

    def spawn_server(self, replica: int = 1) -> None:
        self.end_server(replica)
        self.spawn("server", replica=replica)
        self.spawn("engine", replica=replica)

    def end_server(self, replica: int = 1) -> None:
        self.table = {ref: s for ref, s in self.table.items() if ref.replica != replica}

    def die(self, role: str | None = None) -> None:
        """The processes of that role, or all, are gone."""
        self.table = {ref: s for ref, s in self.table.items() if role not in (None, ref.role)}

    def find(self, role: str) -> list[ProcessRef]:
        with self._world.call("processes.find"):
            return [ref for ref in self.table if ref.role == role]

    def status(self, ref: ProcessRef) -> Literal["running", "stopped", "gone"]:
        with self._world.call("processes.status"):
            return self.table.get(ref, "gone")

    def signal(self, ref: ProcessRef, signum: int) -> bool:
        with self._world.call("processes.signal", mutates=True):
            if ref not in self.table:
                return False
            self.signals.append((ref.role, signum))
            if self.immortal:
                return True
            if signum == signal.SIGSTOP:
                self.table[ref] = "stopped"
            elif signum == signal.SIGCONT:
                self.table[ref] = "running"
            elif self.supervised:
                self._world.server.exits(-signum)
                self._world.server.launch(StartOverride(), clean=True)
            else:
                del self.table[ref]
            return True


@dataclass
class FakeServer:
    """``ServerControl`` over a folder. ``refuses``: a start with an override exits at once, as a
    good server does; else it runs on. A clean start exits if its port is taken. ``contained``: as
    in Docker, where another container stands in for one that is to start otherwise."""

    world: FakeWorld
    limit: int | None
    refuses: bool = False
    started_with: list[StartOverride] = field(default_factory=list)
    latest: Attempt = _SERVING
    up: bool = True
    contained: bool = False
    says: tuple[str, ...] = ()  # the log of each start with an override
    standing_in: list[StandIn] = field(default_factory=list)
    replica: int = 1
    own: str | None = None  # as a container's published port

    def __post_init__(self) -> None:
        number = "" if self.replica == 1 else f"-{self.replica}"
        self._notes = self.world.folder / f"server{number}.json"
        if self._notes.exists():
            saved = json.loads(self._notes.read_text(encoding="utf-8"))
            self.port: int = saved.pop("port")
            self.standing_in = [StandIn(**each) for each in saved.pop("standing_in", [])]
            self.latest = Attempt(**saved)
        else:
            self.port = free_port()
            self._save(self.latest)

    def own_url(self) -> str | None:
        return self.own

    def listens_on(self) -> tuple[str, int]:
        with self.world.call("server.listens_on"):
            return "127.0.0.1", self.port

    def model_dir(self) -> Path:
        with self.world.call("server.model_dir"):
            return self.world.folder / "model"

    def memory_limit(self) -> int | None:
        with self.world.call("server.memory_limit"):
            return self.limit

    def scratch(self, token: str) -> Path:
        with self.world.call("server.scratch"):
            return self.world.folder / "scratch" / token

    def stop(self, timeout: float = 30.0) -> None:
        with self.world.call("server.stop", mutates=True):
            self.world.processes.end_server(self.replica)
            self.standing_in.clear()
            self._save(replace(self.latest, state="stopped", ended=self.world.clock.now()))

    def start(self, override: StartOverride, *, restarts: bool = False) -> None:
        with self.world.call("server.start", mutates=True):
            if self.latest.state in ("running", "waiting"):
                raise StackError("the server runs already")
            if self.contained and (mark := override.mark) is not None:
                place = str(self.world.folder / "scratch" / mark.token)
                facts = (mark.name, mark.token, mark.fault, self.replica, place)
                other = StandIn(f"server-{'x' * self.replica}", *facts)
                self.standing_in.append(other)
            self.launch(override, clean=False)

    def stand_ins(self) -> list[StandIn]:
        with self.world.call("server.stand_ins"):
            return list(self.standing_in)

    def start_clean(self) -> None:
        with self.world.call("server.start_clean", mutates=True):
            self.standing_in.clear()
            if self.latest.clean and self.latest.state in ("running", "waiting"):
                return
            if self.latest.state in ("running", "waiting"):
                raise StackError("a server with an override still runs")
            self.launch(StartOverride(), clean=True)

    def is_up(self) -> bool:
        with self.world.call("server.is_up"):
            return self.up

    def attempt(self) -> Attempt:
        with self.world.call("server.attempt"):
            return self.latest

    def attempt_log(self) -> Sequence[str]:
        return self.attempt().log

    def launch(self, override: StartOverride, *, clean: bool) -> None:
        """A start as such: it exits if it must, and else its processes are there."""
        self.started_with.append(override)
        now = self.world.clock.now()
        lives = not self._port_taken() and (clean or not self.refuses)
        if override.model is not None and not override.model.is_dir():
            lives = False
        if lives:
            self.world.processes.spawn_server(self.replica)
        self._save(
            Attempt(
                generation=self.latest.generation + 1,
                state="running" if lives else "exited",
                clean=clean,
                pid=100,
                started=now,
                ended=None if lives else now,
                exit_code=None if lives else 1,
                log=() if clean else self.says,
            )
        )

    def exits(self, code: int) -> None:
        """The server has ended by itself."""
        now = self.world.clock.now()
        self._save(replace(self.latest, state="exited", exit_code=code, ended=now))

    def _port_taken(self) -> bool:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self.port))
            except OSError:
                return True
        return False

    def _save(self, attempt: Attempt) -> None:
        self.latest = attempt
        saved = asdict(attempt) | {
            "port": self.port,
            "standing_in": [asdict(each) for each in self.standing_in],
        }
        self._notes.write_text(json.dumps(saved), encoding="utf-8")
