"""JUnit XML: a case a check, and a gate's rules in a suite of their own; any text makes valid XML.

What is written is within Jenkins' ``junit-10.xsd``, which GitLab's and GitHub's readers take too.
They know a case by its ``classname`` and ``name`` and keep one of several that share both; so each
pair is there once, and none has a run's name in it: a case is known again in the next pipeline.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from vqchaos.text import clean

Verdict = Mapping[str, Any]
_TAGS = {"fail": "failure", "unknown": "error"}


def junit(verdict: Verdict) -> str:
    """One run's. fail → failure, unknown → error. A void run has a case ``valid`` that is an error;
    leftovers and failed reverts have a case ``clean`` that is a failure."""
    suite = _Suite(str(verdict["experiment"]), [verdict])
    suite.run(verdict, str(verdict["experiment"]))
    return _text([suite])


def set_junit(summary: Mapping[str, Any], verdicts: Sequence[Verdict], *, name: str) -> str:
    """A set's, by its summary.json: its runs as ``junit`` has them, the repeats of an experiment
    numbered; what was skipped, with the reason; what was not run, an error. With a gate a suite
    ``gate`` with a case a rule."""
    suite = _Suite(name, verdicts)
    often = Counter(str(verdict["experiment"]) for verdict in verdicts)
    seen: Counter[str] = Counter()
    for verdict in verdicts:
        experiment = str(verdict["experiment"])
        seen[experiment] += 1
        several = often[experiment] > 1
        suite.run(verdict, f"{experiment}.{seen[experiment]}" if several else experiment)
    for item in summary.get("skipped", ()):
        suite.case(str(item.get("experiment", "")), "run", "skipped", item.get("reason", ""))
    for experiment in summary.get("not_run", ()):
        suite.case(str(experiment), "run", "unknown", "was not run, or not as often as asked")
    gate = summary.get("gate")
    return _text([suite] if gate is None else [suite, _gate(gate, verdicts)])


def _gate(gate: Mapping[str, Any], verdicts: Sequence[Verdict]) -> _Suite:
    suite = _Suite(f"gate {gate['name']}", verdicts)
    group = f"gate.{gate['name']}"
    for rule in gate["rules"]:
        suite.case(group, str(rule["name"]), str(rule["verdict"]), rule["why"])
    if not verdicts:  # then no gate is passed, whatever its rules say
        suite.case(group, "run", "unknown", "nothing was run")
    return suite


class _Suite:
    """One ``testsuite``, whose cases are told apart."""

    def __init__(self, name: str, verdicts: Sequence[Verdict]) -> None:
        self.element = ET.Element("testsuite", name=clean(name))
        if verdicts and verdicts[0].get("started_wall") is not None:
            moment = datetime.fromtimestamp(float(verdicts[0]["started_wall"]), UTC)
            self.element.set("timestamp", moment.strftime("%Y-%m-%dT%H:%M:%S"))
        self._taken: set[tuple[str, str]] = set()

    def run(self, verdict: Verdict, group: str) -> None:
        if verdict["valid"]:
            self.case(group, "valid", "pass", f"run {verdict['run']}")
        else:
            why = f"void: {'; '.join(verdict['void_reasons'])}\nrun {verdict['run']}"
            self.case(group, "valid", "unknown", why)
        for check in verdict["checks"]:
            self.case(group, str(check["name"]), str(check["verdict"]), check["why"])
        kinds = ("revert_failed", "leftover")
        dirty = [found["text"] for found in verdict["findings"] if found["kind"] in kinds]
        self.case(group, "clean", "fail" if dirty else "pass", "; ".join(dirty))

    def case(self, group: str, name: str, verdict: str, why: object) -> None:
        """``verdict``: a check's, or skipped."""
        classname, name = clean(group), self._free(clean(group), clean(name))
        # No figure would be a case's own duration; readers that add them up get 0.
        case = ET.SubElement(self.element, "testcase", classname=classname, name=name, time="0")
        text = clean(why)
        if verdict != "pass":
            tag = _TAGS.get(verdict, verdict)
            message = next((line for line in text.splitlines() if line.strip()), tag)
            ET.SubElement(case, tag, message=message).text = text
        elif text:
            ET.SubElement(case, "system-out").text = text

    def _free(self, group: str, name: str) -> str:
        free, number = name or "-", 1
        while (group, free) in self._taken:
            number += 1
            free = f"{name} ({number})"
        self._taken.add((group, free))
        return free

    def counted(self) -> ET.Element:
        for count, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            self.element.set(count, str(len(self.element.findall(f"./testcase/{tag}"))))
        self.element.set("tests", str(len(self.element.findall("./testcase"))))
        return self.element


def _text(suites: Sequence[_Suite]) -> str:
    root = ET.Element("testsuites")
    root.extend(suite.counted() for suite in suites)
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, "unicode") + "\n"
