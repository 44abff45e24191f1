"""How a stack that is reached by URLs is reached: shared by attached stacks and Docker's."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from vqchaos.errors import UsageError
from vqchaos.stack.config import ReachedStackFile
from vqchaos.stack.protocols import Capability, Endpoints, ProxyRef

if TYPE_CHECKING:
    from vqchaos.stack.toxiproxy import ToxiproxyControl

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # all but the tab, as HTTP has it
_NAMES = {"\n": "a newline", "\r": "a carriage return"}
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
NO_PROXY = (
    "the stack file names no Toxiproxy that clients go through: add `proxy_api` and `proxy_name`"
)

NO_LINKS = (
    "the stack file names no proxies between the router and its replicas: add "
    "`links: {router-replica: [NAME, …]}`"
)


def endpoints(file: ReachedStackFile, path: Path) -> Endpoints:
    """Raises UsageError if a variable that ``api_key_env`` or ``headers_env`` names is not set, or
    holds what no header may."""
    direct = base(file.direct_url or file.url)
    ca_file = None
    if file.ca_file is not None:
        ca_file = str((path.parent / Path(file.ca_file).expanduser()).resolve())
    return Endpoints(
        client_url=base(file.url),
        direct_url=direct,
        health_url=file.health_url or f"{direct}/health",
        metrics_url=file.metrics_url or f"{direct}/metrics",
        model=file.model,
        headers=_headers(file, path),
        ca_file=ca_file,
        replica_header=file.replica_header,
        router_stats=file.router_stats,
        named={name: base(url) for name, url in file.endpoints.items()},
    )


def toxiproxy(file: ReachedStackFile, name: str | None = None) -> ToxiproxyControl | None:
    """The clients' proxy, or the one called ``name``; None if the file names no Toxiproxy. Not by
    ``endpoints``: an undo must not need the user's keys."""
    if file.proxy_api is None or file.proxy_name is None:
        return None
    from vqchaos.stack.toxiproxy import ToxiproxyControl  # noqa: PLC0415 (imports requests)

    clients = name in (None, file.proxy_name)
    return ToxiproxyControl(
        file.proxy_api.rstrip("/"),
        name or file.proxy_name,
        base(file.url) if clients else None,
    )


def links(file: ReachedStackFile) -> list[ProxyRef]:
    """Every proxy that the file names, the clients' first."""
    if file.proxy_name is None:
        return []
    replicas = enumerate(file.links.router_replica or [], 1)
    return [ProxyRef(file.proxy_name), *(ProxyRef(name, number) for number, name in replicas)]


def topology(refs: Iterable[ProxyRef]) -> dict[str, list[str]]:
    """Link → the names of its proxies."""
    found: dict[str, list[str]] = {}
    for ref in refs:
        found.setdefault(ref.link, []).append(ref.name)
    return found


def lacks(file: ReachedStackFile) -> dict[Capability, str]:
    """What the file does not name of a Toxiproxy, each with how to get it."""
    if file.proxy_api is None:
        return {Capability.PROXY: NO_PROXY, Capability.REPLICA_LINKS: NO_PROXY}
    return {} if file.links.router_replica else {Capability.REPLICA_LINKS: NO_LINKS}


def is_here(url: str) -> bool:
    """Is it this machine's loopback?"""
    return urlsplit(url).hostname in _LOOPBACK


def base(url: str) -> str:
    """Without a trailing slash, and without the ``/v1`` that many write by habit."""
    return url.rstrip("/").removesuffix("/v1").rstrip("/")


def _headers(file: ReachedStackFile, path: Path) -> dict[str, str]:
    headers = {name: _secret(path, var, name) for name, var in file.headers_env.items()}
    if file.api_key_env is not None:
        headers["Authorization"] = f"Bearer {_secret(path, file.api_key_env, 'api_key_env')}"
    return headers


def _secret(path: Path, variable: str, what: str) -> str:
    value = os.environ.get(variable)
    if not value:
        raise UsageError(
            f"{path}: {what} names the environment variable {variable}, which is not set",
            hint=f"export {variable}=…",
        )
    if (wrong := _unfit(value)) is not None:
        raise UsageError(
            f"{path}: {what} names the environment variable {variable}, which holds {wrong}: "
            "no header may",
            hint=f"export it without; from a file: export {variable}=\"$(tr -d '\\r\\n' < FILE)\"",
        )
    return value


def _unfit(value: str) -> str | None:
    """What of it cannot be sent, in words that do not tell the rest of it."""
    if (found := _CONTROL.search(value)) is not None:
        character = found[0]
        name = _NAMES.get(character, f"the control character U+{ord(character):04X}")
        return f"{name} at its end" if found.end() == len(value) else name
    try:
        value.encode()
    except UnicodeEncodeError:  # the environment's bytes, kept by Python as surrogates
        return "bytes that are not UTF-8"
    return None
