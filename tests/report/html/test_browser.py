"""The pages in a real browser: hostile text runs nothing, the charts are drawn, nothing is asked
of any network. ``make browser``; needs Chromium (CHROMIUM names another program)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest

from tests.report.html.pages import hostile_run, hostile_set, plain_run

pytestmark = pytest.mark.browser

# Appended to the page: reads what hostile text would have set. Its hash is added to the policy.
PROBE = (
    "const seen=document.createElement('output');seen.id='probe';"
    "seen.textContent='ran='+String(window.ran)+' ready='+document.documentElement.dataset.ready"
    "+' canvases='+document.querySelectorAll('canvas').length"
    "+' wide='+(document.documentElement.scrollWidth>innerWidth)"
    "+' fetched='+performance.getEntriesByType('resource').length;"
    "document.body.append(seen)"
)


def chromium() -> str:
    names = [os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"]
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    assert found, "no Chromium on PATH; install it (apt install chromium) or set CHROMIUM"
    return found


def seen(page: str, folder: Path, *more: str, strict: bool = True) -> str:
    """What the probe found once the page was loaded in a browser of its own profile."""
    if strict:
        from vqchaos.report.html.page import _hash

        page = re.sub(r"script-src ('none')?", f"script-src {_hash(PROBE)} ", page, count=1)
    else:  # the escaping alone has to hold
        page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    path = folder / "page.html"
    path.write_text(page.replace("</body>", f"<script>{PROBE}</script></body>"), encoding="utf-8")
    done = subprocess.run(
        [
            chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=5000",
            "--dump-dom", *more, path.as_uri(),
        ],
        capture_output=True, text=True, timeout=90, check=True,
    )  # fmt: skip
    found = re.search(r'<output id="probe">(.*?)</output>', done.stdout)
    assert found, done.stdout[-2000:] + done.stderr[-2000:]
    return unescape(found[1])


@pytest.mark.parametrize("make", [hostile_run, hostile_set])
@pytest.mark.parametrize("strict", [True, False], ids=["policy", "escaping-alone"])
def test_hostile_text_in_every_field_runs_nothing(
    make: Callable[[], str], strict: bool, tmp_path: Path
) -> None:
    found = seen(make(), tmp_path, strict=strict)
    assert "ran=undefined" in found
    assert "fetched=0" in found


def test_the_policy_stops_what_the_escaping_would_let_through(tmp_path: Path) -> None:
    """So that the test above can fail: markup put in by force runs without the policy only."""
    evil = '<img src="data:," onerror="window.ran=1"><script>window.ran=2</script></main>'
    page = plain_run().replace("</main>", evil)
    assert "ran=undefined" not in seen(page, tmp_path, strict=False)
    assert "ran=undefined" in seen(page, tmp_path)


@pytest.mark.parametrize("size", ["1280,900", "390,844"])
def test_the_charts_are_drawn_and_the_page_is_no_wider_than_its_window(
    size: str, tmp_path: Path
) -> None:
    found = seen(plain_run(), tmp_path, f"--window-size={size}")
    assert "ready=yes" in found
    assert "wide=false" in found
    canvases = re.search(r"canvases=(\d+)", found)
    assert canvases is not None
    assert int(canvases[1]) > 3


def test_a_hostile_page_draws_its_charts_too(tmp_path: Path) -> None:
    assert "ready=yes" in seen(hostile_run(), tmp_path)


@pytest.mark.parametrize("make", [hostile_run, hostile_set])
def test_long_text_makes_no_page_wider_than_its_window(
    make: Callable[[str], str], tmp_path: Path
) -> None:
    assert "wide=false" in seen(make("x" * 500), tmp_path, "--window-size=390,844")
