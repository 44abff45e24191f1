from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vqchaos.errors import ExitCode, InvalidFile, Problem, worst

ORDER = [
    {ExitCode.USAGE},
    {ExitCode.UNCLEAN},
    {ExitCode.SIGINT, ExitCode.SIGTERM, ExitCode.SIGHUP},
    {ExitCode.FAIL},
    {ExitCode.UNKNOWN},
    {ExitCode.PASS},
]


@given(st.lists(st.sampled_from(ExitCode), min_size=1))
def test_the_worst_of_several_is_the_designs(codes: list[ExitCode]) -> None:
    expected = next(group for group in ORDER if group & set(codes))
    assert worst(codes) in expected


def test_nothing_run_is_unknown() -> None:
    assert worst([]) == ExitCode.UNKNOWN


def test_an_invalid_file_shows_every_problem_with_its_place() -> None:
    error = InvalidFile([Problem("a.yaml", 3, 5, "bad"), Problem("b.yaml", 0, 0, "empty")])
    assert str(error) == "a.yaml:3:5: bad\nb.yaml: empty"
    assert error.exit_code == ExitCode.USAGE
