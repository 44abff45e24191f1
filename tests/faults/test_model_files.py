"""Copies of a model's folder: what is shared, and who may read what is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vqchaos.faults._files import link_all, own_copy, remove

MODES = st.integers(0, 0o777)


@pytest.fixture
def original(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "weights"):
        (folder / name).write_text(name)
    return folder


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(folder=MODES, file=MODES)
def test_a_copy_is_as_open_as_its_original_and_no_more(
    original: Path, tmp_path: Path, folder: int, file: int
) -> None:
    """But for what its maker needs: such modes let root alone make it of an original."""
    original.chmod(folder | 0o500)
    (original / "config.json").chmod(file | 0o400)
    copy = tmp_path / "scratch" / "t0k3n000"
    link_all(original, copy, but={"config.json"})
    target = own_copy(original, copy, "config.json")
    assert mode(copy) == folder | 0o700
    assert mode(target) == file | 0o600
    assert mode(copy.parent) == 0o700
    assert (copy / "weights").is_symlink()
    target.write_text("damaged")
    assert (original / "config.json").read_text() == "config.json"
    assert remove(copy)


def test_bits_that_give_rights_are_not_copied(original: Path, tmp_path: Path) -> None:
    (original / "config.json").chmod(0o6755)
    copy = tmp_path / "scratch" / "t0k3n000"
    link_all(original, copy, but={"config.json"})
    assert mode(own_copy(original, copy, "config.json")) == 0o755


def test_a_scratch_folder_that_was_open_is_closed(original: Path, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir(mode=0o755)
    link_all(original, tmp_path / "scratch" / "t0k3n000", but=set())
    assert mode(tmp_path / "scratch") == 0o700


def test_root_gives_the_copy_the_originals_owner(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[str, int, int]] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda path, *ids: given.append((path.name, *ids)))
    copy = tmp_path / "scratch" / "t0k3n000"
    link_all(original, copy, but={"config.json", "weights"})
    own_copy(original, copy, "config.json")
    own = original.stat()
    assert given == [
        ("t0k3n000", own.st_uid, own.st_gid),
        ("config.json", own.st_uid, own.st_gid),
    ]
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    own_copy(original, copy, "weights")
    assert len(given) == 2
