"""Server-sent events, parsed as the bytes come in, however they are cut."""

from __future__ import annotations

LINE_LIMIT = 4 * 1024 * 1024


class SseError(ValueError):
    """A line longer than any server of ours would send."""


class SseParser:
    """Feeds on bytes, yields the ``data`` of each complete event.

    As the HTML standard says: lines end with CR LF, LF or CR; the ``data`` lines of an event are
    joined with LF; a blank line ends it; comments and other fields are passed over; an event that
    the end of the stream cuts off is dropped.
    """

    __slots__ = ("_after_cr", "_data", "_partial", "_started")

    def __init__(self) -> None:
        self._partial = b""  # of a line whose end has not come yet
        self._data: list[str] = []
        self._after_cr = False  # the LF of a CR LF may be in the next piece
        self._started = False

    @property
    def pending(self) -> bool:
        """An event has begun and not ended."""
        return bool(self._partial or self._data)

    def feed(self, piece: bytes) -> list[str]:
        """The data of every event that this piece completes. Raises SseError."""
        if not piece:
            return []
        if self._after_cr:
            self._after_cr = False
            if piece[:1] == b"\n":
                piece = piece[1:]
        text = self._partial + piece if self._partial else piece
        if not self._started:
            if len(text) < 3 and b"\xef\xbb\xbf".startswith(text):
                self._partial = text  # maybe a byte order mark
                return []
            self._started = True
            text = text.removeprefix(b"\xef\xbb\xbf")
        if b"\r" in text:
            self._after_cr = text.endswith(b"\r")
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, self._partial = text.split(b"\n")
        if len(self._partial) > LINE_LIMIT:
            raise SseError("a line of the event stream is longer than 4 MiB")
        return self._events(lines)

    def _events(self, lines: list[bytes]) -> list[str]:
        done: list[str] = []
        for line in lines:
            if not line:
                if self._data:
                    done.append("\n".join(self._data))
                    self._data = []
            elif line.startswith(b"data:"):
                value = line[6:] if line[5:6] == b" " else line[5:]
                self._data.append(value.decode("utf-8", "replace"))
            elif line == b"data":
                self._data.append("")
        return done
