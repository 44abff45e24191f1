"""The dashboard asks for what the code writes. That its queries find something was seen on a real
Prometheus: docs/grafana.md."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.report.test_prom import GATE, of_set
from tests.report.verdicts import failing
from vqchaos.report.prom import FAMILIES

FILE = Path(__file__).resolve().parent.parent / "examples" / "grafana" / "vqchaos.json"
BOARD: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))


def queries() -> Iterator[str]:
    for panel in BOARD["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    yield from (each["expr"] for each in BOARD["annotations"]["list"])
    yield from (v["definition"] for v in BOARD["templating"]["list"] if v["type"] == "query")


def labels_of() -> dict[str, set[str]]:
    """Name → the labels that a set's file has for it."""
    found: dict[str, set[str]] = {}
    text = of_set(failing(), gate=GATE)
    for family in text_string_to_metric_families(text):  # type: ignore[no-untyped-call]
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_each_metric_of_a_query_is_one_that_is_written() -> None:
    names = {name for query in queries() for name in re.findall(r"\bvqchaos_\w+", query)}
    assert names
    assert names <= {f"vqchaos_{name}" for name in FAMILIES}


def test_each_label_of_a_query_is_one_that_its_metric_has() -> None:
    there = labels_of()
    for query in queries():
        for name, inner in re.findall(r"(vqchaos_\w+)\{([^}]*)\}", query):
            assert set(re.findall(r"(\w+)=", inner)) <= there[name], query
        grouped = re.search(r"by \(([^)]*)\)", query)
        names = re.findall(r"vqchaos_\w+", query)
        if grouped:
            assert set(grouped[1].split(", ")) <= set.union(*(there[n] for n in names)), query


def test_each_legend_names_labels_that_its_query_keeps() -> None:
    for panel in BOARD["panels"]:
        for target in panel["targets"]:
            kept = re.search(r"by \(([^)]*)\)", target["expr"])
            assert kept is not None
            used = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert used <= set(kept[1].split(", ")), target["legendFormat"]


def test_it_is_a_dashboard() -> None:
    assert BOARD["schemaVersion"] >= 36
    assert {"title", "uid", "time", "panels", "templating", "annotations"} <= BOARD.keys()
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)
    kinds = {v["name"]: v["type"] for v in BOARD["templating"]["list"]}
    assert kinds["datasource"] == "datasource"
    sources = [*BOARD["panels"], *BOARD["annotations"]["list"]]
    assert {each["datasource"]["uid"] for each in sources} == {"${datasource}"}


def test_the_panels_stand_beside_each_other() -> None:
    places = [panel["gridPos"] for panel in BOARD["panels"]]
    for place in places:
        assert place["x"] + place["w"] <= 24
    for one, other in combinations(places, 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)


def test_the_annotations_stand_where_the_fault_was() -> None:
    for each in BOARD["annotations"]["list"]:
        assert each["useValueForTime"] == "on"
        assert re.fullmatch(r"vqchaos_\w+_timestamp_seconds\{.*\} \* 1000", each["expr"])
