from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqchaos.units import (
    duration_text,
    format_duration,
    format_share,
    format_size,
    parse_duration,
    parse_rate,
    parse_share,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("20s", 20), ("1m30s", 90), ("1.5h", 5400), ("1h1m1s1ms", 3661.001)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "value", ["", "20", "s", "5 s", "1s1m", "1s2s", "-1s", "1e3s", "1:30", "1d", None, True, [], 5]
)
def test_what_is_no_duration(value: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(value)


@given(st.integers(0, 10**9))
def test_a_duration_survives_being_written(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    assert parse_duration(duration_text(seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0ms"), (0.25, "250ms"), (4.24, "4.2s"), (60, "1m"), (90, "1m30s"), (3660, "1h01m")],
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_sizes() -> None:
    assert parse_size("8GiB") == 8 * 1024**3
    assert parse_size("8GB") == 8 * 1000**3
    assert parse_size("1.5KiB") == 1536
    assert parse_size("12B") == 12
    assert format_size(3.1 * 1024**3) == "3.1 GiB"
    for wrong in ("8", 8, "8G", "GiB", "-1GB", None):
        with pytest.raises(ValueError, match="size"):
            parse_size(wrong)


@given(st.integers(0, 2**50))
def test_bytes_survive_being_written(size: int) -> None:
    assert parse_size(f"{size}B") == size


def test_rates() -> None:
    assert parse_rate("10KB/s") == 10_000
    for wrong in ("10KB", "10/s", 10, None):
        with pytest.raises(ValueError, match="rate"):
            parse_rate(wrong)


@given(st.integers(0, 10_000))
def test_a_share_survives_being_written(hundredths: int) -> None:
    share = hundredths / 10_000
    assert parse_share(format_share(share)) == pytest.approx(share)
    assert parse_share(share) == share


@pytest.mark.parametrize("value", ["99", "101%", -0.1, 1.1, "x%", None, True, "0.5"])
def test_what_is_no_share(value: object) -> None:
    with pytest.raises(ValueError, match="share"):
        parse_share(value)
