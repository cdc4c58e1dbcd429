"""Reports in a real browser: nothing complains, everything works by keyboard and mouse, nothing from a run is code."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from leed_agentic.report.live import LivePage

pytestmark = pytest.mark.slow
EVIL = "<img src=x onerror=\"window.hacked='yes'\"><script>window.hacked='yes'</script></script><b>bold</b>"


def violations(page, where: str = "body", only: list[str] | None = None) -> list[str]:
    """What axe finds serious or critical in a part of the page, by all its rules or some."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, where, {"runOnly": only} if only else None).response["violations"]
    return [
        f"{v['id']}: {[node['target'] for node in v['nodes'][:3]]}"
        for v in found
        if v["impact"] in ("serious", "critical")
    ]


def clock(page) -> int:
    return int(page.locator("#clock").text_content().split()[0])


def test_a_planned_run_by_keyboard_and_mouse(leed, planned, browse):
    leed("report", planned)
    page = browse(planned / "report.html")
    page.get_by_label("Plans, round by round").check()
    slider, label = page.locator("#round"), page.locator("#round-label")
    slider.focus()
    page.keyboard.press("End")
    assert label.text_content() == "Round 5 (6 of 6)"
    page.keyboard.press("ArrowLeft")
    assert label.text_content() == "Round 4 (5 of 6)"
    slider.click(position={"x": 3, "y": 8})
    assert label.text_content() == "Round 0 (1 of 6)"

    page.get_by_label("Driven routes").check()
    assert page.locator("g.vehicle").count() == 10
    page.locator("#play").focus()
    page.keyboard.press("Space")
    page.locator("#clock", has_text=re.compile(r"^([6-9]|\d\d+) s$")).wait_for()
    page.locator("#play").click()
    assert page.locator("#play").text_content() == "Play"
    stopped = clock(page)
    page.locator("#time").focus()
    page.keyboard.press("ArrowRight")
    assert clock(page) == stopped + 1
    page.keyboard.press("End")
    assert page.locator("g.vehicle.done").count() >= 1
    page.locator("#speed").select_option("60")
    page.locator("#traffic").select_option("seconds")
    assert page.locator("g.traffic path").count() > 20

    page.locator("#streets").focus()
    page.keyboard.press("ArrowRight")
    assert " m · " in page.locator("#street-name").text_content()
    page.keyboard.press("+")
    assert page.locator("#streets.zoomed").count() == 1
    page.locator("#zoom-all").click()
    page.locator("#no-agents").click()
    assert page.locator("g.vehicle").count() == 0

    call = page.locator("details.call").first
    page.locator("details.group").first.locator("summary").first.click()
    call.locator("summary").first.click()
    assert "Which is the smallest number?" in call.inner_text()


def test_all_vehicles_by_their_speed(leed, planned, browse):
    leed("export", planned, "--to", "positions")
    summary = json.loads((planned / "summary.json").read_text())
    traffic = {"kept": "round 1", "fleet_time": 90.0, "baselines": {"shortest": 100.0, "rerouted": 95.0}}
    (planned / "summary.json").write_text(json.dumps({**summary, "traffic": traffic}))
    leed("report", planned)
    page = browse(planned / "report.html")
    assert page.locator("#cars").is_visible()
    page.locator("#time").focus()
    page.keyboard.press("PageUp")
    empty = "Object.assign(document.createElement('canvas'), { width: cars.width, height: cars.height }).toDataURL()"
    assert page.evaluate(f"cars.toDataURL() !== {empty}")
    assert "drive" in page.locator("#time").get_attribute("aria-valuetext")
    assert page.locator("table.gains tbody tr").count() == 3
    assert violations(page) == []
    page.get_by_label("Plans, round by round").check()
    assert not page.locator("#cars").is_visible()


@pytest.mark.long
def test_500_episodes_of_ten_agents(leed, planned, trained, browse):
    rows = list(csv.DictReader((trained / "metrics.csv").open()))
    columns = [*rows[0], *(f"{stem}_{k}" for stem in ("reward", "alpha") for k in range(2, 10))]
    with (trained / "metrics.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        for k in range(500):
            row = dict(rows[k % len(rows)], episode=str(k))
            writer.writerow(row | {c: f"{(k * 7919) % 104729 / 1000}" for c in columns if c not in row})
    leed("evaluate", trained, "--episodes", "1")
    told = json.loads(leed("report", trained, "--json").out)
    assert told["bytes"] < 8_000_000
    page = browse(trained / "report.html", width=390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    reward = page.locator('[data-chart="reward"]')
    reward.scroll_into_view_if_needed()
    reward.locator(".plot[data-drawn] svg").first.wait_for()
    assert reward.locator(".scatterlayer .trace").count() == 2
    page.get_by_label("Each agent").check()
    assert reward.locator(".scatterlayer .trace").count() == 12
    page.get_by_label("Agents' last drive").check()
    assert page.locator("g.vehicle").count() == 2
    page.locator('[data-chart="evaluation_reward"]').scroll_into_view_if_needed()
    page.locator('[data-chart="evaluation_reward"] .plot[data-drawn] svg').first.wait_for()


def test_text_from_a_run_is_never_code(leed, planned, browse):
    calls = [json.loads(line) for line in (planned / "calls.jsonl").read_text().splitlines()]
    calls[1]["messages"][-1]["content"] = calls[1]["reply"] = calls[1]["purpose"] = EVIL
    (planned / "calls.jsonl").write_text("".join(json.dumps(call) + "\n" for call in calls))
    made = json.loads((planned / "demonstrations.json").read_text())
    finding = {"agent": 3, "kind": "unknown_edge", "message": f"no edge {EVIL}", "edge": EVIL, "position": 2}
    made["rounds"][0]["findings"] = [finding]
    made["rounds"][0]["routes"]["3"][2] = EVIL
    made["provenance"]["versions"][EVIL] = EVIL
    (planned / "demonstrations.json").write_text(json.dumps(made))
    summary = json.loads((planned / "summary.json").read_text())
    (planned / "summary.json").write_text(json.dumps(summary | {"model": EVIL, "map": EVIL}))
    escaped = EVIL.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    net = planned / "map.net.xml"
    net.write_text(re.sub(r'<edge id="([^":]+)"', rf'<edge id="\1" name="{escaped}"', net.read_text()))
    leed("report", planned)

    page = browse(planned / "report.html")
    page.get_by_label("Plans, round by round").check()
    page.locator("#streets").focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator("#street-name").text_content().startswith(EVIL)
    assert EVIL in page.locator("#findings").text_content()
    page.locator(".fault").first.focus()
    assert EVIL in page.locator("#street-name").text_content()
    page.locator("details.group summary").first.click()
    page.locator("details.call summary").first.click()
    assert page.locator("details.call").first.locator("pre").last.text_content() == EVIL
    assert EVIL in page.locator("#agent-table").text_content()
    assert page.locator("h1").text_content().endswith(EVIL)
    assert page.locator("main b:text('bold'), main img").count() == 0
    assert page.evaluate("window.hacked") is None


@pytest.mark.long
@pytest.mark.parametrize(
    ("scheme", "rules", "width"), [("light", None, 1280), ("light", None, 390), ("dark", ["color-contrast"], 1280)]
)
def test_axe_finds_nothing_serious(leed, planned, trained, experiment, browse, scheme, rules, width):
    made = json.loads((planned / "demonstrations.json").read_text())
    made["rounds"][0]["findings"] = [{"agent": 3, "kind": "loop", "message": "round and round", "position": 2}]
    (planned / "demonstrations.json").write_text(json.dumps(made))
    calls = (planned / "calls.jsonl").read_text().splitlines(keepends=True)
    (planned / "calls.jsonl").write_text("".join(calls[:6]))
    leed("evaluate", trained, "--episodes", "1")
    (trained / "summary.json").unlink()
    for folder in (planned, trained, experiment):
        leed("report", folder)
        page = browse(folder / "report.html", width, scheme)
        # Nothing is cut, and nothing has to be pushed sideways.
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
        assert violations(page, only=rules) == []
        for mode in page.locator("#modes label:visible input").all():
            mode.check()
            assert violations(page, "#map", rules) == []


def test_the_live_page_follows(trained, braunschweig, browse):
    served = LivePage(trained, braunschweig)
    try:
        page = browse(served.address)
        page.locator("#live-state", has_text="6 episodes so far.").wait_for()
        metrics = trained / "metrics.csv"
        lines = metrics.read_text().splitlines(keepends=True)
        metrics.write_text("".join(lines) + lines[-1] * 300)
        page.locator("#live-state", has_text="306 of 6 episodes so far.").wait_for()
        assert page.locator('[data-tile="episodes"]').text_content() == "306 of 6"
    finally:
        served.close()


@pytest.mark.long
def test_pages_are_there_for_every_folder(leed, experiment, browse):
    leed("report", experiment)
    page = browse(Path(experiment) / "report.html")
    assert page.locator("nav a").all_text_contents() == ["Figures", "Tables", "Pictures", "Manifest"]
    page.locator(".plot[data-drawn] svg").first.wait_for()
