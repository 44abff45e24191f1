from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from vqchaos.report.way_back import WayBack, letters, widths


def shown(moments: list[float], width: int) -> str:
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(WayBack(moments))
    return capture.get().rstrip("\n")


def test_parts_are_to_scale_and_end_in_their_letters() -> None:
    assert shown([0.0, 1.0, 4.0, 10.0], 24) == "0━━a──────b━━━━━━━━━━━━c"


def test_a_part_of_no_time_keeps_its_letter() -> None:
    assert shown([0.0, 0.0, 0.0, 5.0], 12) == "0ab━━━━━━━━c"
    assert shown([0.0, 0.0], 12) == "0a"


@given(st.lists(st.floats(0, 1e4), min_size=2, max_size=12), st.integers(30, 200))
def test_it_is_one_line_within_its_width_with_every_letter(steps: list[float], width: int) -> None:
    moments = [0.0, *sorted(steps)]
    line = shown(moments, width)
    assert "\n" not in line
    assert len(line) <= min(width, 76)
    assert [c for c in line if c not in "━─"] == letters(len(moments))


@given(st.lists(st.floats(0, 1e4), min_size=2, max_size=12), st.integers(0, 80))
def test_no_part_is_lost(steps: list[float], room: int) -> None:
    found = widths(sorted(steps), room)
    assert min(found) >= 1
    assert sum(found) <= max(room, len(found))
