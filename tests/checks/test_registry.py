from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import vqchaos.checks
from tests.histories import experiment
from vqchaos.checks import REGISTRY, Check, worst

MINIMAL: dict[str, dict[str, Any]] = {
    "availability": {"min": "90%"},
    "latency_ratio": {"max": 2},
    "neighbour_unharmed": {"replica": "server-2"},
    "outcomes": {"forbid": ["hung"]},
    "recovery_time": {"max": "60s"},
    "refuses_to_start": {"within": "60s"},
    "restarts": {"max": 1},
    "rotation": {"out": "10s", "back": "60s"},
}


def of(name: str) -> Check:
    return experiment(checks=[{"type": name, **MINIMAL.get(name, {})}]).checks[0]


def test_every_check_of_the_issue_is_there() -> None:
    assert set(REGISTRY) == {
        "answered_once", "availability", "canary", "health_truthful", "latency_ratio",
        "neighbour_unharmed", "no_residue", "outcomes", "recovery_time", "refuses_to_start",
        "restarts", "rotation",
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_every_check_is_a_file_with_a_test_and_a_line_for_the_catalogue(name: str) -> None:
    assert Path(vqchaos.checks.__file__).with_name(f"{name}.py").is_file()
    assert Path(__file__).with_name(f"test_{name}.py").is_file()
    assert REGISTRY[name].summary
    assert len(REGISTRY[name].summary) < 75
    assert of(name).describe()


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_every_check_survives_writing_and_reading(name: str) -> None:
    made = experiment(checks=[{"type": name, **MINIMAL.get(name, {})}])
    again = type(made).model_validate(json.loads(json.dumps(made.resolved())))
    assert again.checks == made.checks
    assert again.resolved() == made.resolved()


def errors(check: object) -> list[tuple[str, tuple[object, ...]]]:
    with pytest.raises(ValidationError) as caught:
        experiment(checks=[{"type": "canary"}, check])
    return [(e["type"], tuple(e["loc"])) for e in caught.value.errors()]


def test_an_unknown_check_is_an_error_at_its_type() -> None:
    assert errors({"type": "recovery_tme"}) == [("unknown_check", ("checks", 1, "type"))]
    assert errors({"type": ["canary"]}) == [("unknown_check", ("checks", 1, "type"))]


def test_a_planned_check_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vqchaos.checks, "PLANNED", frozenset({"someday"}))
    with pytest.raises(ValidationError, match="'someday' is not in this version"):
        experiment(checks=[{"type": "someday"}])


def test_shapes_are_errors() -> None:
    assert errors("canary") == [("check_shape", ("checks", 1))]
    assert errors({}) == [("check_type_missing", ("checks", 1))]


def test_all_errors_of_a_check_come_at_once_in_their_place() -> None:
    found = errors({"type": "recovery_time", "max": 60, "wihtin": "5s"})
    assert found == [
        ("value_error", ("checks", 1, "max")), ("extra_forbidden", ("checks", 1, "wihtin"))
    ]  # fmt: skip


def test_known_needs_a_reason_and_a_date() -> None:
    check = {"type": "canary", "known": {"why": "later"}}
    assert errors(check) == [("missing", ("checks", 1, "known", "until"))]


def test_the_worst_verdict_wins() -> None:
    assert worst(["pass", "unknown", "fail"]) == "fail"
    assert worst(["pass", "unknown"]) == "unknown"
    assert worst(["pass", "pass"]) == "pass"
    assert worst([]) == "unknown"
