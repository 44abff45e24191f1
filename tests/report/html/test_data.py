"""What the pages say, before it is HTML."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from tests.histories import World, experiment, killed
from tests.report.html.pages import CHECKS, world
from vqchaos.history.events import Request, Residue
from vqchaos.judge import judge, judge_set
from vqchaos.report.files import PAGE, page, write_run
from vqchaos.report.html import Material, run_data, run_page, set_data
from vqchaos.report.html.data import findings, sentence, tiles
from vqchaos.report.html.logs import LogLine, excerpt, near
from vqchaos.report.html.series import COARSE, DOTS, FINE, dots, edges, series
from vqchaos.view import Group, RunView


def data(made: World, **changes: object) -> dict[str, object]:
    events, exp = made.build(), experiment(checks=changes.pop("checks", CHECKS))
    return run_data(judge(events, exp).as_dict(), RunView(events, exp), Material())


def test_the_verdict_in_a_sentence() -> None:
    found = judge(killed().build(), experiment(checks=CHECKS)).as_dict()
    assert sentence(found).startswith("Recovered 18.1s after the last injection")
    assert sentence({**found, "valid": False}) == "This run is void: it shows nothing."


def test_the_numbers_that_matter() -> None:
    made = killed().fail(12.2, 13.2, "hung").fail(13.2, 14.2, "corrupted")
    found = {t["name"]: t for t in tiles(judge(made.build(), experiment()).as_dict())}
    assert found["Recovery time"]["value"] == "18.1s"
    assert (found["Hung"]["value"], found["Hung"]["tone"]) == ("8", "bad")
    assert found["Corrupted"]["value"] == "8"
    quiet = {t["name"]: t for t in tiles(judge(World().inject().build(), experiment()).as_dict())}
    assert quiet["Recovery time"]["value"] == "no impact"
    assert quiet["Failed requests"]["value"] == "0"
    assert not any(t["tone"] for t in quiet.values())


def test_a_run_that_did_not_recover_says_so() -> None:
    found = tiles(judge(World().inject().down(12.1, 99).build(), experiment()).as_dict())
    assert found[0]["value"] == "> 33s"
    assert "not recovered" in found[0]["note"]


def test_every_request_is_in_the_chart_and_in_its_table() -> None:
    made = world()
    chart = run_data(
        judge(made.build(), experiment()).as_dict(), RunView(made.build(), experiment()), Material()
    )["chart"]
    clients = [r for r in made.build() if isinstance(r, Request) and r.workload == "clients"]
    assert sum(o["total"] for o in chart["outcomes"]) == len(clients)
    assert sum(sum(row["counts"]) for row in chart["table"]["rows"]) == len(clients)


def test_lanes_marks_and_moments_tell_what_happened() -> None:
    found = run_data(
        judge(world().build(), experiment()).as_dict(),
        RunView(world().build(), experiment()),
        Material(),
    )
    lanes = {lane["name"]: lane["spans"] for lane in found["chart"]["lanes"]}
    assert [s[3] for s in lanes["phase"]][:3] == ["warmup", "baseline", "fault"]
    assert {"health lied", "outage", "server", "→ server-1"} <= lanes.keys()
    assert any(s[3] == "stopped" for s in lanes["server"])
    assert found["marks"][0] == {"n": 1, "at": 12.0, "name": "injected", "source": "vqchaos"}
    texts = [m["text"] for m in found["moments"]]
    assert "engine exited, pid 101, signal 9" in texts
    assert "health: 200 → refused" in texts
    assert "person: somebody said so" in texts


def test_lies_of_health_are_told_where_no_check_is_about_them() -> None:
    made = killed().health(12.1, 22.0, 200)
    events, bare = made.build(), experiment()
    told = [f["text"] for f in findings(judge(events, bare).as_dict(), RunView(events, bare))]
    assert any(text.startswith("health lied for 9.") for text in told)
    exp = experiment(checks=CHECKS)
    told = [f["text"] for f in findings(judge(events, exp).as_dict(), RunView(events, exp))]
    assert not any(text.startswith("health lied for") for text in told)


def test_residue_is_a_line_for_each_kind() -> None:
    items = [{"kind": "socket", "name": f"/tmp/s{n}", "detail": ""} for n in range(5)]
    items.append({"kind": "shared_memory", "name": "/dev/shm/x", "detail": "4 MiB"})
    events, exp = killed().add(Residue(t=46, items=items)).build(), experiment(checks=CHECKS)
    found = findings(judge(events, exp).as_dict(), RunView(events, exp))
    assert [f["text"] for f in found if f["kind"] == "residue"] == [
        "5 socket: /tmp/s0; /tmp/s1; /tmp/s2; and 2 more",
        "1 shared memory: /dev/shm/x 4 MiB",
    ]


# ---------------------------------------------------------------- intervals


@pytest.mark.parametrize("until", [0.5, 45.0, 3600.0, 86_400.0])
@pytest.mark.parametrize("rate", [0.0, 4.0, 50.0])
@pytest.mark.parametrize("focus", [None, (0.0, 0.4), (20.0, 44.0), (1000.0, 1090.0)])
def test_intervals_cover_the_run_and_stay_few(
    until: float, rate: float, focus: tuple[float, float] | None
) -> None:
    found = edges(until, rate, focus)
    assert found[0] == 0.0
    assert found[-1] >= until
    assert all(b > a for a, b in pairwise(found))
    assert len(found) <= 2 * (COARSE + FINE)


def test_around_the_fault_the_intervals_are_finer() -> None:
    found = edges(3600.0, 50.0, (1000.0, 1090.0))
    near_it = [b - a for a, b in pairwise(found) if 1000 <= a < 1090]
    far = [b - a for a, b in pairwise(found) if a > 2000]
    assert max(near_it) <= 0.5 < min(far)


def test_requests_of_no_interval_are_in_the_nearest() -> None:
    late = [World().request(99.0)]
    assert series(Group.of(late), [0.0, 1.0, 2.0])["outcomes"][0]["rate"] == [0.0, 1.0]


def test_of_many_dots_every_nth_is_kept() -> None:
    found = dots(Group.of(World().request(n / 50) for n in range(10_000)))
    assert found["every"] == 4
    assert len(found["x"]) <= DOTS


# ---------------------------------------------------------------- logs


def test_only_the_telling_lines_around_the_fault_are_shown() -> None:
    lines = [
        "no time at all: error\n",
        "2026-11-18T11:06:51.5Z error before\n",
        '2026-11-18T11:06:52.0Z INFO "GET /health HTTP/1.1" 200 OK\n',
        "2026-11-18T11:06:52.250000000Z EngineDeadError: it died\n",
        "  Traceback of the line before\n",
        "2026-11-18T12:06:53.0+01:00 killed\n",
        "2026-99-99T00:00:00Z error\n",
        "2026-11-18T11:59:00Z error long after\n",
    ]
    wall = 1_795_000_000.0
    found = near(lines, "server", wall, 11.8, 20.0)
    assert [line.text for line in found] == [
        "EngineDeadError: it died", "Traceback of the line before", "killed",
    ]  # fmt: skip
    assert found[0].at == pytest.approx(12.25)


def test_of_too_many_lines_the_nearest_after_the_fault_are_kept() -> None:
    lines = [LogLine(float(n), "s", "x") for n in range(300)]
    rows, left = excerpt(lines, 100.0)
    assert [rows[0]["at"], rows[-1]["at"]] == [100.0, 179.0]
    assert left == 220


# ---------------------------------------------------------------- files


def test_an_hour_at_fifty_requests_a_second_is_below_a_megabyte(tmp_path: Path) -> None:
    """The figures of 180,000 requests are gathered, so that the page does not grow with them."""
    made = World(
        warmup=(0.0, 10.0), baseline=(10.0, 600.0), fault_phase=(600.0, 700.0),
        recovery=(700.0, 3500.0), settle=(3500.0, 3600.0), rate=50.0, tokens=1,
        health_every=1.0, pilot_every=2.0,
    )  # fmt: skip
    made.inject(600.0).down(600.1, 660.0).restart(600.2, 640.0)
    events, exp = made.build(), experiment(checks=CHECKS)
    run = RunView(events, exp)
    assert len(run.select()) == 180_000
    assert len(page(tmp_path, judge(events, exp).as_dict(), run)) < 400_000


def test_a_page_that_cannot_be_made_costs_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> str:
        raise RuntimeError("a bug")

    events, exp = killed().build(), experiment()
    monkeypatch.setattr("vqchaos.report.files.page", broken)
    write_run(tmp_path, judge(events, exp).as_dict(), RunView(events, exp))
    assert (tmp_path / "verdict.json").is_file()
    assert (tmp_path / "junit.xml").is_file()
    assert not (tmp_path / PAGE).exists()
    assert "a bug" in (tmp_path / "logs" / "report.txt").read_text()


@pytest.mark.parametrize("made", [World(), World().inject(), World(recovery=None, settle=None)])
def test_a_run_that_lacks_this_or_that_has_a_page(made: World, tmp_path: Path) -> None:
    assert run_page(data(made)).startswith("<!doctype html>")
    assert run_page(data(made, checks=[]))


def test_a_run_in_which_nothing_happened_has_a_page() -> None:
    events = World().build()[:1]
    exp = experiment()
    verdict = judge(events, exp).as_dict()
    assert verdict["strip"] == {}
    assert run_page(run_data(verdict, RunView(events, exp), Material()))


# ---------------------------------------------------------------- sets


def test_a_set_of_repeats_has_its_spread_and_no_card() -> None:
    one = judge(killed().build(), experiment(checks=CHECKS)).as_dict()
    cut = judge(World().inject().down(12.1, 99).build(), experiment()).as_dict()
    runs = [("a", one), ("b", one), ("c", cut)]
    found = set_data(judge_set(runs), [v for _, v in runs])
    (spread,) = found["spreads"]
    assert [d["cut"] for d in spread["dots"]] == [False, False, True]
    assert spread["median_text"] == "18.1s"
    assert found["card"]["rows"] == []
    assert found["runs"][0]["strip"]["ok"]
    assert found["runs"][0]["strip"]["bad"]


def test_the_card_of_a_suite_shows_the_worst_of_each_field() -> None:
    good = judge(killed().build(), experiment(checks=[CHECKS[3]])).as_dict()
    bad = judge(killed().build(), experiment(name="other", checks=CHECKS)).as_dict()
    runs = [("a", good), ("b", bad)]
    card = set_data(judge_set(runs), [v for _, v in runs])["card"]
    assert card["properties"] == ["available", "correct", "truthful", "recovers", "clean"]
    (row,) = card["rows"]
    assert row["family"] == "processes"
    assert [c["verdict"] for c in row["cells"]] == ["", "", "unknown", "fail", "pass"]
    assert row["cells"][4]["text"] == "2"
    bad["exit_code"] = 4
    again = set_data(judge_set(runs), [v for _, v in runs])["card"]["rows"][0]
    assert again["cells"][4]["verdict"] == "fail"


def test_a_verdict_of_an_older_vqchaos_has_no_strip() -> None:
    old = judge(killed().build(), experiment()).as_dict()
    del old["strip"]
    assert set_data(judge_set([("a", old)]), [old])["runs"][0]["strip"] is None
