from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.report.verdicts import failing, passing, verdict, void
from vqchaos.report.junit import junit


def cases(*verdicts: dict[str, Any], **more: Any) -> dict[tuple[str, str], ET.Element]:
    root = ET.fromstring(junit(verdicts, **more))
    return {(c.get("classname", ""), c.get("name", "")): c for c in root.iter("testcase")}


def problem(case: ET.Element) -> str:
    return next((child.tag for child in case if child.tag != "system-out"), "")


def test_a_suite_a_set_and_a_case_a_check() -> None:
    found = cases(failing())
    assert {name for _, name in found} == {
        "valid", "clean", "recovery_time", "refuses_to_start", "no_residue"
    }  # fmt: skip
    assert problem(found["toy", "recovery_time"]) == "failure"
    assert problem(found["toy", "refuses_to_start"]) == "error"
    assert problem(found["toy", "no_residue"]) == ""
    assert "18.1s after" in (found["toy", "recovery_time"][0].get("message") or "")


def test_the_counts_add_up() -> None:
    skipped = [{"experiment": "gpu", "reason": "no GPU here"}]
    root = ET.fromstring(junit([failing(), passing()], skipped=skipped))
    suite = root[0]
    assert suite.get("failures") == "1"
    assert suite.get("errors") == "1"
    assert suite.get("skipped") == "1"
    assert suite.get("tests") == str(len(suite))


def test_a_skipped_experiment_says_why() -> None:
    found = cases(passing(), skipped=[{"experiment": "gpu", "reason": "no GPU here"}])
    assert found["gpu", "run"][0].get("message") == "no GPU here"


def test_a_void_run_and_leftovers_cannot_look_green() -> None:
    assert problem(cases(void())["toy", "valid"]) == "error"
    dirty = {**passing(), "findings": [{"kind": "leftover", "text": "a toxic"}]}
    assert problem(cases(dirty)["toy", "clean"]) == "failure"


def test_repeats_are_told_apart() -> None:
    found = cases({**passing(), "run": "a"}, {**passing(), "run": "b"})
    assert ("toy.a", "valid") in found
    assert ("toy.b", "valid") in found


@settings(max_examples=200)
@given(st.text(), st.text())
def test_any_text_makes_valid_xml(text: str, name: str) -> None:
    made = verdict(
        checks=[
            {"name": name, "type": "x", "phase": None, "workload": None, "verdict": said,
             "observed": None, "limit": None, "unit": "", "why": text, "known": None}
            for said in ("pass", "unknown", "fail")
        ],
        void_reasons=[text], valid=False, experiment=name,
    )  # fmt: skip
    ET.fromstring(junit([made], name=text, skipped=[{"experiment": name, "reason": text}]))
