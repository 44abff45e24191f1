"""When requests are due: endless offsets in seconds from the start of the load.

The same seed gives the same offsets. A file of offsets is replayed from its start when it ends.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from pathlib import Path

from vqchaos.errors import InvalidFile, Problem, UsageError

KINDS = ("poisson", "constant")


def offsets(arrivals: str, rate: float, seed: int | str) -> Iterator[float]:
    """``arrivals``: poisson, constant, or the path of a file; ``rate`` in requests a second (a
    file has its own). Never decreasing, without end. Raises UsageError."""
    if arrivals == "constant":
        return (n / rate for n in itertools.count())
    if arrivals == "poisson":
        return _poisson(rate, random.Random(f"arrivals:{seed}"))
    return _replayed(read_offsets(Path(arrivals)))


def _poisson(rate: float, rng: random.Random) -> Iterator[float]:
    moment = 0.0
    while True:
        moment += rng.expovariate(rate)
        yield moment


def _replayed(moments: list[float]) -> Iterator[float]:
    # The mean gap stands between the last request of one round and the first of the next.
    gap = (moments[-1] - moments[0]) / (len(moments) - 1) if len(moments) > 1 else 1.0
    length = moments[-1] - moments[0] + max(gap, 0.001)
    for start in itertools.count():
        for moment in moments:
            yield start * length + moment


def read_offsets(path: Path) -> list[float]:
    """The offsets of a file: one number a line, seconds, not decreasing; ``#`` comments.

    Raises InvalidFile with every wrong line, UsageError if it cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"arrivals: cannot read {path}: {error}",
            hint="poisson, constant, or a file with one offset in seconds on each line",
        ) from error
    moments: list[float] = []
    problems: list[Problem] = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            moment = float(text)
        except ValueError:
            moment = math.nan
        if not math.isfinite(moment) or moment < 0:
            wrong = f"expected an offset in seconds, found {text[:40]!r}"
            problems.append(Problem(str(path), number, 1, wrong))
        elif moments and moment < moments[-1]:
            problems.append(Problem(str(path), number, 1, "this offset is before the last one"))
        else:
            moments.append(moment)
    if not problems and not moments:
        problems.append(Problem(str(path), 0, 0, "expected at least one offset in seconds"))
    if problems:
        raise InvalidFile(problems)
    return moments
