"""`leed report` on whole, killed, damaged, older and foreign folders."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest


def data_of(file: Path) -> dict:
    """What the page's scripts draw."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', file.read_text(), re.DOTALL)
    assert found
    return json.loads(found[1])


@pytest.mark.slow
def test_a_planned_run(leed, planned):
    result = leed("report", planned, "--json")
    told = json.loads(result.out)
    assert result.code == 0
    assert told["kind"] == "demonstrations"
    assert told["lacks"] == []
    assert told["bytes"] < 8_000_000
    data = data_of(planned / "report.html")
    streets = data["streets"]
    assert [plan["label"] for plan in streets["plans"]] == [f"Round {k}" for k in range(6)]
    assert len(streets["map"]["edges"]) == 153
    assert len(streets["drives"][0]["legs"]) == 10
    made = json.loads((planned / "demonstrations.json").read_text())
    leg = streets["drives"][0]["legs"]["3"]
    assert [streets["map"]["edges"][k][0] for k in streets["routes"][leg["route"]]] == made["routes"]["3"]
    page = (planned / "report.html").read_text()
    assert "OpenStreetMap contributors" in page
    assert "Which is the smallest number?" in page
    assert "none: every reply was replayed" in page


@pytest.mark.slow
def test_a_trained_run(leed, trained):
    assert leed("evaluate", trained, "--episodes", "2").code == 0
    result = leed("report", trained, "--out", "elsewhere/run.html", "--json")
    assert json.loads(result.out)["report"] == "elsewhere/run.html"
    data = data_of(Path("elsewhere/run.html"))
    charts = {chart["key"]: chart for chart in data["charts"]}
    assert {"reward", "arrival", "alpha", "dtw", "policy_loss", "value_loss"} <= set(charts)
    assert len(charts["reward"]["lines"][0]["y"]) == 6
    assert [line["name"] for line in charts["alpha"]["agents"]] == ["agent 0", "agent 1"]
    page = Path("elsewhere/run.html").read_text()
    assert all(f'<th scope="col">{head}</th>' in page for head in ("insertion", "lost", "unfinished", "km"))
    drivers = [bar["name"] for bar in data["evaluation"][0]["bars"]]
    assert {"random", "shortest path"} <= set(drivers)
    assert any(name.startswith("plan") for name in drivers)
    assert {drive["name"] for drive in data["streets"]["drives"]} == {"Demonstrations", "Agents"}
    assert set(data["streets"]["comparison"]) == {"0", "1"}


@pytest.mark.slow
def test_the_command_in_the_manifest_makes_the_same_settings(leed, trained):
    leed("report", trained)
    page = (trained / "report.html").read_text()
    assert "leed train -s scenario.agents=2 -s environment.max_steps=40 -s model.name=stand-in" in page


@pytest.mark.slow
def test_demonstrations_that_no_model_planned(leed):
    assert (
        leed("train", "--agents", "2", "--episodes", "2", "--steps", "20", "--source", "logit", "--out", "run").code
        == 0
    )
    assert leed("report", "run").code == 0
    plans = data_of(Path("run/report.html"))["streets"]["plans"]
    assert plans[0]["label"] == "From episode 0 on"
    assert set(plans[0]["routes"]) == {"0", "1"}


@pytest.mark.pictures
@pytest.mark.long
def test_pictures_of_every_plot(leed, trained):
    leed("evaluate", trained, "--episodes", "1")
    evaluation = (trained / "evaluation.json").read_text()
    (trained / "evaluation.json").write_text(evaluation.replace('"random"', '"$\\\\frac$"'))
    told = json.loads(leed("report", trained, "--pictures", "--json").out)
    names = {Path(file).name for file in told["pictures"]}
    keys = [chart["key"] for chart in data_of(trained / "report.html")["charts"]]
    for key in (*keys, "map", "evaluation"):
        assert {f"{key}.png", f"{key}.pdf"} <= names
    for file in map(Path, told["pictures"]):
        assert file.read_bytes().startswith(b"\x89PNG" if file.suffix == ".png" else b"%PDF")


@pytest.mark.slow
@pytest.mark.parametrize("missing", ["summary.json", "demonstrations.json", "trajectories.json", "calls.jsonl"])
def test_whatever_is_missing_the_rest_is_reported(leed, planned, missing):
    (planned / missing).unlink()
    assert leed("report", planned).code == 0
    assert "Manifest" in (planned / "report.html").read_text()


def test_a_run_killed_in_the_middle(leed, trained):
    for name in ("summary.json", "trajectories.json", "triggers.csv"):
        (trained / name).unlink()
    metrics = trained / "metrics.csv"
    metrics.write_text(metrics.read_text()[:-40])
    with (trained / "calls.jsonl").open("a") as calls:
        calls.write('{"key": "half')
    (trained / ".partial-0-experts.json").write_text("{")
    told = json.loads(leed("report", trained, "--json").out)
    lacks = " ".join(told["lacks"])
    for word in ("summary.json is missing", "calls.jsonl", ".partial-0-experts.json", "leed evaluate"):
        assert word in lacks
    assert len(data_of(trained / "report.html")["charts"][0]["lines"][0]["y"]) == 5


@pytest.mark.long
@pytest.mark.parametrize("content", [b"", b"[]", b"\xff{"])
@pytest.mark.parametrize(
    "name", ["demonstrations.json", "settings.json", "summary.json", "calls.jsonl", "trajectories.json", "map.net.xml"]
)
def test_no_damaged_file_stops_a_report(leed, planned, name, content):
    (planned / name).write_bytes(content)
    result = leed("report", planned)
    assert (result.code, (planned / "report.html").is_file()) == (0, True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "edit", [{"routes": 3}, {"validity": "high"}, {"findings": [1]}, {"reward_mean": float("nan")}]
)
def test_an_edited_round_stops_no_report(leed, planned, edit):
    made = json.loads((planned / "demonstrations.json").read_text())
    made["rounds"][1] |= edit
    (planned / "demonstrations.json").write_text(json.dumps(made))
    told = json.loads(leed("report", planned, "--json").out)
    assert any("demonstrations.json is left out" in note for note in told["lacks"]) == ("reward_mean" not in edit)


def test_a_map_that_is_not_here(leed, trained):
    run = json.loads((trained / "run.json").read_text())
    run["settings"]["map"]["name"] = "nowhere"
    (trained / "run.json").write_text(json.dumps(run))
    result = leed("report", trained)
    assert result.code == 0
    assert "The map cannot be drawn: " in result.out
    assert data_of(trained / "report.html")["streets"] is None


def test_no_run_at_all(leed):
    Path("empty").mkdir()
    result = leed("report", "empty")
    assert result.code == 2
    assert "empty is not a run" in result.err
    assert leed("report", "missing").code == 2


@pytest.mark.slow
def test_a_file_that_cannot_be_written(leed, planned):
    Path("file").write_text("")
    result = leed("report", planned, "--out", "file/report.html")
    assert result.code == 3
    assert "Cannot write file/report.html" in result.err


def test_show_names_the_report_for_a_training_run(leed, trained):
    result = leed("demo", "show", trained)
    assert result.code == 2
    assert f"leed report {trained}" in result.err


def test_an_experiment(leed, experiment):
    told = json.loads(leed("report", experiment, "--json").out)
    assert told["kind"] == "collection"
    page = (experiment / "report.html").read_text()
    for word in ("Does it help?", "<td>berlin</td>", "leed experiment run demo", "scores.csv", "Picture other.png"):
        assert word in page
    assert "Picture figure.png" not in page
    charts = {chart["key"]: chart for chart in data_of(experiment / "report.html")["charts"]}
    assert charts["reward_mean_berlin"]["lines"][0]["low"] == [1, 2]
    assert charts["arrival_rate_berlin"]["lines"][0]["y"] == [0.5, None]
    assert charts["figure_0"]["lines"][0]["x"] == [5, 10]


def test_markdown_of_a_table_is_never_html(leed, experiment):
    (experiment / "table.md").write_text(
        "<script>bad()</script>\n\n| a |\n|---|\n| <img src=x onerror=bad()> [x](https://e.example) ![y](z.png) |\n"
    )
    leed("report", experiment)
    page = (experiment / "report.html").read_text()
    assert "<script>bad" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;bad()" in page
    assert 'href="https://e.example' not in page


def test_the_result_comes_first_and_files_are_inside_the_page(leed, planned):
    assert leed("report", planned).code == 0
    page = (planned / "report.html").read_text()
    assert page.index("10 of 10 vehicles have a route that can be driven, and 10 arrive.") < page.index('id="map"')
    saved = data_of(planned / "report.html")["downloads"]
    assert set(saved) == {"vehicles.csv", "routes.geojson", "routes.rou.xml"}
    vehicles = saved["vehicles.csv"].splitlines()
    assert len(vehicles) == 11
    features = json.loads(saved["routes.geojson"])["features"]
    assert len(features) == 10
    longitude, latitude = features[0]["geometry"]["coordinates"][0]
    assert (round(longitude, 1), round(latitude, 1)) == (10.5, 52.3)
    assert "<vehicle" in saved["routes.rou.xml"]


def traffic(**changes) -> dict:
    baselines = {"shortest": 200.0, "lights": 160.0, "rerouted": 240.0}
    return {"kept": "round 2", "fleet_time": 120.0, "baselines": baselines, "noise_seeds": 0, **changes}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {},
            "As planned, the 10 vehicles take 2.0 min on average, one drive: 0.7 min (25%) less than with shortest",
        ),
        ({"noise_seeds": 3}, "2.0 min on average, mean of 3 drives with driver noise: 0.7 min (25%) less"),
        (
            {"kept": "lights", "fleet_time": 160.0},
            "No plan was better than shortest paths that know the lights, which the 10 vehicles keep: 2.7 min on "
            "average, one drive, 0.7 min (20%) less than with shortest paths.",
        ),
        ({"fleet_time": None}, "Driven together they take"),
        ({"baselines": {"shortest": "fast"}}, "Driven together they take"),
    ],
)
def test_what_a_fleet_gains_in_traffic_comes_first(leed, planned, changes, said):
    summary = json.loads((planned / "summary.json").read_text())
    (planned / "summary.json").write_text(json.dumps({**summary, "traffic": traffic(**changes)}))
    assert leed("report", planned).code == 0
    page = html.unescape((planned / "report.html").read_text())
    assert page.index(said) < page.index('id="map"')
    assert ('class="gains"' in page) == (said[:6] != "Driven")


@pytest.mark.slow
def test_vehicles_are_where_sumo_had_them_once_that_is_exported(leed, planned):
    assert leed("export", planned, "--to", "positions").code == 0
    assert leed("report", planned).code == 0
    streets = data_of(planned / "report.html")["streets"]
    found, legs = streets["positions"], streets["drives"][0]["legs"]
    assert set(found["agents"]) == set(legs)
    for agent, track in found["agents"].items():
        last = found["begin"] + found["period"] * (track[0] + len(track) // 2 - 1)
        assert abs(last - legs[agent]["times"][-1]) <= 2.0
    (planned / "positions.json").write_text("{}")
    told = json.loads(leed("report", planned, "--json").out)
    assert any("positions.json is left out" in note for note in told["lacks"])


@pytest.mark.slow
def test_a_comparison_begins_with_its_verdict_and_leads_to_every_trial(leed):
    words = ("--model", "stand-in", "--planning", "fleet,junction", "--agents", "2", "--trials", "2", "--jobs", "1")
    assert leed("demo", "compare", *words, "--rounds", "0", "--out", "both").code == 0
    assert leed("report", "both", "--out", "elsewhere/both.html").code == 0
    page = Path("elsewhere/both.html").read_text()
    assert page.index('class="verdicts"') < page.index('id="tables"')
    pages = re.findall(r'href="(\.\./both/trials/[^"]+/report\.html)"', page)
    assert len(set(pages)) == 4
    trial = (Path("elsewhere") / pages[0]).read_text()
    assert 'id="conversation"' in trial
    assert 'id="map"' in trial
    # A table from elsewhere names no folder outside.
    table = Path("both/trials.csv")
    table.write_text(
        re.sub(r",[^,\n]+$", ",../../x", table.read_text(), flags=re.MULTILINE).replace("../../x", "folder", 1)
    )
    assert leed("report", "both").code == 0
    assert "report.html" not in re.sub(r"<pre.*?</pre>", "", Path("both/report.html").read_text(), flags=re.DOTALL)


EVEN = [5.0, 5.5, 5.2, 5.1, 4.9, 5.0, 5.3]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ours", "said"),
    [
        ([9.0, 8.0, 9.5, 8.5, 9.2, 9.1, 8.8], "are better than shortest path, the best of the others, by 3.7 ["),
        ([1.5, 1.8, 1.2, 1.1, 1.9, 1.4, 1.6], "are worse than shortest path, the best of the others, by 3.6 ["),
        (
            [5.5, 5.0, 5.2, 5.2, 4.9, 5.1, 5.2],
            "Not decided between the trained agents, leed (sampled) and shortest path",
        ),
        ([5.0], "one episode does not say how sure that is"),
    ],
)
def test_who_won_is_told_of_a_training_run(leed, trained, ours, said):
    drivers = [
        {"driver": "leed (sampled)", "rewards": ours, "arrival_rate": 1.0, "fleet": {"mean": 90.0}},
        {"driver": "random", "rewards": [1.0, 2.0, 1.0, 2.0, 1.0, 1.5, 1.2]},
        {"driver": "shortest path", "rewards": EVEN, "arrival_rate": 0.5, "fleet": {"mean": 120.0}},
    ]
    (trained / "evaluation.json").write_text(json.dumps({"drivers": drivers}))
    assert leed("report", trained).code == 0
    page = (trained / "report.html").read_text()
    assert page.index(said) < page.index(
        "Of their vehicles 100% arrive, of shortest path 50%; they take 1.5 min on average"
    )


@pytest.mark.slow
def test_a_pdf_needs_a_browser(leed, planned, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    result = leed("report", planned, "--pdf")
    assert result.code == 3
    assert "--pdf needs Chromium" in result.err
    program = tmp_path / "chromium"
    program.write_text(
        '#!/bin/sh\nfor word in "$@"; do case "$word" in --print-to-pdf=*) echo pdf > "${word#*=}";; esac; done\n'
    )
    program.chmod(0o755)
    assert leed("report", planned, "--pdf").code == 0
    assert (planned / "report.pdf").read_text() == "pdf\n"
    program.write_text("#!/bin/sh\nexit 1\n")
    assert leed("report", planned, "--pdf").code == 3
