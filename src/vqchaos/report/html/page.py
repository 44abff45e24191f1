"""The pages: plain values in, one HTML file out that needs no network and runs only our script."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from vqchaos.report.words import MARKS
from vqchaos.text import clean
from vqchaos.units import format_duration

_LONGEST = 60_000  # characters of one text: a resolved experiment is the longest there is


def run_page(data: Mapping[str, Any]) -> str:
    """The page of a run from ``run_data``; the same data give the same bytes."""
    styles = [_asset("uPlot.min.css"), _asset("report.css")]
    scripts = [_asset("uPlot.iife.min.js"), _asset("chart.js")]
    return _render("run.html.j2", data, styles, scripts)


def set_page(data: Mapping[str, Any]) -> str:
    """The page of a set from ``set_data``. It has no script."""
    return _render("set.html.j2", data, [_asset("report.css")], [])


def tidy(value: Any) -> Any:
    """The same values as JSON can carry and a page should show: no control characters, no number
    that is none, nothing without end."""
    if isinstance(value, str):
        return clean(value, _LONGEST)
    if isinstance(value, Mapping):
        return {tidy(str(key)): tidy(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [tidy(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def policy(styles: list[str], scripts: list[str]) -> str:
    """The Content-Security-Policy: nothing from anywhere, and of script and style only what is
    ours, by its hash. An inline handler has no hash, so none runs."""
    style = " ".join(_hash(text) for text in styles) or "'none'"
    script = " ".join(_hash(text) for text in scripts) or "'none'"
    return (
        f"default-src 'none'; style-src {style}; script-src {script}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _render(name: str, data: Mapping[str, Any], styles: list[str], scripts: list[str]) -> str:
    # Files of our own, the only markup that is not escaped.
    own = {
        "policy": policy(styles, scripts),
        "styles": [Markup(text) for text in styles],  # noqa: S704
        "scripts": [Markup(text) for text in scripts],  # noqa: S704
    }
    return _environment().get_template(name).render({**tidy(data), **own})


@cache
def _environment() -> Environment:
    found = Environment(
        loader=PackageLoader("vqchaos.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    found.filters.update(
        duration=_duration, at=_at, wall=_wall, yaml=_yaml, thousands=lambda n: f"{n:,}",
        stage=lambda text: str(text).replace("_", " "),
    )  # fmt: skip
    found.globals["marks_of"] = MARKS
    return found


@cache
def _asset(name: str) -> str:
    return resources.files("vqchaos.report.html").joinpath("assets", name).read_text("utf-8")


def _duration(seconds: float | None) -> str:
    return "-" if seconds is None else format_duration(seconds)


def _at(seconds: float | None, zero: float | None = None) -> str:
    """Since the fault where there was one, else since the start: ``+18.1 s``."""
    if seconds is None:
        return "-"
    found = seconds - (zero or 0.0)
    return f"{found:+.1f} s" if abs(found) >= 0.05 else "0.0 s"


def _wall(seconds: float | None) -> str:
    """Unix seconds → ``2026-11-25 21:15:59 UTC``."""
    if seconds is None:
        return "-"
    try:
        return datetime.fromtimestamp(float(seconds), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return "-"


def _yaml(value: Any) -> str:
    text: str = yaml.safe_dump(json.loads(json.dumps(value)), sort_keys=False, allow_unicode=True)
    return text
