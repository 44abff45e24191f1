"""What containers wrote during a run: the end of each log, streamed and bounded."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests

from vqchaos.stack.container_protocols import ContainerRef
from vqchaos.stack.docker.address import Address
from vqchaos.stack.docker.client import Docker, Gone
from vqchaos.stack.docker.containers import DockerContainers
from vqchaos.stack.local.state_files import read_json
from vqchaos.text import clean, one_line

LONGEST = 5 * 1024 * 1024  # bytes of each container's log: its end
BUDGET = 8.0  # seconds for all of them together
SILENCE = 3.0  # seconds without a word from the daemon
_LINES = 50_000  # the daemon itself looks no further back
_LINE = 256 * 1024  # bytes; a longer line is kept in pieces
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]")


def of_run(
    project: str,
    services: Mapping[str, Sequence[str]],
    run: Path,
    since: float,
    redact: Callable[[str], str],
    at: Address | None = None,
) -> list[str]:
    """``logs/NAME.log`` in the run's folder for each container of the project's services. See
    ``keep``."""
    docker = Docker(timeout=SILENCE, at=at)
    control = DockerContainers(project, services, docker)
    refs = [ref for role in services for ref in control.find(role)]
    there = {ref.id[:12] for ref in refs}
    begun = (read_json(run / "stack.json") or {}).get("containers") or {}
    removed = [
        f"the container {one_line(item['id'])} of {one_line(item['service'])} was removed during "
        "the run: its log went with it"
        for items in begun.values()
        for item in items
        if item["id"] not in there
    ]
    return removed + keep(docker, refs, run / "logs", since, redact)


def keep(
    docker: Docker,
    refs: Sequence[ContainerRef],
    folder: Path,
    since: float,
    redact: Callable[[str], str],
) -> list[str]:
    """``folder/NAME.log`` of each; remarks on what was not kept, or not fully. Raises StackError if
    the daemon does not answer, OSError if the folder cannot be written."""
    deadline = time.monotonic() + BUDGET
    remarks = []
    for ref in refs:
        end = End()
        try:
            with _asked_for(docker, ref, since) as answer:
                pieces = _until(deadline, answer.iter_content(65536))
                for line in lines(pieces, framed=_framed(docker, ref)):
                    end.add(redact(clean(line, len(line) + 1)))
        except Gone:
            remarks.append(f"{ref.name} was removed during the run: its log went with it")
            continue
        except (TimeoutError, requests.RequestException):
            remarks.append(f"the log of {ref.name} is cut: Docker was too slow with it")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        end.write(folder / f"{_NOT_IN_NAMES.sub('_', ref.name).lstrip('.')[:200]}.log")
    return remarks


def tail(docker: Docker, ref: ContainerRef, since: float, count: int) -> list[str]:
    """The last lines that it wrote since then (Unix seconds), without Docker's times; what came
    within a few seconds, if the daemon is slow. Raises Gone."""
    found: list[str] = []
    with (
        suppress(TimeoutError, requests.RequestException),
        _asked_for(docker, ref, since, count) as answer,
    ):
        pieces = _until(time.monotonic() + SILENCE, answer.iter_content(65536))
        found.extend(line.partition(" ")[2] for line in lines(pieces, framed=_framed(docker, ref)))
    return found


class End:
    """The last lines of a text, in at most so many bytes."""

    def __init__(self, longest: int = LONGEST) -> None:
        self._longest = longest
        self._kept: deque[bytes] = deque()
        self._size = 0
        self._cut = False

    def add(self, line: str) -> None:
        data = line.encode("utf-8", "replace") + b"\n"
        self._kept.append(data)
        self._size += len(data)
        while self._size > self._longest:
            self._size -= len(self._kept.popleft())
            self._cut = True

    def write(self, path: Path) -> None:
        """Whole or not at all."""
        part = path.with_name(path.name + ".part")
        with part.open("wb") as file:
            if self._cut:
                file.write(b"[earlier lines were left out]\n")
            file.writelines(self._kept)
        part.replace(path)


def lines(pieces: Iterable[bytes], *, framed: bool) -> Iterator[str]:
    """Whole lines, each with Docker's time before it. Docker cuts long ones and dates each piece
    anew; they are put together again, so that a secret on the border is still found."""
    pending: dict[int, bytes] = {}
    for stream, piece in frames(pieces) if framed else ((0, piece) for piece in pieces):
        begun = pending.get(stream, b"")
        goes_on = framed and begun
        *whole, rest = (begun + (piece.partition(b" ")[2] if goes_on else piece)).split(b"\n")
        yield from (line.decode("utf-8", "replace") for line in whole)
        if len(rest) > _LINE:
            yield rest.decode("utf-8", "replace")
            rest = b""
        pending[stream] = rest
    yield from (rest.decode("utf-8", "replace") for rest in pending.values() if rest)


def frames(pieces: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Docker's frames, each a header of eight bytes (which stream, how long) and one log entry."""
    buffer = bytearray()
    for piece in pieces:
        buffer += piece
        while len(buffer) >= 8 and len(buffer) >= (end := 8 + int.from_bytes(buffer[4:8], "big")):
            yield buffer[0], bytes(buffer[8:end])
            del buffer[:end]


def _until(deadline: float, pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield piece
        if time.monotonic() >= deadline:
            raise TimeoutError


def _framed(docker: Docker, ref: ContainerRef) -> bool:
    """Where there is no terminal."""
    info = docker.call(lambda: docker.api.inspect_container(ref.id), ref.name)
    return not info["Config"].get("Tty")


def _asked_for(
    docker: Docker, ref: ContainerRef, since: float, count: int = _LINES
) -> requests.Response:
    """Not by docker-py's own ``logs``, which takes the timeout off the line."""
    api = docker.api
    wanted: dict[str, Any] = {"stdout": 1, "stderr": 1, "timestamps": 1, "tail": str(count)}
    wanted["since"] = f"{since:.6f}"

    def ask() -> requests.Response:
        url = api._url("/containers/{0}/logs", ref.id)  # noqa: SLF001
        answer: requests.Response = api._get(url, params=wanted, stream=True)  # noqa: SLF001
        api._raise_for_status(answer)  # noqa: SLF001
        return answer

    return docker.call(ask, ref.name)
