"""What must be as before: the comparison on made-up things, the readers on real folders, sockets
and tables of a kernel's form."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from tests.fakes import STRANGERS_TOXIC, FakeWorld
from tests.stack.fake_toxiproxy import FakeToxiproxy
from vqchaos.stack import readers
from vqchaos.stack.attach import AttachStack
from vqchaos.stack.config import AttachStackFile
from vqchaos.stack.inventory import NOT_YET, Inventory, Thing, compare
from vqchaos.stack.protocols import Item, Toxic

OURS = Toxic("vqchaos.1", "latency", "downstream", 1.0, {"latency": 9, "jitter": 0})


def holding(*things: Thing, kinds: Iterable[str] = ()) -> Inventory:
    found = Inventory()
    for kind in {thing.kind for thing in things} | set(kinds):
        found.add(kind, [thing for thing in things if thing.kind == kind])
    return found


def one(kind: str, value: str, *, ours: bool = False, name: str = "x") -> Inventory:
    return holding(Thing(kind, name, value, ours))


def of_proxy(world: FakeWorld) -> Inventory:
    found = Inventory()
    readers.look_at_proxies(found, world.links(), world.proxy_called)
    return found


def of_files(folder: Path, before: Inventory | None = None, **options: int) -> Inventory:
    found = Inventory()
    readers.look_at_files(found, folder, before, **options)
    return found


@pytest.fixture
def world(tmp_path: Path) -> FakeWorld:
    return FakeWorld(tmp_path / "world")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "sub" / "weights").write_bytes(bytes(1000))
    return folder


# ---------------------------------------------------------------- the comparison


def test_the_same_is_no_difference_and_each_difference_is_named() -> None:
    before = holding(
        Thing("file", "a", "1", ours=True),
        Thing("file", "b", "1", ours=True),
        Thing("port", "c", "the server", ours=False),
    )
    after = holding(
        Thing("file", "b", "2", ours=True),
        Thing("file", "n", "3", ours=True),
        Thing("port", "c", "a stranger (nc)", ours=False),
    )
    assert compare(before, before) == ([], [])
    ours, theirs = compare(before, after)
    assert ours == [
        Item("file", "a", "is gone; was 1"),
        Item("file", "b", "was 1, is 2"),
        Item("file", "n", "was not there before; is 3"),
    ]
    assert theirs == [Item("port", "c", "was the server, is a stranger (nc)")]


def test_a_kind_that_was_not_looked_at_is_not_compared() -> None:
    assert compare(one("file", "1", ours=True), Inventory()) == ([], [])
    assert compare(Inventory(), one("mount", "1", ours=True)) == ([], [])
    ours, _ = compare(holding(kinds=["mount"]), one("mount", "tmpfs", ours=True))
    assert [item.kind for item in ours] == ["mount"]


@pytest.mark.parametrize(
    ("kind", "was", "now", "differs"),
    [
        ("gpu", "1000 MiB in use", "1255 MiB in use", False),
        ("gpu", "1000 MiB in use", "1256 MiB in use", True),
        ("gpu", "9000 MiB in use", "0 MiB in use", False),  # the server loads
        ("port", "the server", NOT_YET, False),
        ("port", NOT_YET, "the server", False),
        ("port", NOT_YET, "a stranger (nc)", True),
        ("port", "the server", "nobody", True),
        ("toxiproxy", "answers", "gone", True),
        ("toxiproxy", "answers", "no answer", True),
        ("toxiproxy", "no answer", "answers", False),
        ("toxiproxy", "gone", "no answer", False),
        ("cgroup", "/a, memory.max max", "/a, memory.max 1", True),
    ],
)
def test_what_counts_as_a_difference(kind: str, was: str, now: str, differs: bool) -> None:
    ours, theirs = compare(one(kind, was), one(kind, now))
    assert (ours, len(theirs)) == ([], int(differs))


def test_a_role_without_a_process_has_no_cgroup_and_that_is_no_difference() -> None:
    some = one("cgroup", "/a", name="engine")
    none = holding(kinds=["cgroup"])
    assert compare(some, none) == compare(none, some) == ([], [])


def test_a_reader_that_raises_is_a_remark() -> None:
    def broken() -> list[Thing]:
        raise OSError("no such table")

    found = Inventory()
    found.look("mount", broken)
    found.look("gpu", lambda: None)
    assert found.looked_at == {}
    [remark] = found.remarks
    assert "mount: could not be looked at" in remark
    assert "no such table" in remark


# ---------------------------------------------------------------- the proxy


def test_toxics_and_the_proxy_are_ours_and_strangers_toxics_only_if_they_were_there(
    world: FakeWorld,
) -> None:
    before = of_proxy(world)
    assert compare(before, of_proxy(world)) == ([], [])
    changed = Toxic(STRANGERS_TOXIC.name, "latency", "upstream", 0.5, {"latency": 1, "jitter": 0})
    world.proxy.listed = {
        changed.name: changed,
        OURS.name: OURS,
        "new": Toxic("new", "noop", "upstream", 1.0, {}),
    }
    world.proxy.is_enabled = False
    ours, theirs = compare(before, of_proxy(world))
    assert {(item.kind, item.name) for item in ours} == {
        ("proxy", "clients → server"),
        ("toxic", "somebody-elses"),
        ("toxic", "vqchaos.1"),
    }
    [proxy] = [item for item in ours if item.kind == "proxy"]
    assert proxy.detail == "was on, is off"
    assert [item.name for item in theirs] == ["new"]


def test_a_strangers_toxic_that_a_restart_lost_is_said_plainly(world: FakeWorld) -> None:
    before = of_proxy(world)
    world.proxy.restart()
    ours, theirs = compare(before, of_proxy(world))
    assert [i.name for i in ours[1:]] == [f"somebody-elses on replica-{n}" for n in (1, 2)]
    item = ours[0]
    assert theirs == []
    assert (item.kind, item.name) == ("toxic", "somebody-elses")
    assert item.detail.startswith("is gone; was latency on the upstream, toxicity 1, jitter 0")
    assert "Toxiproxy restarted" in item.detail


def test_a_toxiproxy_that_gives_no_answer_is_one_thing_and_hides_the_toxics(
    world: FakeWorld,
) -> None:
    before = of_proxy(world)
    world.fail_at(2)
    silent = of_proxy(world)
    assert [(t.kind, t.value) for t in silent.things.values()] == [("toxiproxy", "no answer")]
    world.proxy.die()
    ours, theirs = compare(before, of_proxy(world))
    assert ours == []
    assert theirs == [Item("toxiproxy", "API", "was answers, is gone")]


def test_an_attached_stack_is_its_toxics_and_its_proxy() -> None:
    def stack(**more: Any) -> AttachStack:
        data = {
            "name": "far",
            "kind": "attach",
            "environment": "test",
            "url": "http://127.0.0.1:1",
            "model": "m",
            **more,
        }
        return AttachStack(AttachStackFile.model_validate(data), Path("/stacks/far.yaml"))

    assert stack().inventory().looked_at == {}
    with FakeToxiproxy() as toxiproxy:
        toxiproxy.proxies["llm"] = {
            "name": "llm",
            "listen": "127.0.0.1:2",
            "upstream": "127.0.0.1:1",
            "enabled": True,
            "toxics": [],
        }
        far = stack(proxy_api=toxiproxy.url, proxy_name="llm")
        before = far.inventory()
        assert before.looked_at == {"toxiproxy": 1, "proxy": 1, "toxic": 0}
        far.proxy.add(OURS)
        ours, _ = compare(before, far.inventory(before))
        assert [item.name for item in ours] == ["vqchaos.1"]


# ---------------------------------------------------------------- files


def test_files_are_known_by_their_content(model: Path) -> None:
    before = of_files(model)
    assert before.looked_at == {"file": 2}
    path = model / "config.json"
    stat = path.stat()
    path.write_text("[]")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # the time alone would not tell
    (model / "new").touch()
    (model / "sub" / "weights").unlink()
    ours, theirs = compare(before, of_files(model, before))
    assert theirs == []
    details = {item.name: item.detail for item in ours}
    assert details[str(path)].startswith("was sha256 44136fa355b3…, is sha256 ")
    assert details[str(model / "new")].startswith("was not there before")
    assert details[str(model / "sub" / "weights")].startswith("is gone")


def test_a_touched_file_of_the_same_content_is_as_before(model: Path) -> None:
    before = of_files(model)
    (model / "config.json").write_text("{}")
    assert compare(before, of_files(model, before)) == ([], [])


def test_what_did_not_change_is_not_read_again(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = of_files(model)
    read: list[str] = []
    real = readers._content

    def content(path: Path) -> str:
        read.append(path.name)
        return real(path)

    monkeypatch.setattr(readers, "_content", content)
    replaced = model / "config.json"
    replaced.unlink()
    replaced.write_text("[]")
    after = of_files(model, before)
    assert read == ["config.json"]
    assert [item.name for item in compare(before, after)[0]] == [str(replaced)]


def test_a_large_model_is_compared_without_reading_it_and_that_is_said(model: Path) -> None:
    before = of_files(model, whole=10)
    assert all("too large" in thing.value for thing in before.of("file"))
    [remark] = before.remarks
    assert "not by content" in remark
    assert compare(before, of_files(model, before, whole=10)) == ([], [])
    (model / "sub" / "weights").write_bytes(bytes(999))
    ours, _ = compare(before, of_files(model, before, whole=10))
    assert [item.name for item in ours] == [str(model / "sub" / "weights")]


def test_a_model_that_grew_large_in_the_run_is_still_compared_by_content(model: Path) -> None:
    before = of_files(model, whole=2000)
    (model / "more").write_bytes(bytes(2000))
    ours, _ = compare(before, of_files(model, before, whole=2000))
    assert [item.name for item in ours] == [str(model / "more")]


# ---------------------------------------------------------------- mounts and cgroups


def test_mounts_are_those_on_or_below_the_folders(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    here = str(tmp_path.resolve()).replace("/", "\\057")  # any byte may be in octal
    table.write_text(
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        f"30 22 0:30 / {here}/a\\040b rw,nosuid - tmpfs none rw\n"
        f"31 30 0:31 / {here}/a\\040b ro shared:2 - overlay over rw\n"
        f"32 22 0:32 / {here}-other rw - tmpfs none rw\n"
    )
    found = readers.mounts([tmp_path], table)
    path = str(tmp_path.resolve() / "a b")
    value = "tmpfs of none, writable; overlay of over, read-only"
    assert found == [Thing("mount", path, value, ours=True)]
    assert readers.mounts([tmp_path], tmp_path / "absent") is None
    assert readers.mounts([tmp_path]) in ([], None)


def test_cgroups_go_by_role_with_their_limits(tmp_path: Path) -> None:
    def process(pid: int, text: str) -> None:
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "cgroup").write_text(text)

    root = tmp_path / "fs"
    (root / "box").mkdir(parents=True)
    (root / "box" / "memory.max").write_text("max\n")
    (root / "box" / "cpu.max").write_text("max 100000\n")
    process(1, "0::/box\n")
    process(2, "0::/box\n")
    process(3, "2:cpu:/old\n1:memory:/old\n")
    roles = {"server": [1], "engine": [2, 404], "proxy": [3], "worker": [404]}
    found = {t.name: t.value for t in readers.cgroups(roles, tmp_path, root)}
    box = "/box, cpu.max max 100000, memory.max max"
    assert found == {"server": box, "engine": box, "proxy": "1:memory:/old 2:cpu:/old"}
    (root / "box" / "memory.max").write_text("1000\n")
    [changed] = readers.cgroups({"server": [2]}, tmp_path, root)
    assert "memory.max 1000" in changed.value
    assert not changed.ours


# ---------------------------------------------------------------- ports and GPUs


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_ports_name_who_listens(address: str) -> None:
    with socket.socket() as listener:
        listener.bind((address, 0))
        port = listener.getsockname()[1]
        wanted = {("127.0.0.1", port): False}
        [bound] = readers.ports(wanted, {})
        assert bound.value == "nobody", "a port that is only bound serves nobody"
        listener.listen()
        [known] = readers.ports(wanted, {os.getpid(): "the server"})
        assert (known.name, known.value) == (f"127.0.0.1:{port}", "the server")
        [child] = readers.ports(wanted, {os.getppid(): "toxiproxy"})
        assert child.value == "toxiproxy"
        [stranger] = readers.ports(wanted, {})
        assert stranger.value.startswith("a stranger (")
        assert not stranger.ours


def test_a_port_held_by_a_fault_or_closed_by_one_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        wanted = {("127.0.0.1", listener.getsockname()[1]): True}
        [silent] = readers.ports(wanted, {})
        assert (silent.value, silent.ours) == ("nobody", True)
        listener.listen()
        monkeypatch.setattr(readers, "variable", lambda pid, name: "x")
        [held] = readers.ports(wanted, {})
        assert (held.value, held.ours) == ("a stranger (the program of a fault)", True)


def test_the_listener_of_another_user_is_a_stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = SimpleNamespace(laddr=SimpleNamespace(ip="::", port=80), pid=None, status="LISTEN")
    monkeypatch.setattr(psutil, "net_connections", lambda kind: [seen])
    [thing] = readers.ports({("127.0.0.1", 80): False}, {})
    assert thing.value == "a stranger (another user's program)"


class FakeNvml:
    """Two GPUs, one of which may not be asked."""

    class NVMLError(Exception):
        pass

    def __init__(self) -> None:
        self.open = 0

    def nvmlInit(self) -> None:  # noqa: N802 - the names of the library
        self.open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 2

    def nvmlDeviceGetHandleByIndex(self, number: int) -> int:  # noqa: N802
        return number

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:  # noqa: N802
        if handle:
            raise self.NVMLError("no permission")
        return SimpleNamespace(used=300 * 1024**2 + 5)


def test_gpus_are_asked_if_there_is_a_library_and_a_driver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert readers.gpus() is None
    nvml = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    assert readers.gpus() == [Thing("gpu", "GPU 0", "300 MiB in use", ours=False)]
    assert nvml.open == 0

    def no_driver() -> None:
        raise nvml.NVMLError("driver not loaded")

    monkeypatch.setattr(nvml, "nvmlInit", no_driver)
    assert readers.gpus() is None
