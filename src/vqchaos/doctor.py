"""What this host has and lacks for vqchaos, and how to get it. Light: no network, no changes."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from vqchaos.errors import VqchaosError
from vqchaos.stack.local import engine_env, paths, toxiproxy_install
from vqchaos.units import format_size

GIB = 1024**3
State = Literal["ok", "lacks", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. ``state``: ok; lacks (the local stack will not run without it); note
    (works, but worth knowing). ``way_out`` says how to get it, empty where it is ok."""

    name: str
    state: State
    found: str
    way_out: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def examine() -> list[Finding]:
    """Look at everything; a look that crashes is a finding itself."""
    findings = []
    for look in _LOOKS:
        try:
            findings.append(look())
        except (OSError, ValueError, VqchaosError, psutil.Error) as error:
            name = look.__name__.removeprefix("_").replace("_", " ")
            findings.append(Finding(name, "note", f"could not be looked at: {error}"))
    return findings


def _system() -> Finding:
    found = f"{platform.system()} {platform.release()} on {platform.machine()}"
    if platform.system() != "Linux":
        return Finding("system", "lacks", found, "the local stack needs Linux; attach works")
    return Finding("system", "ok", found)


def _python() -> Finding:
    version = platform.python_version()
    first, last = engine_env.PYTHONS
    if first <= sys.version_info[:2] <= last:
        return Finding("python", "ok", f"{version}, also for the engine")
    wanted = f"{first[0]}.{first[1]} to {last[0]}.{last[1]}"
    return Finding(
        "python", "lacks", version, f"the engine takes {wanted}: `vqchaos up --engine-python PATH`"
    )


def _uv() -> Finding:
    try:
        return Finding("uv", "ok", engine_env.find_uv())
    except VqchaosError as error:
        return Finding("uv", "lacks", error.message, error.hint or "")


def _engine() -> Finding:
    on_path = shutil.which("vllm")
    if on_path is not None and engine_env.has_gpu():
        return Finding("engine", "ok", f"{on_path}, for this host's GPU")
    try:
        made = engine_env.EngineEnv.default()
    except VqchaosError as error:
        return Finding("engine", "lacks", error.message, error.hint or "")
    if made.complete():
        return Finding("engine", "ok", f"vLLM {engine_env.VLLM} (CPU) in {made.folder}")
    return Finding(
        "engine", "note", "not installed yet", "`vqchaos up` installs it once (2 to 6 GB)"
    )


def _toxiproxy() -> Finding:
    on_path = shutil.which("toxiproxy-server")
    cached = paths.cache_home() / f"toxiproxy-{toxiproxy_install.VERSION}" / "toxiproxy-server"
    for binary in (Path(on_path) if on_path else None, cached):
        if binary is not None and binary.exists():
            version = toxiproxy_install.version_of(binary)
            if version is not None:
                shown = "built with Go" if version == "git" else version
                return Finding("toxiproxy", "ok", f"{shown}, {binary}")
    how = "`vqchaos up` builds it with Go" if shutil.which("go") else "`vqchaos up` downloads it"
    return Finding("toxiproxy", "note", "not installed yet", f"{how}, once")


def _go() -> Finding:
    go = shutil.which("go")
    if go is not None:
        return Finding("go", "ok", go)
    return Finding(
        "go", "note", "not installed", "only needed where Toxiproxy cannot be downloaded"
    )


def _cores() -> Finding:
    count = len(os.sched_getaffinity(0))
    if count < 2:
        return Finding("cores", "note", f"{count}", "measurements suffer below two cores")
    return Finding("cores", "ok", f"{count}")


def _memory() -> Finding:
    memory = psutil.virtual_memory()
    found = f"{format_size(memory.available)} free of {format_size(memory.total)}"
    if memory.available < 5 * GIB:
        return Finding("memory", "lacks", found, "the demo needs 5 GiB; two servers at once need 9")
    if memory.available < 9 * GIB:
        return Finding(
            "memory", "note", found, "a killed server's orphans and the new one need 9 GiB together"
        )
    return Finding("memory", "ok", found)


def _disk() -> Finding:
    cache = paths.cache_home()
    place = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    found = f"{format_size(free)} free at {place}"
    if free < 9 * 1000**3 and not _has_engine():
        return Finding(
            "disk", "lacks", found, "the engine may need 9 GB; XDG_CACHE_HOME can name another disk"
        )
    return Finding("disk", "ok", found)


def _has_engine() -> bool:
    return any(paths.cache_home().glob("engines/*/complete.json"))


def _shared_memory() -> Finding:
    usage = shutil.disk_usage("/dev/shm")  # noqa: S108 (where vLLM puts its ring buffers)
    found = f"{format_size(usage.free)} free of {format_size(usage.total)} at /dev/shm"
    if usage.free < GIB:
        return Finding(
            "shared memory",
            "lacks",
            found,
            "vLLM maps 0.4 GiB, and orphans keep theirs: 1 GiB (containers: --shm-size 1g)",
        )
    return Finding("shared memory", "ok", found)


def _temporary_folder() -> Finding:
    folder = "/tmp"  # noqa: S108 (not $TMPDIR: vLLM's sockets need a short path)
    if not os.access(folder, os.W_OK | os.X_OK):
        return Finding(folder, "lacks", "not writable", "vLLM's sockets need a short path there")
    return Finding(folder, "ok", "writable")


def _ports() -> Finding:
    low, high = paths.ephemeral_range()
    found = f"ephemeral {low} to {high}"
    if low <= 1024 and high >= 65000:
        return Finding(
            "ports", "lacks", found, "leave some out of it: net.ipv4.ip_local_port_range"
        )
    return Finding("ports", "ok", f"{found}; the stack takes others")


def _open_files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < 1024:
        return Finding("open files", "note", f"{soft} (limit {hard})", "ulimit -n 4096")
    return Finding("open files", "ok", f"{soft}")


def _gpu() -> Finding:
    if engine_env.has_gpu():
        way = "" if shutil.which("vllm") else "put your GPU build of `vllm` on PATH to use it"
        return Finding("gpu", "note" if way else "ok", "nvidia-smi lists one", way)
    return Finding("gpu", "ok", "none; the CPU engine is used")


def _docker() -> Finding:
    docker = shutil.which("docker")
    socket = Path("/var/run/docker.sock")
    if docker is None and not socket.exists():
        return Finding("docker", "note", "not installed", "only needed for stacks of kind docker")
    if socket.exists() and not os.access(socket, os.W_OK):
        return Finding("docker", "note", "its socket is not yours", "join the group docker")
    return Finding("docker", "ok", docker or str(socket))


_LOOKS: tuple[Callable[[], Finding], ...] = (
    _system,
    _python,
    _uv,
    _engine,
    _toxiproxy,
    _go,
    _cores,
    _memory,
    _disk,
    _shared_memory,
    _temporary_folder,
    _ports,
    _open_files,
    _gpu,
    _docker,
)
