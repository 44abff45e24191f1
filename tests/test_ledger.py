from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqchaos.errors import ExitCode, UncleanError
from vqchaos.ledger import SCHEMA, Entry, Ledger


def entry(identifier: str = "r.1", **change: Any) -> Entry:
    base: dict[str, Any] = {
        "run": "r",
        "number": 1,
        "fault": "latency",
        "type": "latency",
        "target": "clients → server",
        "held": True,
        "state": {"toxic": "vqchaos.r.1.5", "deep": {"list": [1, None, "ü\n"]}},
        "recorded_wall": 1.5,
        "deadline_wall": 2.5,
        "runner_pid": 7,
        "runner_start": 0.25,
        "daemon": {"id": "A:B", "host": "tcp://far.example:2376"},
    }
    return Entry(id=identifier, **{**base, **change})


def test_nothing_is_in_force_without_a_file(tmp_path: Path) -> None:
    assert Ledger(tmp_path).in_force() == []


def test_an_entry_comes_back_as_it_was(tmp_path: Path) -> None:
    Ledger(tmp_path).record(entry())
    assert Ledger(tmp_path).in_force() == [entry()]


def test_oldest_first_and_undone_ones_are_out(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for n in (1, 2, 3):
        ledger.record(entry(f"r.{n}"))
    ledger.undone("r.2", "by hand")
    assert [e.id for e in ledger.in_force()] == ["r.1", "r.3"]


def test_the_last_undone_removes_the_file(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.record(entry())
    assert ledger.path.exists()
    ledger.undone("r.1")
    assert list(tmp_path.iterdir()) == []


def test_undone_twice_or_of_a_stranger_is_harmless(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.record(entry())
    ledger.undone("somebody-elses")
    assert ledger.in_force() == [entry()]
    ledger.undone("r.1")
    ledger.undone("r.1")
    assert ledger.in_force() == []


def test_the_file_is_the_users_alone(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.record(entry())
    assert ledger.path.stat().st_mode & 0o777 == 0o600


def test_a_record_is_one_line_whatever_its_text(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.record(entry(target="a\nb\r\u2028"))
    assert ledger.path.read_bytes().count(b"\n") == 1
    assert ledger.in_force()[0].target == "a\nb\r\u2028"


def test_every_torn_last_line_is_ignored_and_cut_off_by_the_next(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.record(entry("r.1"))
    whole = ledger.path.read_bytes()
    ledger.record(entry("r.2"))
    second = ledger.path.read_bytes()[len(whole) :]
    for cut in range(1, len(second) - 1):
        ledger.path.write_bytes(whole + second[:cut])
        assert [e.id for e in ledger.in_force()] == ["r.1"], cut
        ledger.record(entry("r.3"))
        assert [e.id for e in ledger.in_force()] == ["r.1", "r.3"], cut


def test_a_whole_last_line_without_its_newline_still_counts_after_the_next(tmp_path: Path) -> None:
    # It may have been acted on: the newline is part of the same write, but a disk is a disk.
    ledger = Ledger(tmp_path)
    ledger.record(entry("r.1"))
    ledger.path.write_bytes(ledger.path.read_bytes().rstrip(b"\n"))
    assert [e.id for e in ledger.in_force()] == ["r.1"]
    ledger.record(entry("r.2"))
    assert [e.id for e in ledger.in_force()] == ["r.1", "r.2"]


@pytest.mark.parametrize(
    "broken",
    [
        b"{",
        b"[]",
        b"null",
        b"7",
        b"{}",
        b'{"schema":"x","record":"undone","id":"r.1"}',
        b"\xff\xfe",
    ],
)
def test_a_broken_line_in_the_middle_is_an_error_with_its_place(
    tmp_path: Path, broken: bytes
) -> None:
    ledger = Ledger(tmp_path)
    ledger.record(entry("r.1"))
    with ledger.path.open("ab") as file:
        file.write(broken + b"\n")
    ledger.record(entry("r.2"))
    with pytest.raises(UncleanError, match=r"ledger\.jsonl:2: not a ledger record") as caught:
        ledger.in_force()
    assert caught.value.exit_code == ExitCode.UNCLEAN
    assert caught.value.hint


def test_a_record_without_its_fields_is_an_error(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.path.write_text('{"schema":1,"record":"recorded","id":"r.1"}\n', encoding="utf-8")
    with pytest.raises(UncleanError, match="not a ledger record"):
        ledger.in_force()


def test_a_newer_schema_is_refused_rather_than_half_understood(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.record(entry())
    with ledger.path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"schema": SCHEMA + 1, "record": "moved", "id": "r.1"}) + "\n")
    with pytest.raises(UncleanError, match="newer vqchaos") as caught:
        ledger.in_force()
    assert "vqchaos heal" in str(caught.value.hint)


def test_an_unknown_field_of_the_same_schema_is_passed_over(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.record(entry())
    data = json.loads(ledger.path.read_text(encoding="utf-8")) | {"later": 1}
    ledger.path.write_text(json.dumps(data) + "\n", encoding="utf-8")
    assert ledger.in_force() == [entry()]


def test_the_line_and_then_the_folder_are_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, int]] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        path = Path(f"/proc/self/fd/{fd}").resolve()
        synced.append((path.name, path.stat().st_size if path.is_file() else -1))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    ledger = Ledger(tmp_path)
    ledger.record(entry("r.1"))
    size = ledger.path.stat().st_size
    assert synced == [("ledger.jsonl", size), (tmp_path.name, -1)], "first the line, whole"
    ledger.record(entry("r.2"))
    assert synced[2:] == [("ledger.jsonl", ledger.path.stat().st_size)]


def test_a_record_that_cannot_be_written_raises(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Ledger(tmp_path / "not-there").record(entry())


STEPS = st.lists(
    st.tuples(st.sampled_from(["record", "undone", "tear"]), st.integers(0, 4)), max_size=25
)


@given(steps=STEPS)
def test_what_is_in_force_is_what_was_recorded_and_not_undone(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("ledger")
    expected: dict[str, Entry] = {}
    for step, number in steps:
        ledger = Ledger(folder)  # each step in what might be another process
        identifier = f"r.{number}"
        if step == "record":
            expected[identifier] = entry(identifier, number=number)
            ledger.record(expected[identifier])
        elif step == "undone":
            ledger.undone(identifier)
            expected.pop(identifier, None)
        elif ledger.path.exists():
            with ledger.path.open("ab") as file:
                file.write(b'{"schema":1,"record":"rec'[: 1 + 5 * number])
        assert Ledger(folder).in_force() == list(expected.values())
    assert (folder / "ledger.jsonl").exists() or not expected
