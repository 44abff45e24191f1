from __future__ import annotations

from itertools import islice, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqchaos.errors import InvalidFile, UsageError
from vqchaos.load.arrivals import offsets


@given(st.sampled_from(["poisson", "constant"]), st.floats(0.1, 1000), st.integers())
def test_the_seed_replays_and_time_never_goes_back(kind: str, rate: float, seed: int) -> None:
    first = list(islice(offsets(kind, rate, seed), 50))
    assert first == list(islice(offsets(kind, rate, seed), 50))
    assert all(a <= b for a, b in pairwise(first))
    assert first[0] >= 0


def test_poisson_keeps_its_rate_and_is_not_constant() -> None:
    moments = list(islice(offsets("poisson", 50.0, 7), 20_000))
    assert moments[-1] == pytest.approx(400, rel=0.05)
    gaps = [b - a for a, b in pairwise(moments)]
    mean = sum(gaps) / len(gaps)
    assert sum((g - mean) ** 2 for g in gaps) / len(gaps) == pytest.approx(mean**2, rel=0.1)
    assert moments != list(islice(offsets("poisson", 50.0, 8), 20_000))


def test_constant_is_exact() -> None:
    assert list(islice(offsets("constant", 4, 0), 4)) == [0.0, 0.25, 0.5, 0.75]


def test_a_file_is_replayed_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "offsets.txt"
    path.write_text("# a burst\n0\n1\n1  # two at once\n\n4\n")
    found = list(islice(offsets(str(path), 1.0, 0), 6))
    assert found[:4] == [0, 1, 1, 4]
    assert found[4] == pytest.approx(4 + 4 / 3)
    assert found[5] == found[4] + 1


@given(st.lists(st.floats(0, 100), min_size=1, max_size=5))
def test_a_replayed_file_always_moves_on(moments: list[float]) -> None:
    from tempfile import NamedTemporaryFile

    with NamedTemporaryFile("w") as file:
        file.write("\n".join(map(repr, sorted(moments))))
        file.flush()
        found = list(islice(offsets(file.name, 1.0, 0), 20))
    assert all(a <= b for a, b in pairwise(found))
    assert found[-1] > found[0]


def test_every_wrong_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "offsets.txt"
    path.write_text("1\nx\nnan\n0.5\n-1\n")
    with pytest.raises(InvalidFile) as error:
        offsets(str(path), 1.0, 0)
    assert [problem.line for problem in error.value.problems] == [2, 3, 4, 5]
    path.write_text("# nothing\n")
    with pytest.raises(InvalidFile, match="at least one"):
        offsets(str(path), 1.0, 0)
    with pytest.raises(UsageError, match="cannot read"):
        offsets(str(tmp_path / "none"), 1.0, 0)
