from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqchaos.load.sse import LINE_LIMIT, SseError, SseParser


def parse(data: bytes, cuts: list[int]) -> list[str]:
    parser, out, start = SseParser(), [], 0
    for cut in [*sorted(cuts), len(data)]:
        out += parser.feed(data[start:cut])
        start = max(start, cut)
    return out


def reference(data: bytes) -> list[str]:
    """The standard's algorithm, on the whole text at once."""
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    events: list[str] = []
    pending: list[str] = []
    for line in text.split("\n")[:-1]:
        if not line:
            if pending:
                events.append("\n".join(pending))
            pending = []
            continue
        name, _, value = line.partition(":")
        if name == "data":
            pending.append(value.removeprefix(" "))
    return events


LINES = st.sampled_from(
    ["data: {}", "data:x", "data", "data: é 漢 🦜", ": note", "id: 7", "event: e", "", "retry: 1"]
)
ENDS = st.sampled_from(["\n", "\r", "\r\n"])


@given(st.lists(st.tuples(LINES, ENDS)), st.lists(st.integers(0, 400)), st.booleans())
def test_any_chunking_gives_what_the_whole_gives(
    lines: list[tuple[str, str]], cuts: list[int], marked: bool
) -> None:
    data = ("\ufeff" if marked else "").encode() + "".join(a + b for a, b in lines).encode()
    cuts = [min(cut, len(data)) for cut in cuts]
    assert parse(data, cuts) == reference(data)
    assert parse(data, list(range(len(data)))) == reference(data)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300)))
def test_no_bytes_crash_it_and_chunking_never_matters(data: bytes, cuts: list[int]) -> None:
    assert parse(data, [min(cut, len(data)) for cut in cuts]) == parse(data, [])


def test_an_event_that_the_end_cuts_off_is_dropped() -> None:
    parser = SseParser()
    assert parser.feed(b"data: a\n\ndata: b\n") == ["a"]
    assert parser.pending


LONG = st.builds(
    lambda size, end: b"data: " + b"x" * size + end,
    st.integers(0, 60_000),
    st.sampled_from([b"\n", b"\n\n", b"\r\n\r\n", b""]),
)


@given(st.lists(LONG, max_size=4), st.lists(st.integers(0, 240_000), max_size=40))
def test_long_lines_in_many_pieces_give_what_the_whole_gives(
    lines: list[bytes], cuts: list[int]
) -> None:
    data = b"".join(lines)
    cuts = [min(cut, len(data)) for cut in cuts]
    assert parse(data, cuts) == parse(data, []) == reference(data)


class Piece(bytes):
    """Notes how many bytes were copied to be put in front of one."""

    copied = 0

    def __radd__(self, held: bytes) -> bytes:
        Piece.copied += len(held)
        return bytes(held) + bytes(self)


def test_what_is_held_of_a_line_is_not_copied_for_each_piece(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Piece, "copied", 0)
    parser = SseParser()
    for _ in range(100):
        assert parser.feed(Piece(b"data: x")) == []
    assert Piece.copied == 0
    assert parser.feed(Piece(b"\n\n")) == ["x" + "data: x" * 99]


@pytest.mark.parametrize("size", [1, 16 * 1024, LINE_LIMIT + 1])
@pytest.mark.parametrize("end", [b"", b"\n\n"])
def test_a_line_that_is_too_long_is_refused_however_it_is_cut(size: int, end: bytes) -> None:
    parser = SseParser()
    most = b"data: ".ljust(LINE_LIMIT + 1 - size, b"x")
    assert parser.feed(most) == []
    with pytest.raises(SseError, match="4 MiB"):
        parser.feed(b"x" * size + end)


@pytest.mark.parametrize("size", [1, 16 * 1024, LINE_LIMIT - 6])
def test_a_line_at_the_limit_is_read_however_it_is_cut(size: int) -> None:
    parser = SseParser()
    parser.feed(b"data: ".ljust(LINE_LIMIT - size, b"x"))
    assert [len(data) for data in parser.feed(b"x" * size + b"\n\n")] == [LINE_LIMIT - 6]
