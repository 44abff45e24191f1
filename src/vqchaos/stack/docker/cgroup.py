"""What a container's cgroup says of its memory: version 1, version 2, and both side by side."""

from __future__ import annotations

from pathlib import Path

from vqchaos.errors import StackError
from vqchaos.stack.container_protocols import MemoryUse

PROC = Path("/proc")
_UNLIMITED = 2**62  # version 1 has no word for it: a number near the top of 64 bits


def holds(pid: int, container: str, proc: Path = PROC) -> bool:
    """Is that process of this machine one of the container's? Its cgroup carries the id."""
    try:
        return container in (proc / str(pid) / "cgroup").read_text(encoding="utf-8")
    except OSError:
        return False


def memory(pid: int, container: str, proc: Path = PROC) -> MemoryUse:
    """Of the container whose first process that is. Raises StackError if it cannot be read."""
    try:
        folder, unified = _folder(pid, container, proc)
        if unified:
            return _version2(folder)
        return _version1(folder)
    except (OSError, ValueError, KeyError) as error:
        raise StackError(
            f"the cgroup of the container {container[:12]} cannot be read: {error}",
            hint="did the container stop just now? Is /sys/fs/cgroup mounted here?",
        ) from error


def _version1(folder: Path) -> MemoryUse:
    limit = _number(folder / "memory.limit_in_bytes")
    return MemoryUse(
        usage=_number(folder / "memory.usage_in_bytes"),
        limit=None if limit >= _UNLIMITED else limit,
        oom_kills=_table(folder / "memory.oom_control")["oom_kill"],
    )


def _version2(folder: Path) -> MemoryUse:
    limit = (folder / "memory.max").read_text(encoding="ascii").strip()
    return MemoryUse(
        usage=_number(folder / "memory.current"),
        limit=None if limit == "max" else int(limit),
        oom_kills=_table(folder / "memory.events")["oom_kill"],
    )


def _folder(pid: int, container: str, proc: Path) -> tuple[Path, bool]:
    """Where the container's memory files lie, and whether they are of version 2."""
    paths = {}
    for line in (proc / str(pid) / "cgroup").read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path
    unified = "memory" not in paths
    path = paths["" if unified else "memory"]
    # What runs inside may have made cgroups of its own: the container's is the one with its name.
    parts = path.split("/")
    own = next((n for n, part in enumerate(parts) if container in part), len(parts) - 1)
    path = "/".join(parts[: own + 1])
    root, mount = _mount(proc / "self" / "mountinfo", unified=unified)
    return mount / path.removeprefix(root.rstrip("/")).lstrip("/"), unified


def _mount(table: Path, *, unified: bool) -> tuple[str, Path]:
    """Which part of the hierarchy is mounted, and where. Raises ValueError."""
    for line in table.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        place, _, source = line.partition(" - ")
        fields, origin = place.split(" "), source.split(" ")
        wanted = "cgroup2" if unified else "cgroup"
        if origin[0] == wanted and (unified or "memory" in origin[2].split(",")):
            return fields[3], Path(fields[4])
    raise ValueError("no cgroup hierarchy with memory is mounted here")


def _number(file: Path) -> int:
    return int(file.read_text(encoding="ascii"))


def _table(file: Path) -> dict[str, int]:
    pairs = (line.split() for line in file.read_text(encoding="ascii").splitlines())
    return {name: int(value) for name, value in pairs}
