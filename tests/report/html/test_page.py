"""The pages: what a target says stays text, nothing comes from outside, the size is bounded."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.report.html.pages import (
    HOSTILE,
    Parsed,
    hostile_run,
    hostile_set,
    plain_run,
)
from vqchaos.report.html.page import tidy


@pytest.mark.parametrize("make", [hostile_run, hostile_set])
def test_hostile_text_makes_no_tag_no_attribute_and_no_comment(make: Any) -> None:
    hostile, tame = Parsed(make(HOSTILE)), Parsed(make("x" * 40))
    assert hostile.shape() == tame.shape()
    assert hostile.comments == []
    assert "window.ran=1" in "".join(hostile.texts.get("p", []) + hostile.texts.get("td", []))


@settings(max_examples=25, deadline=None)
@given(st.text(alphabet=st.sampled_from("<>&\"'`/!-={}ab \u2028\x00"), min_size=1))
def test_no_text_changes_the_shape_of_a_page(text: str) -> None:
    assert Parsed(hostile_set("a" + text + "b")).shape() == Parsed(hostile_set("ab")).shape()


def test_the_chart_data_is_json_that_ends_no_script() -> None:
    page = hostile_run()
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    assert not set(data[1]) & set("<>&\u2028\u2029")
    found = json.loads(data[1])
    assert "<img" in found["marks"][0]["source"]
    assert "\x1b" not in found["marks"][0]["source"]


@pytest.mark.parametrize("make", [hostile_run, hostile_set, plain_run])
def test_the_policy_lets_run_what_is_ours_by_its_hash_and_nothing_else(make: Any) -> None:
    page = make()
    parsed = Parsed(page)
    policy = next(
        a["content"] for t, a in parsed.tags if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    for tag in ("script", "style"):
        for text in re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL):
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in policy
    # Before anything that it is to govern.
    assert page.index("Content-Security-Policy") < page.index("<style>")


@pytest.mark.parametrize("make", [hostile_run, hostile_set, plain_run])
def test_nothing_is_fetched_and_no_handler_is_inline(make: Any) -> None:
    for tag, attrs in Parsed(make()).tags:
        assert tag not in {"img", "link", "iframe", "object", "embed", "base", "form"}
        for name, value in attrs.items():
            assert not name.startswith("on")
            assert name not in {"src", "srcset", "style", "action"}
            if name == "href":
                assert value.startswith(("#", "../"))


def test_controls_and_numbers_that_are_none_are_taken_out() -> None:
    assert tidy({"a\x1b[1m": [float("nan"), float("inf"), 1.5, "b\x00\u202e"]}) == {
        "a": [None, None, 1.5, "b"]
    }
    assert len(tidy("x" * 10**6)) < 10**5


def test_the_same_run_makes_the_same_bytes() -> None:
    assert plain_run() == plain_run()


def test_a_page_can_be_read_without_the_chart() -> None:
    page = plain_run()
    parsed = Parsed(page)
    tags = [tag for tag, _ in parsed.tags]
    assert tags.count("h1") == 1
    assert tags.count("main") == 1
    assert ("html", {"lang": "en"}) in parsed.tags
    charts = [a for t, a in parsed.tags if a.get("class") == "chart"]
    assert len(charts) == 3
    assert all(a["role"] == "img" and re.search("table|list", a["aria-label"])
               for a in charts)  # fmt: skip
    text = " ".join(" ".join(part) for part in parsed.texts.values())
    assert "Table of the timeline" in text
    assert "prefers-color-scheme:dark" in page
    assert "@media print" in page
