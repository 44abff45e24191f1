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
        # Of a line whose end has not come yet: grows in place, and is searched for its end once.
        self._partial = bytearray()
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
        if not self._started:
            piece = bytes(self._partial) + piece
            if len(piece) < 3 and b"\xef\xbb\xbf".startswith(piece):
                self._partial[:] = piece  # maybe a byte order mark
                return []
            self._started = True
            self._partial.clear()
            piece = piece.removeprefix(b"\xef\xbb\xbf")
        if b"\r" in piece:
            self._after_cr = piece.endswith(b"\r")
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = piece.split(b"\n")
        rest = lines.pop()
        if lines and self._partial:
            self._partial += lines[0]
            lines[0] = bytes(self._partial)
            self._partial.clear()
            self._bound(lines[0])
        if rest:
            self._partial += rest
            self._bound(self._partial)
        if len(piece) > LINE_LIMIT:
            for line in lines:
                self._bound(line)
        return self._events(lines)

    @staticmethod
    def _bound(line: bytes | bytearray) -> None:
        if len(line) > LINE_LIMIT:
            raise SseError("a line of the event stream is longer than 4 MiB")

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
