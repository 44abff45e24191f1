from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqchaos.history.coding import decode, encode
from vqchaos.history.events import ALL, Event, Note, Request, RunStarted
from vqchaos.history.store import HistoryError, Writer, read


def started() -> RunStarted:
    return RunStarted(
        t=0.0,
        vqchaos_version="0.1.0",
        run="r",
        experiment="e",
        stack="s",
        seed=7,
        started_wall=1_800_000_000.123,
        started_mono=12345.5,
    )


def write(path: Path, *events: Event) -> None:
    with Writer(path) as writer:
        for event in events:
            writer.write(event)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    request = Request(
        t=1.5,
        workload="clients",
        id="vqc-1",
        api="chat",
        stream=True,
        due=1.0,
        sent=1.0001,
        first_byte=1.1,
        first_token=1.2,
        tokens=[1.2, 1.3],
        ended=1.5,
        deadline=20.0,
        outcome="ok",
        status=200,
    )
    write(path, started(), request, Note(t=2.0, text="\x1b[31mred\x00"))
    assert read(path) == [started(), request, Note(t=2.0, text="\x1b[31mred\x00")]


def test_a_request_of_before_replicas_were_known_is_read() -> None:
    old = {
        "t": 2.0, "type": "request", "workload": "clients", "id": "vqc-1", "api": "chat",
        "stream": True, "due": 1.0, "sent": 1.0, "first_byte": 1.1, "first_token": 1.2,
        "tokens": [1.2], "ended": 2.0, "deadline": 20.0, "outcome": "ok",
    }  # fmt: skip
    event = decode(old)
    assert isinstance(event, Request)
    assert event.replica is None
    assert decode({**old, "replica": "server-1"}) == replace(event, replica="server-1")


def test_a_cut_last_line_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    write(path, started(), Note(t=1.0, text="whole"))
    path.write_bytes(path.read_bytes() + b'{"t":2.0,"type":"note","te')
    assert read(path) == [started(), Note(t=1.0, text="whole")]


def test_a_moment_that_is_no_number_names_its_place(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    write(path, started(), Note(t=float("nan"), text="x"), Note(t=1.0, text="y"))
    with pytest.raises(HistoryError, match=r"history\.jsonl:2: .*t must be a finite number"):
        read(path)


def test_a_broken_line_in_the_middle_names_its_place(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    write(path, started())
    path.write_text(path.read_text() + "nonsense\n" + '{"t":1,"type":"note","text":"x"}\n')
    with pytest.raises(HistoryError, match=r"history\.jsonl:2: not an event"):
        read(path)


@pytest.mark.parametrize(
    "content", [b"", b"\n", b'{"t":1,"type":"note","text":"x"}\n', b"\xff\xfe"]
)
def test_what_is_no_history_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "history.jsonl"
    path.write_bytes(content)
    with pytest.raises(HistoryError):
        read(path)


def test_a_newer_schema_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    data = encode(started()) | {"schema": 99, "vqchaos_version": "9.0"}
    path.write_text(json.dumps(data) + "\n")
    with pytest.raises(HistoryError, match=r"vqchaos 9\.0 in history schema 99"):
        read(path)


def test_unknown_types_and_keys_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    extra = encode(Note(t=1.0, text="x")) | {"colour": "blue"}
    lines = [encode(started()), {"type": "from.the.future", "t": 0.5}, extra]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read(path) == [started(), Note(t=1.0, text="x")]


def test_every_type_has_a_name_of_its_own() -> None:
    names = [cls.type for cls in ALL]
    assert len(set(names)) == len(names)
    assert {cls.__name__ for cls in Event.__subclasses__()} == {cls.__name__ for cls in ALL}


@given(text=st.text(), t=st.floats(0, 1e5))
def test_any_text_survives(text: str, t: float) -> None:
    note = decode(json.loads(json.dumps(encode(Note(t=t, text=text)))))
    assert isinstance(note, Note)
    assert note.text == text
    assert abs(note.t - t) <= 1e-6
