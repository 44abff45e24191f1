"""Docker's answers about a container as the protocol's words, and limits as Docker takes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, get_args

from vqchaos.errors import StackError
from vqchaos.stack.container_protocols import (
    Attachment,
    ContainerState,
    ContainerStatus,
    Limits,
)
from vqchaos.text import one_line

PROJECT: Final = "com.docker.compose.project"
SERVICE: Final = "com.docker.compose.service"
NUMBER: Final = "com.docker.compose.container-number"
ONEOFF: Final = "com.docker.compose.oneoff"
# The kernel's own word for "no limit": Docker takes neither 0 nor -1 to take a limit off.
UNLIMITED: Final = 2**63 - 4096
_NO_LIMIT = 2**62  # at or above it, a number of bytes is no limit
_PERIOD = 100_000  # microseconds, Docker's default
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)")
_STATUSES: Mapping[str, ContainerStatus] = {name: name for name in get_args(ContainerStatus)}
_NO_NETWORKS = ("host", "none")  # nothing can be taken off these


def name_of(container: Mapping[str, Any]) -> str:
    """As people write it; a listing has several, some of links from other containers."""
    names = container.get("Names") or ["/" + container["Id"][:12]]
    return str(min(names, key=lambda name: (name.count("/"), name))).lstrip("/")


def state(info: Mapping[str, Any], *, local: bool) -> ContainerState:
    """``local``: its PID is one of this machine's."""
    seen = info["State"]
    status = _STATUSES.get(seen["Status"], "dead")  # also while it is being removed
    health = (seen.get("Health") or {}).get("Status")
    runs = status in ("running", "paused")
    return ContainerState(
        status=status,
        started=moment(seen["StartedAt"]),
        pid=seen["Pid"] if local and runs and seen["Pid"] else None,
        restarts=info.get("RestartCount", 0),
        exit_code=None if runs or status == "created" else seen["ExitCode"],
        health=None if health in (None, "none") else one_line(health, 40),
    )


def moment(text: str) -> float | None:
    """Docker's time, to the nanosecond, as Unix seconds; None for its year 1."""
    found = _MOMENT.fullmatch(text)
    if found is None or text.startswith("0001-"):
        return None
    whole = datetime.fromisoformat(found[1] + found[3].replace("Z", "+00:00")).timestamp()
    return whole + float(found[2] or 0)


def attachments(info: Mapping[str, Any]) -> list[Attachment]:
    """Without the alias that Docker gives each container, its short id."""
    short = info["Id"][:12]
    networks = info["NetworkSettings"]["Networks"] or {}
    return [
        Attachment(
            network=name,
            aliases=tuple(alias for alias in place.get("Aliases") or [] if alias != short),
            ipv4=(place.get("IPAMConfig") or {}).get("IPv4Address") or None,
            ipv6=(place.get("IPAMConfig") or {}).get("IPv6Address") or None,
            links=tuple(place.get("Links") or []),
        )
        for name, place in networks.items()
        if name not in _NO_NETWORKS
    ]


def limits(info: Mapping[str, Any]) -> Limits:
    host = info["HostConfig"]
    cpus = None
    if host.get("NanoCpus"):
        cpus = host["NanoCpus"] / 1e9
    elif (host.get("CpuQuota") or 0) > 0:
        cpus = host["CpuQuota"] / (host.get("CpuPeriod") or _PERIOD)
    return Limits(memory=_bytes(host.get("Memory")), swap=_bytes(host.get("MemorySwap")), cpus=cpus)


def _bytes(number: int | None) -> int | None:
    return number if number is not None and 0 < number < _NO_LIMIT else None


def memory_change(limits: Limits) -> list[dict[str, int]]:
    """What to tell Docker, the next where one is refused. Memory and swap always together: alone,
    one above the other is refused. ``-1`` is no limit of swap; where a limit of swap is in force,
    version 1 of cgroups refuses memory above it, and wants the number."""
    memory = UNLIMITED if limits.memory is None else limits.memory
    if limits.swap is not None:
        return [{"Memory": memory, "MemorySwap": limits.swap}]
    ways = [{"Memory": memory, "MemorySwap": -1}]
    if limits.memory is None:
        ways.append({"Memory": memory, "MemorySwap": UNLIMITED})
    return ways


def cpu_change(info: Mapping[str, Any], cpus: float | None) -> dict[str, int]:
    """A container that was made with ``cpus`` takes only that (docker-py's update lacks it), any
    other a period and a quota."""
    if info["HostConfig"].get("NanoCpus"):
        if cpus is None:
            raise StackError(
                "Docker cannot take off the limit of CPUs that a container was made with"
            )
        return {"NanoCpus": round(cpus * 1e9)}
    if cpus is None:
        return {"CpuQuota": -1}
    return {"CpuPeriod": _PERIOD, "CpuQuota": max(1000, round(cpus * _PERIOD))}
