from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import xmlschema
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.report.verdicts import failing, nasty, passing, verdict, void
from vqchaos.judge import judge_set
from vqchaos.report.junit import junit, set_junit

SCHEMA = xmlschema.XMLSchema(Path(__file__).with_name("junit.xsd"))
HOSTILE = "\x00\x1b[31m\ud800\udfff\ufffe ]]> <![CDATA[ &amp; \"'\u2028\x85\n\ttail"
RULES = [
    {"name": "verdicts", "type": "verdicts", "verdict": "fail", "why": "toy fail"},
    {"name": "enough", "type": "valid", "verdict": "unknown", "why": "toy has 1, at least 6"},
    {"name": "skipped", "type": "skipped", "verdict": "pass", "why": "0 skipped, at most 0"},
]


def cases(text: str) -> dict[tuple[str, str], ET.Element]:
    """The cases of a valid file."""
    SCHEMA.validate(text)
    found = [*ET.fromstring(text).iter("testcase")]
    return {(c.get("classname", ""), c.get("name", "")): c for c in found}


def of_set(*verdicts: dict[str, Any], **more: Any) -> str:
    summary = judge_set([(str(v["run"]), v) for v in verdicts], skipped=more.pop("skipped", ()))
    return set_junit({**summary, **more}, verdicts, name="20261118-set")


def problem(case: ET.Element) -> str:
    return next((child.tag for child in case if child.tag != "system-out"), "")


def test_a_case_a_check() -> None:
    found = cases(junit(failing()))
    assert {name for _, name in found} == {
        "valid", "clean", "recovery_time", "refuses_to_start", "no_residue"
    }  # fmt: skip
    assert problem(found["toy", "recovery_time"]) == "failure"
    assert problem(found["toy", "refuses_to_start"]) == "error"
    assert problem(found["toy", "no_residue"]) == ""
    assert "18.1s after" in (found["toy", "recovery_time"][0].get("message") or "")
    assert found["toy", "valid"][0].text == f"run {failing()['run']}"


def test_the_counts_add_up() -> None:
    skipped = [{"experiment": "gpu", "reason": "no GPU here"}]
    suite = ET.fromstring(of_set(failing(), passing(), skipped=skipped))[0]
    assert suite.get("failures") == "1"
    assert suite.get("errors") == "1"
    assert suite.get("skipped") == "1"
    assert suite.get("tests") == str(len(suite))


def test_a_skipped_experiment_and_one_that_was_not_run_say_why() -> None:
    skipped = [{"experiment": "gpu", "reason": "no GPU here"}]
    found = cases(of_set(passing(), skipped=skipped, not_run=["late"]))
    assert found["gpu", "run"][0].get("message") == "no GPU here"
    assert problem(found["late", "run"]) == "error"


def test_a_void_run_and_leftovers_cannot_look_green() -> None:
    assert problem(cases(junit(void()))["toy", "valid"]) == "error"
    dirty = {**passing(), "findings": [{"kind": "leftover", "text": "a toxic"}]}
    assert problem(cases(junit(dirty))["toy", "clean"]) == "failure"


def test_repeats_are_numbered_so_that_the_next_pipeline_knows_them_again() -> None:
    other = {**passing(), "experiment": "other"}
    found = cases(of_set({**passing(), "run": "a"}, other, {**passing(), "run": "b"}))
    assert {group for group, _ in found} == {"toy.1", "toy.2", "other"}
    assert found["toy.2", "valid"][0].text == "run b"


def test_a_check_may_be_called_as_ours_are() -> None:
    made = failing()
    for check in made["checks"]:
        check["name"] = "valid"
    found = cases(junit(made))
    assert problem(found["toy", "valid"]) == ""
    assert problem(found["toy", "valid (2)"]) == "failure"
    assert problem(found["toy", "valid (3)"]) == "error"


def test_a_gates_rules_are_cases_of_a_suite_of_their_own() -> None:
    gate = {"name": "release", "title": "", "verdict": "fail", "rules": RULES}
    text = of_set(failing(), gate=gate)
    found = cases(text)
    assert [suite.get("name") for suite in ET.fromstring(text)] == ["20261118-set", "gate release"]
    assert problem(found["gate.release", "verdicts"]) == "failure"
    assert problem(found["gate.release", "enough"]) == "error"
    assert problem(found["gate.release", "skipped"]) == ""
    assert ET.fromstring(text)[1].get("failures") == "1"


def test_a_gate_over_nothing_is_not_green() -> None:
    gate = {"name": "release", "title": "", "verdict": "unknown", "rules": RULES[2:]}
    assert problem(cases(of_set(gate=gate))["gate.release", "run"]) == "error"


def test_two_rules_of_one_name_are_told_apart() -> None:
    gate = {"name": "release", "title": "", "verdict": "fail", "rules": RULES[:1] * 2}
    found = cases(of_set(failing(), gate=gate))
    assert ("gate.release", "verdicts (2)") in found


def test_the_schema_refuses_what_readers_would() -> None:
    with pytest.raises(xmlschema.XMLSchemaException):
        SCHEMA.validate(
            junit(failing()).replace("<failure", "<disaster").replace("/failure", "/disaster")
        )
    with pytest.raises(xmlschema.XMLSchemaException):
        SCHEMA.validate(junit(failing()).replace('name="clean"', 'name="valid"'))


@settings(max_examples=100)
@given(st.text(), st.text())
@example(HOSTILE, HOSTILE)
@example("", "")
def test_any_text_makes_valid_xml(text: str, name: str) -> None:
    made = verdict(
        checks=[
            {"name": name, "type": "x", "phase": None, "workload": None, "verdict": said,
             "observed": None, "limit": None, "unit": "", "why": text, "known": None}
            for said in ("pass", "unknown", "fail")
        ],
        void_reasons=[text], valid=False, experiment=name,
    )  # fmt: skip
    rules = [{**rule, "name": name, "why": text} for rule in RULES]
    gate = {"name": name, "title": text, "verdict": "fail", "rules": rules}
    skipped = [{"experiment": name, "reason": text}]
    found = cases(of_set(made, skipped=skipped, gate=gate))
    assert sum(problem(case) == "failure" for case in found.values()) == 2


def test_hostile_text_wherever_it_can_be() -> None:
    assert cases(junit(nasty()))
