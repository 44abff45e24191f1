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


def test_a_line_without_end_is_refused() -> None:
    parser = SseParser()
    with pytest.raises(SseError, match="4 MiB"):
        parser.feed(b"data: " + b"x" * (LINE_LIMIT + 1))
