from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqchaos.errors import StackError
from vqchaos.stack.local import paths
from vqchaos.stack.local.paths import RUNTIME_LIMIT, StackPaths, short_hash, state_home


def test_the_state_home_follows_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/x/state")
    assert state_home() == Path("/x/state/vqchaos")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")  # XDG: to be ignored
    monkeypatch.setenv("HOME", "/home/me")
    assert state_home() == Path("/home/me/.local/state/vqchaos")


def test_a_stack_is_told_apart_by_its_files_real_path(homes: Path) -> None:
    one = homes / "one" / "local.yaml"
    two = homes / "two" / "local.yaml"
    for file in (one, two):
        file.parent.mkdir()
        file.write_text("")
    link = homes / "link.yaml"
    link.symlink_to(one)
    assert StackPaths.of("local", one) == StackPaths.of("local", link)
    assert StackPaths.of("local", one) != StackPaths.of("local", two)
    state = StackPaths.of("local", one).state
    assert state.name == f"local-{short_hash(str(one.resolve()))}"


@given(st.text(min_size=1, max_size=200))
def test_the_runtime_folder_is_short_whatever_the_state_folder(text: str) -> None:
    runtime = StackPaths(Path("/") / text.replace("\0", "")).runtime
    assert len(str(runtime)) <= RUNTIME_LIMIT


def test_folders_are_private_and_a_strangers_is_refused(
    homes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = StackPaths(homes / "s")
    runtime = homes / "runtime"
    monkeypatch.setattr(StackPaths, "runtime", property(lambda _self: runtime))
    stack.make()
    stack.make()
    for folder in (stack.state, stack.up, stack.runtime):
        assert folder.stat().st_mode & 0o777 == 0o700
    runtime.rename(homes / "elsewhere")
    runtime.symlink_to(homes / "elsewhere")
    with pytest.raises(StackError, match="not a folder of yours"):
        stack.make()


def test_ports_are_outside_the_ephemeral_range_and_remembered(homes: Path) -> None:
    stack = StackPaths(homes / "s")
    ports = stack.ports()
    low, high = paths.ephemeral_range()
    chosen = {ports.server, ports.proxy, ports.proxy_api}
    assert len(chosen) == 3
    assert not any(low <= port <= high for port in chosen)
    assert StackPaths(homes / "s").ports() == ports
    assert stack.choose_ports() == ports


def test_a_port_that_somebody_took_is_given_up(homes: Path) -> None:
    stack = StackPaths(homes / "s")
    before = stack.ports()
    with socket.create_server(("127.0.0.1", before.proxy)):
        after = stack.choose_ports()
    assert before.proxy not in (after.server, after.proxy, after.proxy_api)
    assert stack.ports() == after


@pytest.mark.parametrize("text", ["", "junk", "[1]", '{"server": 1}', '{"server": "x"}'])
def test_a_damaged_ports_file_is_replaced(homes: Path, text: str) -> None:
    stack = StackPaths(homes / "s")
    good = stack.ports()
    (stack.state / "ports.json").write_text(text)
    assert stack.ports() == good
    assert json.loads((stack.state / "ports.json").read_text())["server"] == good.server


def test_ports_that_fell_into_the_ephemeral_range_stay_until_the_next_up(
    homes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody widens the range while the stack runs: an undo must find it where it is."""
    stack = StackPaths(homes / "s")
    before = stack.ports()
    monkeypatch.setattr(paths, "ephemeral_range", lambda: (before.server - 5, before.server + 5000))
    assert stack.ports() == before
    assert stack.choose_ports() != before


def test_no_port_is_one_clear_error(homes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "ephemeral_range", lambda: (1, 65535))
    with pytest.raises(StackError, match="no three free ports"):
        StackPaths(homes / "s").ports()
