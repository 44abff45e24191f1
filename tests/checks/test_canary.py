from __future__ import annotations

from typing import Any

from tests.checks.judging import result
from tests.histories import World
from vqchaos.checks import Result

WRONG: dict[str, Any] = {"text": "!!!!!!!!", "tokens": [0, 0, 0]}


def world() -> World:
    return World().inject().canary("baseline", 1.9)


def check(world: World, **settings: Any) -> Result:
    return result(world, {"type": "canary", **settings})


def test_the_same_answer_passes() -> None:
    found = check(world().canary("final", 46))
    assert (found.verdict, found.observed) == ("pass", "unchanged")


def test_other_tokens_fail_and_say_where() -> None:
    found = check(world().canary("final", 46, **WRONG))
    assert found.verdict == "fail"
    assert "1 of 1 canary answer differs; 'licence' at the end, against baseline" in found.why
    assert "position 0" in found.why


def test_log_probabilities_may_differ_by_a_thousandth() -> None:
    near = [-0.0105, -0.02, -0.03]
    far = [-0.02, -0.02, -0.03]
    assert check(world().canary("final", 46, logprobs=near)).verdict == "pass"
    assert check(world().canary("final", 46, logprobs=far)).verdict == "fail"


def test_by_default_fault_and_final_are_judged() -> None:
    assert check(world().canary("fault", 20, **WRONG).canary("final", 46)).verdict == "fail"
    assert check(world().canary("fault", 20).canary("final", 46)).verdict == "pass"


def test_the_moment_is_picked() -> None:
    made = world().canary("fault", 20, **WRONG).canary("final", 46)
    assert check(made, moment="final").verdict == "pass"
    assert check(made, moment="fault").verdict == "fail"


def test_expect_changed_proves_that_the_canary_sees_it() -> None:
    made = world().canary("fault", 20, **WRONG)
    assert check(made, moment="fault", expect="changed").verdict == "pass"
    found = check(world().canary("fault", 20), moment="fault", expect="changed")
    assert found.verdict == "fail"
    assert "the canary saw nothing" in found.why


def test_a_400_of_nan_weights_is_a_changed_answer() -> None:
    made = world().canary("fault", 20, outcome="error", detail="400 Out of range float values")
    assert check(made, moment="fault", expect="changed").verdict == "pass"
    assert check(made).verdict == "fail"


def test_no_answer_is_unknown_and_proves_nothing() -> None:
    made = world().canary("fault", 20, outcome="refused", tokens=[], text="")
    assert check(made).verdict == "unknown"
    assert check(made, moment="fault", expect="changed").verdict == "unknown"


def test_no_canary_is_unknown() -> None:
    assert check(world()).verdict == "unknown"
    assert check(world().canary("final", 46), moment="fault").verdict == "unknown"


def test_no_reference_is_unknown() -> None:
    assert check(World().inject().canary("final", 46)).verdict == "unknown"


def test_the_golden_answer_counts_where_there_is_one() -> None:
    golden = {"expected_tokens": [4, 8, 16], "expected_text": "Unless requited"}
    made = World().inject().canary("baseline", 1.9).canary("final", 46, **golden)
    found = check(made)
    assert found.verdict == "fail"
    assert "against golden" in found.why
    assert check(made, against="baseline").verdict == "pass"
    alone = World().inject().canary("final", 46, expected_tokens=[4, 8, 15])
    assert check(alone, against="golden").verdict == "pass"


def test_garbage_is_named() -> None:
    made = world().canary("final", 46, **WRONG, garbage=["one token repeated 8 times"])
    found = check(made)
    assert "garbage: one token repeated 8 times" in found.why
    assert found.findings == ["garbage in a canary's answer: one token repeated 8 times"]


def test_garbage_that_equals_a_garbage_baseline_is_no_pass() -> None:
    made = world().canary("final", 46, garbage=["characters that are no text (U+FFFD)"])
    assert check(made).verdict == "fail"


SHIFTED: dict[str, Any] = {"logprobs": [-0.03, -0.04, -0.05]}  # as other requests' company does


def test_under_load_a_small_gap_is_no_change() -> None:
    assert check(world().canary("load", 20, **SHIFTED), moment="load").verdict == "pass"
    assert check(world().canary("final", 46, **SHIFTED)).verdict == "fail"  # in quiet it is


def test_under_load_another_sure_token_is_a_change() -> None:
    made = world().canary("load", 20, **WRONG).canary("final", 46)
    found = check(made)
    assert found.verdict == "fail"
    assert "'licence' under load, against baseline" in found.why


def test_under_load_no_answer_counts_only_alone() -> None:
    silent: dict[str, Any] = {"outcome": "refused", "tokens": [], "text": ""}
    made = world().canary("load", 20, **silent)
    assert check(made, moment="load").verdict == "unknown"
    assert check(made.canary("load", 22), moment="load").verdict == "pass"


def test_under_load_without_log_probabilities_it_is_unknown() -> None:
    made = world().canary("load", 20, logprobs=[])
    found = check(made, moment="load")
    assert found.verdict == "unknown"
    assert "cannot be judged under load" in found.why
