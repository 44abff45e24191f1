"""JUnit XML: one suite a set (or a run), a case a check; any text makes valid XML."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from vqchaos.text import clean

Verdict = Mapping[str, Any]


def junit(
    verdicts: Sequence[Verdict],
    *,
    name: str = "vqchaos",
    skipped: Sequence[Mapping[str, str]] = (),
) -> str:
    """The XML of one set. ``skipped``: experiments the stack cannot do, with their reason.

    fail → failure, unknown → error, skipped → skipped. A void run has a case ``valid`` that is an
    error; leftovers and failed reverts have a case ``clean`` that is a failure.
    """
    suite = ET.Element("testsuite", name=clean(name))
    if verdicts and verdicts[0].get("started_wall") is not None:
        moment = datetime.fromtimestamp(float(verdicts[0]["started_wall"]), UTC)
        suite.set("timestamp", moment.strftime("%Y-%m-%dT%H:%M:%S"))
    for verdict in verdicts:
        _run(suite, verdict, several=len(verdicts) > 1)
    for item in skipped:
        case = _case(suite, str(item.get("experiment", "")), "run")
        ET.SubElement(case, "skipped", message=clean(item.get("reason", "")))
    for count, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(count, str(len(suite.findall(f"./testcase/{tag}"))))
    suite.set("tests", str(len(suite.findall("./testcase"))))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def _run(suite: ET.Element, verdict: Verdict, *, several: bool) -> None:
    group = str(verdict["experiment"]) + (f".{verdict['run']}" if several else "")
    valid = _case(suite, group, "valid")
    if not verdict["valid"]:
        _problem(valid, "error", "void: " + "; ".join(verdict["void_reasons"]))
    for check in verdict["checks"]:
        case = _case(suite, group, str(check["name"]))
        if check["verdict"] == "fail":
            _problem(case, "failure", str(check["why"]))
        elif check["verdict"] == "unknown":
            _problem(case, "error", str(check["why"]))
        else:
            out = ET.SubElement(case, "system-out")
            out.text = clean(check["why"])
    dirty = [f["text"] for f in verdict["findings"] if f["kind"] in ("revert_failed", "leftover")]
    tidy = _case(suite, group, "clean")
    if dirty:
        _problem(tidy, "failure", "; ".join(dirty))


def _case(suite: ET.Element, group: str, name: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", classname=clean(group), name=clean(name), time="0")


def _problem(case: ET.Element, tag: str, why: str) -> None:
    text = clean(why)
    element = ET.SubElement(case, tag, message=text.splitlines()[0] if text.split() else tag)
    element.text = text
