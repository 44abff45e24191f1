from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.histories import World, experiment
from tests.report.verdicts import failing, void
from vqchaos.judge import judge
from vqchaos.report.sparkline import blocks, render


def strip(ok: list[int], failed: list[int]) -> dict[str, object]:
    return {"strip": {"step": 1, "ok": ok, "failed": failed}}


def test_a_block_says_what_share_went_well() -> None:
    assert blocks(strip([4, 3, 2, 1, 0, 0], [0, 1, 2, 99, 4, 0])) == "█▇▅▁x "


def test_it_shows_the_outage_where_it_was() -> None:
    line = blocks(failing())
    assert line.startswith("█" * 12)
    assert "x" * 15 in line
    assert line.endswith("█" * 10)
    shown = render(failing())
    assert shown is not None
    assert "1s each" in shown.plain
    assert len(shown.plain) <= 80


def test_without_a_strip_there_is_no_line() -> None:
    assert render({}) is None
    assert render({"strip": {}}) is None
    assert render(void()) is not None


def test_a_run_of_any_length_is_at_most_sixty_steps() -> None:
    long = judge(World(settle=(40.0, 400.0)).build(), experiment()).as_dict()["strip"]
    assert long["step"] == 10
    assert len(long["ok"]) == len(long["failed"]) == 40
    assert sum(long["ok"]) == 3200


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), max_size=60))
def test_full_is_only_where_nothing_failed_and_x_only_where_nothing_went_well(
    steps: list[tuple[int, int]],
) -> None:
    line = blocks(strip([g for g, _ in steps], [b for _, b in steps]))
    assert len(line) == len(steps)
    for block, (good, bad) in zip(line, steps, strict=True):
        assert (block == "█") == (good > 0 and bad == 0)
        assert (block == "x") == (good == 0 and bad > 0)
