"""Where the local stack keeps things: state, cache, runtime folder and ports.

State is told apart by the stack file's real path and by the user's state home, so that two clones
and two users never meet. The runtime folder is short because vLLM's IPC paths end at 107 bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vqchaos.errors import StackError
from vqchaos.stack.local.state_files import read_json, write_json

RUNTIME_LIMIT = 60  # characters; the engine puts up to 45 more behind it, and 107 is the end
_PORT_FLOOR = 18000
_PORT_CEILING = 65000
_PORT_NAMES = ("server", "proxy", "proxy_api")


def state_home() -> Path:
    """``$XDG_STATE_HOME/vqchaos``."""
    return _xdg("XDG_STATE_HOME", ".local/state") / "vqchaos"


def cache_home() -> Path:
    """``$XDG_CACHE_HOME/vqchaos``: engine environments, Toxiproxy, vLLM's own caches."""
    return _xdg("XDG_CACHE_HOME", ".cache") / "vqchaos"


def _xdg(variable: str, default: str) -> Path:
    """The XDG rule: a relative value is ignored."""
    value = os.environ.get(variable, "")
    return Path(value) if value.startswith("/") else Path.home() / default


def short_hash(text: str) -> str:
    """8 hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def state_dir_of(name: str, identity: str) -> Path:
    """The state folder of a stack; ``identity`` is its file's real path, or a URL (attach)."""
    return state_home() / "stacks" / f"{name}-{short_hash(identity)}"


@dataclass(frozen=True, slots=True)
class Ports:
    """The stack's three ports on 127.0.0.1."""

    server: int
    proxy: int
    proxy_api: int


@dataclass(frozen=True, slots=True)
class StackPaths:
    """The folders of one local stack. ``up`` holds all that ``down`` removes."""

    state: Path

    @classmethod
    def of(cls, name: str, stack_file: Path) -> StackPaths:
        return cls(state_dir_of(name, str(stack_file.resolve())))

    @property
    def id(self) -> str:
        """8 hex digits that mark this stack's processes: of the state folder, because one stack
        file used from two state homes is two stacks."""
        return short_hash(str(self.state))

    @property
    def up(self) -> Path:
        return self.state / "up"

    @property
    def scratch(self) -> Path:
        return self.state / "scratch"

    @property
    def runtime(self) -> Path:
        # Not $XDG_RUNTIME_DIR: it is absent under cron and CI, and gone after a logout that the
        # stack outlives. The name tells the user apart, the ID the stack.
        path = Path(f"/tmp/vqchaos-{os.getuid()}-{self.id}")  # noqa: S108 (checked in make())
        assert len(str(path)) <= RUNTIME_LIMIT
        return path

    @property
    def supervisor_socket(self) -> Path:
        return self.runtime / "supervisor.sock"

    @property
    def engine_tmp(self) -> Path:
        """Holds one TMPDIR for each attempt, named by its number."""
        return self.runtime / "t"

    def make(self) -> None:
        """Make the folders, all 0700. Raises StackError if somebody else's lies in the way."""
        for folder in (self.state, self.up, self.runtime, self.engine_tmp):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            facts = folder.lstat()
            if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
                raise StackError(
                    f"{folder} is not a folder of yours",
                    hint="remove it, or ask its owner to; vqchaos puts private sockets there",
                )
            if facts.st_mode & 0o077:
                folder.chmod(0o700)

    def ports(self) -> Ports:
        """The remembered ports; chosen and written down if there are none yet."""
        # As they are, whatever the kernel's range is by now: the stack runs on them.
        known = self._known_ports()
        return known if known is not None else self.choose_ports()

    def choose_ports(self) -> Ports:
        """Choose ports that nobody listens on, outside the ephemeral range; remember them.

        Keeps the remembered ones where they are free, so that URLs stay the same.
        Raises StackError if there are none.
        """
        known = self._known_ports()
        numbers = [getattr(known, name) for name in _PORT_NAMES] if known is not None else []
        low, high = ephemeral_range()
        if known is not None and all(is_free(n) and not low <= n <= high for n in numbers):
            return known
        free = (port for port in _candidates(self.id) if is_free(port))
        try:
            chosen = Ports(next(free), next(free), next(free))
        except StopIteration:
            raise StackError(
                "no three free ports outside the ephemeral range",
                hint="free some, or narrow net.ipv4.ip_local_port_range",
            ) from None
        self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_json(self.state / "ports.json", {name: getattr(chosen, name) for name in _PORT_NAMES})
        return chosen

    def _known_ports(self) -> Ports | None:
        data = read_json(self.state / "ports.json")
        if data is None:
            return None
        try:
            return Ports(**{name: int(data[name]) for name in _PORT_NAMES})
        except (KeyError, TypeError, ValueError, json.JSONDecodeError):
            return None


def ephemeral_range() -> tuple[int, int]:
    """First and last port that the kernel hands out by itself."""
    try:
        text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
        low, high = (int(part) for part in text.split())
    except (OSError, ValueError):
        return 32768, 60999
    return low, high


def is_free(port: int) -> bool:
    """Could a server bind it on 127.0.0.1 now?"""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _candidates(seed: str) -> Iterator[int]:
    """All usable ports, from a place that depends on the stack, so that two rarely meet."""
    low, high = ephemeral_range()
    ports = [p for p in range(_PORT_FLOOR, _PORT_CEILING) if not low <= p <= high]
    if not ports:
        ports = [p for p in range(1024, 65536) if not low <= p <= high]
    if not ports:
        return
    start = int(re.sub(r"[^0-9a-f]", "", seed) or "0", 16) % len(ports)
    yield from ports[start:]
    yield from ports[:start]
