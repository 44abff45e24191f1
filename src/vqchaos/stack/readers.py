"""Reads what an inventory holds: toxics, files, mounts, cgroups, ports, memory of GPUs."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import psutil

from vqchaos.errors import StackError
from vqchaos.stack.environ import TOKEN_VARIABLE, variable
from vqchaos.stack.inventory import ANSWERS, MARK, STRANGER, Inventory, Thing
from vqchaos.stack.protocols import ProxyControl, ProxyRef, Toxic
from vqchaos.units import format_size

_FAULTS = f"{STRANGER} (the program of a fault)"
_HASH_WHOLE = 2 * 1024**3  # bytes of a model folder up to which its files are read
_MIB = 1024**2
_LIMITS = ("cpu.max", "memory.max", "memory.high")


def look_at_proxies(
    inventory: Inventory, links: Sequence[ProxyRef], control: Callable[[str], ProxyControl]
) -> None:
    """The toxics of each proxy and whether it is on; if Toxiproxy gives no answer, only that. It
    is gone if the clients' proxy is, the first."""
    state, proxies, toxics = ANSWERS, [], []
    try:
        for ref in links:
            proxy = control(ref.name)
            if proxy.exists():
                value = "on" if proxy.enabled() else "off"
                toxics += [_toxic(ref, toxic) for toxic in proxy.toxics()]
            elif ref.replica is None:
                state = "gone"
                break
            else:
                value = "gone"
            proxies.append(Thing("proxy", str(ref), value, ours=True))
    except StackError:
        state = "no answer"
    inventory.add("toxiproxy", [Thing("toxiproxy", "API", state, ours=False)])
    if state == ANSWERS:
        inventory.add("proxy", proxies)
        inventory.add("toxic", toxics)


def _toxic(ref: ProxyRef, toxic: Toxic) -> Thing:
    attributes = ", ".join(f"{name} {toxic.attributes[name]}" for name in sorted(toxic.attributes))
    value = f"{toxic.type} on the {toxic.stream}, toxicity {toxic.toxicity:g}, {attributes}"
    return Thing("toxic", ref.toxic_name(toxic), value, ours=toxic.name.startswith(MARK))


def look_at_files(
    inventory: Inventory, folder: Path, before: Inventory | None = None, whole: int = _HASH_WHOLE
) -> None:
    """The files of a model, and a remark if they were too large to be read."""
    inventory.look("file", lambda: files(folder, before, whole))
    if any(not thing.stamp for thing in inventory.of("file")):
        inventory.remarks.append(
            f"file: the model has more than {format_size(whole)}: its files are compared by size, "
            "times and inode, not by content"
        )


def files(folder: Path, before: Inventory | None = None, whole: int = _HASH_WHOLE) -> list[Thing]:
    """Every file below the folder: the SHA-256 of its content, or, where all are more than
    ``whole`` bytes, what the file system says of it.

    A file whose time of change, size and inode are those of ``before`` is not read again: no write
    leaves the time of change as it was.
    """
    found = []
    for path in sorted(folder.rglob("*")):
        with contextlib.suppress(FileNotFoundError):  # went while we looked
            if path.is_file():
                found.append((path, path.stat()))
    known = {} if before is None else {t.name: t for t in before.of("file")}
    # As before the run, even if what was added in the run made it large.
    read = (
        any(thing.stamp for thing in known.values())
        if known
        else sum(stat.st_size for _, stat in found) <= whole
    )
    things = []
    for path, stat in found:
        if not read:
            value = (
                f"{stat.st_size} bytes, modified {stat.st_mtime_ns}, changed {stat.st_ctime_ns}, "
                f"inode {stat.st_ino} (too large a model to be read)"
            )
            things.append(Thing("file", str(path), value, ours=True))
            continue
        stamp = f"{stat.st_size} {stat.st_ctime_ns} {stat.st_dev} {stat.st_ino}"
        old = known.get(str(path))
        value = old.value if old is not None and old.stamp == stamp else _content(path)
        things.append(Thing("file", str(path), value, ours=True, stamp=stamp))
    return things


def _content(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return f"sha256 {hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError as error:
        return f"not readable ({error.strerror})"


def mounts(
    folders: Iterable[Path], table: Path = Path("/proc/self/mountinfo")
) -> list[Thing] | None:
    """What is mounted on or below the folders; None where the kernel has no such table."""
    try:
        lines = table.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    below = [folder.resolve() for folder in folders]
    values: dict[str, list[str]] = {}  # one above another on the same folder
    for line in lines:
        place, _, source = line.partition(" - ")
        fields, origin = place.split(" "), source.split(" ")
        path = Path(_plain(fields[4]))
        if any(path.is_relative_to(folder) for folder in below):
            mode = "read-only" if "ro" in fields[5].split(",") else "writable"
            values.setdefault(str(path), []).append(f"{origin[0]} of {_plain(origin[1])}, {mode}")
    return [Thing("mount", path, "; ".join(v), ours=True) for path, v in values.items()]


def _plain(text: str) -> str:
    """The kernel writes blanks and backslashes in octal."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def cgroups(
    pids: Mapping[str, Iterable[int]],
    proc: Path = Path("/proc"),
    root: Path = Path("/sys/fs/cgroup"),
) -> list[Thing]:
    """Role → PIDs. By role, because a restart changes the PIDs and no more."""
    things = []
    for role, numbers in pids.items():
        values = set()
        for pid in numbers:
            with contextlib.suppress(OSError):  # ended, or not ours to read
                values.add(_cgroup((proc / str(pid) / "cgroup").read_text(encoding="utf-8"), root))
        if values:
            things.append(Thing("cgroup", role, "; ".join(sorted(values)), ours=False))
    return things


def _cgroup(text: str, root: Path) -> str:
    lines = text.splitlines()
    path = next((line[3:] for line in lines if line.startswith("0::")), None)
    if path is None:
        return " ".join(sorted(lines))  # version 1 only: where it is, without limits
    limits = []
    for name in _LIMITS:
        with contextlib.suppress(OSError):
            value = (root / path.lstrip("/") / name).read_text(encoding="ascii").strip()
            limits.append(f"{name} {value}")
    return ", ".join([path, *limits])


def ports(wanted: Mapping[tuple[str, int], bool], owners: Mapping[int, str]) -> list[Thing]:
    """Who listens. ``wanted``: address → whether it is our doing if nobody does. ``owners``: PID →
    what that process, its group and its children are called. Without root, who a listener is stays
    unknown where it is another user's."""
    sockets = [
        (c.laddr.ip, c.laddr.port, c.pid)
        for c in psutil.net_connections(kind="tcp")
        if c.status == psutil.CONN_LISTEN and c.laddr
    ]
    things = []
    for (host, port), silence in wanted.items():
        addresses = {host, f"::ffff:{host}", "0.0.0.0", "::"}
        pids = {pid for ip, number, pid in sockets if number == port and ip in addresses}
        named = sorted({_listener(pid, owners) for pid in pids})
        ours = _FAULTS in named or (silence and not named)
        things.append(Thing("port", f"{host}:{port}", " and ".join(named) or "nobody", ours=ours))
    return things


def _listener(pid: int | None, owners: Mapping[int, str]) -> str:
    if pid is None:
        return f"{STRANGER} (another user's program)"
    try:
        process = psutil.Process(pid)
        for number in (pid, os.getpgid(pid), *(parent.pid for parent in process.parents())):
            if number in owners:
                return owners[number]
        if variable(pid, TOKEN_VARIABLE) is not None:
            return _FAULTS
        return f"{STRANGER} ({process.name()})"
    except (psutil.Error, OSError):
        return f"{STRANGER} (process {pid})"


def gpus() -> list[Thing] | None:
    """Memory in use on each GPU; None without nvidia-ml-py or a driver."""
    try:
        import pynvml  # noqa: PLC0415 (the extra `gpu`; few need it)

        pynvml.nvmlInit()
    except Exception:  # whatever the library makes of a machine without a driver
        return None
    try:
        things = []
        for number in range(pynvml.nvmlDeviceGetCount()):
            with contextlib.suppress(pynvml.NVMLError):  # a slice of a GPU may not be asked
                handle = pynvml.nvmlDeviceGetHandleByIndex(number)
                used = int(pynvml.nvmlDeviceGetMemoryInfo(handle).used) // _MIB
                things.append(Thing("gpu", f"GPU {number}", f"{used} MiB in use", ours=False))
        return things
    finally:
        pynvml.nvmlShutdown()
