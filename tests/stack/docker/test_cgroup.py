"""From recorded files: version 1, version 2, and both mounted beside each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from vqchaos.errors import StackError
from vqchaos.stack.container_protocols import MemoryUse
from vqchaos.stack.docker import cgroup

ID = "0353f7bf8009ca9d304f45316e4b89ccce84894fa93fc14b8f1a1bb4e077dad1"
OOM_CONTROL = "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"
EVENTS = "low 0\nhigh 0\nmax 1204\noom 3\noom_kill 3\noom_group_kill 0\n"
VERSION_1 = f"""9:name=systemd:/docker/{ID}
4:memory:/docker/{ID}
2:cpuacct,cpu:/docker/{ID}
0::/docker/{ID}
"""


class Machine:
    """A /proc and a /sys/fs/cgroup of recorded files."""

    def __init__(self, folder: Path) -> None:
        self.proc = folder / "proc"
        self.mounts = folder / "sys"
        (self.proc / "4321").mkdir(parents=True)
        (self.proc / "self").mkdir()

    def has(self, cgroups: str, *mounted: str) -> None:
        (self.proc / "4321" / "cgroup").write_text(cgroups, encoding="utf-8")
        table = "".join(line.replace("MOUNT", str(self.mounts)) + "\n" for line in mounted)
        (self.proc / "self" / "mountinfo").write_text(table, encoding="utf-8")

    def file(self, path: str, text: str) -> None:
        place = self.mounts / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="ascii")

    def memory(self) -> MemoryUse:
        return cgroup.memory(4321, ID, self.proc)


V1 = "35 30 0:30 / MOUNT/memory rw,relatime - cgroup cgroup rw,memory"
V1_CPU = "33 30 0:28 / MOUNT/cpu rw,relatime - cgroup cgroup rw,cpu"
V2 = "28 22 0:25 / MOUNT rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate"
HYBRID = "40 30 0:35 / MOUNT/unified rw,relatime - cgroup2 cgroup2 rw"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize(("limit", "seen"), [("67108864", 67108864), ("9223372036854771712", None)])
def test_version_1_beside_an_empty_version_2(
    machine: Machine, limit: str, seen: int | None
) -> None:
    machine.has(VERSION_1, V1_CPU, HYBRID, V1)
    machine.file(f"memory/docker/{ID}/memory.usage_in_bytes", "798720\n")
    machine.file(f"memory/docker/{ID}/memory.limit_in_bytes", f"{limit}\n")
    machine.file(f"memory/docker/{ID}/memory.oom_control", OOM_CONTROL)
    assert machine.memory() == MemoryUse(usage=798720, limit=seen, oom_kills=2)


@pytest.mark.parametrize(
    "path",
    [
        f"/docker/{ID}",
        f"/system.slice/docker-{ID}.scope",
        f"/system.slice/docker-{ID}.scope/init.scope",  # it runs systemd
    ],
)
@pytest.mark.parametrize(("limit", "seen"), [("2147483648", 2147483648), ("max", None)])
def test_version_2_whatever_drives_the_cgroups(
    machine: Machine, path: str, limit: str, seen: int | None
) -> None:
    own = path.removesuffix("/init.scope")
    machine.has(f"0::{path}\n", V2)
    machine.file(f"{own}/memory.current".lstrip("/"), "104857600\n")
    machine.file(f"{own}/memory.max".lstrip("/"), f"{limit}\n")
    machine.file(f"{own}/memory.events".lstrip("/"), EVENTS)
    assert machine.memory() == MemoryUse(usage=104857600, limit=seen, oom_kills=3)


def test_only_a_part_of_the_hierarchy_is_mounted(machine: Machine) -> None:
    """As where vqchaos itself runs in a container."""
    machine.has(f"0::/kubepods/pod1/{ID}\n", V2.replace(" / MOUNT", " /kubepods MOUNT"))
    machine.file(f"pod1/{ID}/memory.current", "1\n")
    machine.file(f"pod1/{ID}/memory.max", "max\n")
    machine.file(f"pod1/{ID}/memory.events", EVENTS)
    assert machine.memory().oom_kills == 3


@pytest.mark.parametrize("broken", ["gone", "unmounted", "old kernel"])
def test_what_cannot_be_read_is_an_error(machine: Machine, broken: str) -> None:
    machine.has(VERSION_1, *([] if broken == "unmounted" else [V1]))
    if broken == "old kernel":  # without the counter
        machine.file(f"memory/docker/{ID}/memory.usage_in_bytes", "1\n")
        machine.file(f"memory/docker/{ID}/memory.limit_in_bytes", "1\n")
        machine.file(f"memory/docker/{ID}/memory.oom_control", "under_oom 0\n")
    with pytest.raises(StackError, match=f"of the container {ID[:12]} cannot be read"):
        machine.memory()


def test_whose_a_process_is(machine: Machine) -> None:
    machine.has(VERSION_1)
    assert cgroup.holds(4321, ID, machine.proc)
    assert not cgroup.holds(4321, "1" * 64, machine.proc)
    assert not cgroup.holds(9999, ID, machine.proc)
