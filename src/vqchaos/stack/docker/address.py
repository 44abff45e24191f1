"""Which Docker daemon: one answer for the API, for Compose and for the observer.

As Docker's own command decides: DOCKER_HOST, else the context (DOCKER_CONTEXT, or the current one
of the user's configuration), else this machine's socket. A stack's env file, which Compose would go
by alone, counts where the environment says nothing, and may not say another thing.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vqchaos.errors import UsageError
from vqchaos.stack.config import DockerStackFile
from vqchaos.text import one_line

SOCKET: Final = "unix:///var/run/docker.sock"
_HOST, _VERIFY, _CERTS, _CONTEXT = NAMES = (
    "DOCKER_HOST",
    "DOCKER_TLS_VERIFY",
    "DOCKER_CERT_PATH",
    "DOCKER_CONTEXT",
)


@dataclass(frozen=True, slots=True)
class Address:
    """``host`` as DOCKER_HOST has it. ``certs``: the folder of ca.pem, cert.pem and key.pem, empty
    without TLS; ``verify`` whether the daemon's certificate must be right."""

    host: str
    certs: str = ""
    verify: bool = False

    def env(self) -> dict[str, str]:
        """As Docker's programs and docker-py take it from their environment."""
        found = {_HOST: self.host}
        if self.certs:
            found[_CERTS] = self.certs
        if self.verify:
            found[_VERIFY] = "1"
        return found

    def over(self, env: Mapping[str, str]) -> dict[str, str]:
        """That environment, with this daemon and no other in it."""
        return {name: value for name, value in env.items() if name not in NAMES} | self.env()


def address(named: Mapping[str, str] | None = None, where: str = "") -> Address:
    """``named``: the variables that a stack's file names, ``where``. Raises UsageError if it names
    another daemon than the environment does, or if there is no such context."""
    chosen = {name: value for name in NAMES if (value := os.environ.get(name))}
    for name in NAMES:
        value = (named or {}).get(name)
        if not value:
            continue
        if chosen.get(name, value).rstrip("/") != value.rstrip("/"):
            raise UsageError(
                f"{where} says {name}={one_line(value, 200)}, and the environment "
                f"{one_line(chosen[name], 200)}: Compose and the API would use different daemons",
                hint=f"`unset {name}`, or take it out of the file",
            )
        chosen[name] = value
    if host := chosen.get(_HOST):
        verify = bool(chosen.get(_VERIFY))
        certs = chosen.get(_CERTS) or (str(_folder()) if verify else "")
        return Address(host, certs, verify)
    context = chosen.get(_CONTEXT) or _current()
    return Address(SOCKET) if context in ("", "default") else _of_context(context)


def of_stack(file: DockerStackFile, path: Path) -> Address:
    """The daemon of that stack. An env file that is not there is told by who needs it, `up`."""
    named: dict[str, str] = {}
    where = str(path)
    if file.env_file is not None:
        env_file = path.resolve().parent / Path(file.env_file)
        if env_file.is_file():
            named = _named(env_file)
            where = str(env_file)
    if any(name in file.env for name in NAMES):
        named, where = {**named, **file.env}, str(path)
    return address(named, where)


def _named(path: Path) -> dict[str, str]:
    """Docker's own variables in it. What else is there, and whether it is well written, is
    Compose's affair: an undo must not depend on that."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    pairs = (line.strip().partition("=") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs if name.strip() in NAMES}


def host() -> str:
    """The daemon that the environment names, without a stack."""
    return address().host


# ---------------------------------------------------------------- Docker's contexts


def _folder() -> Path:
    return Path(os.environ.get("DOCKER_CONFIG") or Path("~/.docker").expanduser())


def _current() -> str:
    """Empty where there is no configuration, or none that can be read: Docker's command, too, goes
    on without."""
    found = _json(_folder() / "config.json")
    name = found.get("currentContext") if isinstance(found, dict) else None
    return name if isinstance(name, str) else ""


def _of_context(name: str) -> Address:
    key = hashlib.sha256(name.encode()).hexdigest()
    contexts = _folder() / "contexts"
    try:
        endpoint = _json(contexts / "meta" / key / "meta.json")["Endpoints"]["docker"]
        where = endpoint.get("Host") or SOCKET
        verify = not endpoint.get("SkipTLSVerify")
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"there is no Docker context '{one_line(name, 100)}' in {contexts}",
            hint="`docker context ls` lists them; DOCKER_HOST goes before any context",
        ) from error
    certs = contexts / "tls" / key / "docker"
    if not certs.is_dir():
        return Address(str(where))
    return Address(str(where), str(certs), verify)


def _json(path: Path) -> Any:
    """None if it is not there or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
