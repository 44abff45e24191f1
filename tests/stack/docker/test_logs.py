"""Docker's frames and its cut lines put together again, and the bound on what is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from vqchaos.stack.docker.logs import End, frames, lines

TIME = b"2026-11-25T13:20:17.147650438Z "


def frame(stream: int, data: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


@pytest.mark.parametrize("size", [1, 7, 8, 9, 1000])
def test_frames_are_found_however_the_line_was_cut(size: int) -> None:
    wire = frame(1, b"one\n") + frame(2, b"") + frame(1, b"two\n") + frame(1, b"lost")[:-1]
    pieces = [wire[at : at + size] for at in range(0, len(wire), size)]
    assert list(frames(pieces)) == [(1, b"one\n"), (2, b""), (1, b"two\n")]


def test_a_line_in_pieces_is_whole_again_and_streams_are_kept_apart() -> None:
    wire = [
        frame(1, TIME + b"the key is sk-very"),
        frame(2, TIME + b"a word between\n"),
        frame(1, TIME + b"verysecret, two words\n"),
        frame(2, TIME + b"no end \xff"),
    ]
    time = TIME.decode()
    assert list(lines(wire, framed=True)) == [
        f"{time}a word between",
        f"{time}the key is sk-veryverysecret, two words",
        f"{time}no end \ufffd",
    ]


def test_a_terminals_log_has_no_frames() -> None:
    pieces = [b"2026 one\n20", b"26 two\n2026 three"]
    assert list(lines(pieces, framed=False)) == ["2026 one", "2026 two", "2026 three"]


def test_a_line_without_end_is_kept_in_pieces() -> None:
    found = list(lines((frame(1, TIME + b"x" * 16384) for _ in range(100)), framed=True))
    assert sum(len(line) for line in found) >= 100 * 16384
    assert max(len(line) for line in found) < 300_000


def test_only_the_end_is_kept(tmp_path: Path) -> None:
    end = End(longest=20)
    for word in ("first", "second", "third", "fourth"):
        end.add(word)
    end.write(tmp_path / "x.log")
    text = (tmp_path / "x.log").read_text(encoding="utf-8")
    assert text == "[earlier lines were left out]\nsecond\nthird\nfourth\n"
    assert [path.name for path in tmp_path.iterdir()] == ["x.log"]
