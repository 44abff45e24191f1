"""A terminal may be closed in mid-run: from then on each word to it is an error (EIO), and none of
those errors may come between a run and its undo, or change its exit code."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from typing import Any, TextIO, cast


class Closable:
    """A stream on a terminal that swallows what it is given once the terminal is gone."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._unless_gone(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._unless_gone(self._stream.flush)

    def _unless_gone(self, call: Callable[[], object]) -> None:
        try:
            call()
        except OSError as error:
            if error.errno != errno.EIO:
                raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def outlive_the_terminal() -> None:
    """Guard the standard streams that are a terminal's."""
    if sys.stdout is not None and sys.stdout.isatty():
        sys.stdout = cast("TextIO", Closable(sys.stdout))
    if sys.stderr is not None and sys.stderr.isatty():
        sys.stderr = cast("TextIO", Closable(sys.stderr))
