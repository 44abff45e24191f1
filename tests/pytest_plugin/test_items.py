"""The plugin as pytest sees it: what is collected, and what an item says."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest

EXPERIMENT = """
version: 1
name: trial
phases: {warmup: 1s, baseline: 1s, fault: 1s, recovery: 1s, settle: 1s}
faults:
  - {type: process_kill, target: engine}
"""
# In place of the command: what it was asked, then what the file beside it says.
COMMAND = """
import json, pathlib, sys
here = pathlib.Path(__file__).parent.parent
with (here / "asked").open("a") as out:
    out.write(json.dumps(sys.argv[1:]) + "\\n")
said = json.loads((here / "said").read_text())
print(said["out"])
print(said["err"], file=sys.stderr)
sys.exit(said["code"])
"""


def verdict(word: str, why: str) -> dict[str, object]:
    check = {"name": "recovery_time", "verdict": word, "why": why}
    return {
        "run": "20261101T000000Z-trial-0001",
        "experiment": "trial",
        "stack": "local",
        "verdict": word,
        "void_reasons": [],
        "checks": [check],
        "leftovers": [],
    }


@pytest.fixture
def place(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with one experiment, and a command that does nothing."""
    folder = pytester.mkdir("experiments")
    (folder / "trial.yaml").write_text(EXPERIMENT, encoding="utf-8")
    (folder / "values.yaml").write_text("a: 1\n", encoding="utf-8")
    fake = pytester.mkdir("vqchaos_fake")
    (fake / "run.py").write_text(COMMAND, encoding="utf-8")
    monkeypatch.setenv("XDG_STATE_HOME", str(pytester.path / "state"))
    # In the project's own conftest: pytester imports everything anew for each inner run.
    pytester.makeconftest(
        "import importlib\n"
        "experiments = importlib.import_module('vqchaos.pytest_plugin.experiments')\n"
        f"experiments.PROGRAM[:] = [{str(fake / 'run.py')!r}]\n"
    )
    return pytester


def says(place: pytest.Pytester, code: int, *lines: object, err: str = "") -> None:
    said = {"code": code, "out": "\n".join(json.dumps(line) for line in lines), "err": err}
    (place.path / "said").write_text(json.dumps(said), encoding="utf-8")


def asked(place: pytest.Pytester) -> list[list[str]]:
    path = place.path / "asked"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def test_an_experiment_that_passes_is_a_passed_item(place: pytest.Pytester) -> None:
    says(place, 0, verdict("pass", "26 s"), {"schema": 1})
    result = place.runpytest("experiments/trial.yaml", "--chaos-set", "stack.url=http://x", "-rA")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*ok*recovery_time: 26 s*"])
    [words] = asked(place)
    assert words[0] == "run"
    assert words[words.index("--stack") + 1] == "local"
    assert words[words.index("--set") + 1] == "stack.url=http://x"
    assert "--skip" not in words, "its file was named: what the stack cannot do is no skip"


def test_one_that_fails_shows_its_checks_and_no_traceback(place: pytest.Pytester) -> None:
    says(place, 1, verdict("fail", "90 s, limit 60 s"), {"schema": 1})
    result = place.runpytest("experiments")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["exit code 1: fail", "*FAIL*recovery_time: 90 s, limit 60 s"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*runtest*")
    assert "--skip" in asked(place)[0]


def test_words_of_the_command_are_shown_where_there_is_no_verdict(place: pytest.Pytester) -> None:
    says(place, 4, err="vqchaos: faults of an earlier run are still in force\x1b[31m")
    result = place.runpytest("experiments")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["exit code 4: unclean; run `vqchaos heal`", "*still in force*"])
    assert "\x1b[31m" not in result.stdout.str()


def test_what_the_stack_cannot_do_is_skipped_with_its_reason(place: pytest.Pytester) -> None:
    skipped = {"experiment": "trial", "source": "x", "reason": "process_kill needs processes"}
    says(place, 3, {"schema": 1, "skipped": [skipped]})
    result = place.runpytest("experiments", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*process_kill needs processes*"])


@pytest.mark.parametrize("words", [[], ["."], ["test_plain.py"]])
def test_a_plain_pytest_breaks_nothing(place: pytest.Pytester, words: list[str]) -> None:
    place.makepyfile(test_plain="def test_it(): pass")
    result = place.runpytest(*words)
    result.assert_outcomes(passed=1)
    assert asked(place) == []


def test_chaos_collects_below_a_folder_and_the_mark_leaves_it_out(place: pytest.Pytester) -> None:
    says(place, 0, verdict("pass", ""), {"schema": 1})
    place.runpytest("--chaos", ".").assert_outcomes(passed=1)
    place.runpytest("--chaos", ".", "-m", "not chaos").assert_outcomes(deselected=1)
    assert len(asked(place)) == 1


def test_an_experiment_is_real_up_to_its_exit_code(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command itself, with a file that is wrong: exit code 2, and its words."""
    monkeypatch.setenv("XDG_STATE_HOME", str(pytester.path / "state"))
    path = pytester.path / "wrong.yaml"
    path.write_text(EXPERIMENT.replace("process_kill", "process_kil"), encoding="utf-8")
    result = pytester.runpytest(str(path))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["exit code 2: usage", "*process_kil*"])


def test_the_fixture_marks_its_test_and_tells_what_is_wrong(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(pytester.path / "state"))
    pytester.makepyfile(
        textwrap.dedent("""
            import pytest

            @pytest.mark.chaos(stack="nowhere")
            def test_it(chaos): pass

            @pytest.mark.chaos("nowhere")
            def test_wrong(chaos): pass

            def test_unmarked(chaos): pass
        """)
    )
    result = pytester.runpytest("--chaos-stack", "not-there")
    result.assert_outcomes(errors=3)
    result.stdout.fnmatch_lines(
        ["*no stack called 'nowhere'*", "*expected @pytest.mark.chaos(stack=*", "*'not-there'*"]
    )
    pytester.runpytest("-m", "not chaos").assert_outcomes(deselected=3)


def test_settings_are_checked_as_in_yaml(tmp_path: Path) -> None:
    from vqchaos.errors import UsageError
    from vqchaos.faults.latency import Latency
    from vqchaos.pytest_plugin.chaos import make

    made = make("latency", {"latency": "300ms"})
    assert isinstance(made, Latency)
    assert made.latency == 0.3
    with pytest.raises(UsageError, match="latency: latency"):
        make("latency", {"latency": "soon"})
    with pytest.raises(UsageError, match="unknown fault type 'late'"):
        make("late", {})
