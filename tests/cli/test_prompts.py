"""`leed prompts`: copy the templates, edit one, check them, run with them; the run keeps what it used."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

import pytest

from leed_agentic.demonstrations.prompts import TEMPLATES, PromptSet
from tests.conftest import JUNCTION


def test_list_and_show_agree_with_the_files(leed):
    rows = {row["name"]: row for row in json.loads(leed("prompts", "list", "--json").out)["templates"]}
    assert set(rows) == set(TEMPLATES)
    assert rows["refine"]["used_by"] == ["fleet", "agent"]
    assert rows["fleet"]["required"] == ["agents"]
    text = leed("prompts", "show", "fleet").out
    assert text == PromptSet.load().texts["fleet"]
    shown = json.loads(leed("prompts", "show", "fleet.md", "--json").out)
    assert shown["text"] == text
    assert shown["sha256"] == rows["fleet"]["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    table = leed("prompts", "list").out
    assert all(name in table for name in TEMPLATES)


@pytest.mark.slow
def test_copy_edit_check_run(leed):
    assert leed("prompts", "copy", "mine").code == 0
    assert "all can be used" in leed("prompts", "check", "mine").out
    own = "Only a route, please.\n"
    Path("mine", "system.md").write_text(own)
    Path("mine", "refine.md").unlink()
    checked = leed("prompts", "check", "mine", "--json")
    assert checked.code == 0
    assert json.loads(checked.out)["problems"] == []
    assert "refine" not in json.loads(checked.out)["templates"]
    assert leed("prompts", "show", "system", "--prompts", "mine").out == own
    words = ("--model", "stand-in", "--agents", "2", "--planning", "agent", "--prompts", "mine", "--out", "run")
    assert leed("demo", "generate", *words).code == 0
    kept = {file.stem: file.read_text() for file in Path("run", "prompts").iterdir()}
    assert set(kept) == {"system", "agent", "refine"}
    assert kept["system"] == own
    hashes = json.loads(Path("run", "demonstrations.json").read_text())["provenance"]["prompts"]
    assert {name: hashlib.sha256(text.encode()).hexdigest() for name, text in kept.items()}.items() <= hashes.items()


@pytest.mark.slow
def test_a_training_run_keeps_its_templates_and_later_ones_too(leed, tmp_path):
    leed("prompts", "copy", "mine")
    words = ("--agents", "2", "--episodes", "2", "--steps", "40", "--planning", "junction", "--model", "stand-in")
    assert leed("train", *words, "-s", "demonstration.prompts=mine", "--out", "run").code == 0
    assert {file.name for file in Path("run", "prompts").iterdir()} == {"junction.md", "junction_examples.md"}
    Path("mine", "junction.md").write_text("Another question? $choices")
    PromptSet.load(Path("mine")).save(Path("run"), "junction")
    texts = {file.read_text() for file in Path("run", "prompts").iterdir()}
    assert len(texts) == 3
    assert "Another question? $choices" in texts


@pytest.mark.slow
@pytest.mark.parametrize("planning", ["fleet", "agent"])
def test_the_short_templates_need_no_folder(leed, planning):
    words = (
        "--model",
        "stand-in",
        "--agents",
        "3",
        "--planning",
        planning,
        "--prompts",
        "short",
        "--out",
        "run",
        "--json",
    )
    summary = json.loads(leed("demo", "generate", *words).out)
    assert summary["validity_final"] == 1.0
    kept = Path("run", "prompts", f"{planning}.md").read_text()
    assert kept == PromptSet.load(Path("short")).texts[planning] != PromptSet.load().texts[planning]
    again = leed("demo", "generate", "--replay", "run/calls.jsonl", "--model", "replay", "--out", "again", "--json")
    assert json.loads(again.out)["replayed_calls"] == summary["calls"]
    assert "3 templates" in leed("prompts", "check", "short").out
    assert leed("prompts", "copy", "mine", "--variant", "short").code == 0
    assert Path("mine", f"{planning}.md").read_text() == kept
    assert "all can be used" in leed("prompts", "check", "mine").out


def test_unknown_templates_are_told_the_packaged_ones(leed):
    result = leed("demo", "generate", "--model", "stand-in", "--prompts", "shrot")
    assert result.code == 2
    assert "default, short" in result.err
    result = leed("prompts", "copy", "mine", "--variant", "shrot")
    assert result.code == 2
    assert "did you mean 'short'?" in result.err


@pytest.mark.slow
def test_templates_that_are_changed_in_vain_are_told(leed):
    assert leed("prompts", "copy", "mine").code == 0
    Path("mine", "fleet.md").write_text("Other words. $agents $links")
    words = ("demo", "generate", "--dry-run", "--prompts", "mine", "--out", "run")
    told = leed(*words, "--replay", JUNCTION).err
    assert "junction planning uses none of your changed templates (fleet)" in " ".join(told.split())
    assert "changed templates" not in leed(*words, "--model", "stand-in", "--planning", "fleet").err
    Path("mine", "junction.md").write_text("Another question? $choices")
    result = leed("demo", "generate", "--prompts", "mine", "--replay", JUNCTION, "--out", "other")
    assert result.code == 2
    assert "prompt templates" in result.err
    Path("mine", "alternatives.md").write_text("Another question? $seconds")
    words = ("demo", "generate", "--prompts", "mine", "--dry-run", "--out", "else")
    told = " ".join(leed(*words).err.split())
    assert "cannot answer for mine, so the stand-in plans: no LLM is called" in told


def test_copy_overwrites_nothing(leed):
    Path("mine").mkdir()
    Path("mine", "fleet.md").write_text("precious")
    result = leed("prompts", "copy", "mine")
    assert result.code == 2
    assert "not empty" in result.err
    assert Path("mine", "fleet.md").read_text() == "precious"
    Path("file").touch()
    assert leed("prompts", "copy", "file/mine").code == 2
    assert leed("prompts", "copy", "/proc/leed").code == 2


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("fleet.md", b"$agents $adjacency $planet", "unknown variable $planet"),
        ("fleet.md", b"$agents", "lacks the variable $adjacency"),
        ("alternatives.md", b"Least?", "lacks the variable $seconds or $hundreds; the model needs the seconds to plan"),
        ("fleat.md", b"x", "did you mean 'fleet.md'?"),
        ("Fleet.MD", b"x", "no template's name"),
        ("fleet.txt", b"$agents $adjacency", "did you mean 'fleet.md'?"),
        ("system.md", b"\x89PNG\r\n\x1a\n\0\0\xff", "as UTF-8 text"),
        ("system.md", b"text \0 more", "holds no text"),
    ],
)
def test_what_check_finds_a_run_refuses(leed, name, content, said):
    Path("mine").mkdir()
    Path("mine", name).write_bytes(content)
    checked = leed("prompts", "check", "mine", "--json")
    assert checked.code == 1
    found = json.loads(checked.out)
    assert not found["ok"]
    assert len(found["problems"]) == 1
    assert said in found["problems"][0]
    run = leed("demo", "generate", "--model", "stand-in", "--prompts", "mine", "--out", "run")
    assert run.code == 2
    assert said in run.err
    assert not Path("run").exists()


def test_links_and_pipes(leed):
    Path("secret").write_text("$choices outside")
    Path("mine").mkdir()
    Path("mine", "junction.md").symlink_to("../secret")
    Path("mine", "system.md").symlink_to("nowhere")
    Path("mine", "refine.md").symlink_to("refine.md")
    os.mkfifo(Path("mine", "agent.md"))
    found = leed("prompts", "check", "mine")
    assert found.code == 1
    assert "junction.md leads out of the prompt folder" in found.out
    assert "agent.md is not a plain file" in found.out
    assert "4 problems" in found.out
    shown = leed("prompts", "show", "junction", "--prompts", "mine")
    assert shown.code == 2
    assert "outside" not in shown.out + shown.err


def test_all_problems_at_once_and_notes_of_ones_own_are_none(leed):
    Path("mine").mkdir()
    Path("mine", "fleet.md").write_text("$planet")
    Path("mine", "notes.txt").write_text("what I tried")
    Path("mine", ".DS_Store").write_bytes(b"\0")
    problems = json.loads(leed("prompts", "check", "mine", "--json").out)["problems"]
    assert len(problems) == 3
    assert all("fleet.md" in problem for problem in problems)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "flete"), "did you mean 'fleet'?"),
        (("show", "../../etc/passwd"), "There is no template"),
        (("check", "nowhere"), "leed prompts copy"),
        (("list", "--prompts", "nowhere"), "leed prompts copy"),
    ],
)
def test_wrong_words(leed, words, said):
    result = leed("prompts", *words)
    assert result.code == 2
    assert said in result.err
    assert len(result.err.strip().splitlines()) == 1


BARE = """Plan one route for each of the $count agents below.

## Graph
Each line is an edge, its length, the junction it ends at, and others.
$adjacency

## Agents
$agents

## Rule
Begin with the start edge. Use no edge twice. End with an edge that ends at the destination junction.

## Answer
Only a JSON object with every agent's number and its list of edge ids, such as {"0": ["edge", "edge"], "1": ["edge"]}.
"""
IMPROVE = ("--model", "stand-in", "--planning", "fleet", "--map", "grid", "--agents", "4", "--jobs", "1")


@pytest.mark.long
def test_a_template_without_the_rule_of_next_edges_is_repaired_and_judged_on_other_scenarios(leed):
    pytest.importorskip("gepa")
    Path("bare").mkdir()
    Path("bare", "fleet.md").write_text(BARE)
    words = ("prompts", "improve", "bare", *IMPROVE, "--train", "3", "--held-out", "8", "--budget", "12", "--json")
    first = leed(*words, "-s", "model.stand_in_error_rate=0")
    assert first.code == 0, first.err
    told = json.loads(first.out)
    assert (told["before"] < 0.8, told["after"] > 0.9, told["used"] <= 12) == (True, True, True)
    assert "improved/templates is better than bare" in told["held_out"][0]
    assert "Every next edge must be one of" in Path("improved/templates/fleet.md").read_text()
    assert Path("bare/fleet.md").read_text() == BARE
    record = json.loads(Path("improved/record.json").read_text())
    assert [Path("improved/tries", f"{one['try']:03d}", "fleet.md").is_file() for one in record["tries"]] == [
        True for _ in range(told["tries"])
    ]
    training, judged = set(record["training"]["seeds"]), json.loads(Path("improved/held_out/manifest.json").read_text())
    assert training.isdisjoint(judged["seeds"])
    # What is recorded is not asked again.
    made = {file: file.stat().st_mtime_ns for file in Path("improved").glob("trials/*/calls.jsonl")}
    again = leed(*words, "-s", "model.stand_in_error_rate=0")
    assert json.loads(again.out)["held_out"] == told["held_out"]
    assert {file: file.stat().st_mtime_ns for file in Path("improved").glob("trials/*/calls.jsonl")} == made


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--budget", "12"), "--budget 12 is below one round of 13 (6 scenarios before, a rewriting, as many after)"),
        (("--template", "flet"), "There is no template 'flet' to improve"),
        (("--held-out", "1"), "--held-out must be 2 or more, not 1"),
        (("--jobs", "0"), "--jobs must be 1 or more, not 0"),
        (("--train", "0"), "--train must be 1 or more, not 0"),
    ],
)
def test_improve_says_what_is_wrong_before_anything_is_made(leed, words, said):
    pytest.importorskip("gepa")
    found = leed("prompts", "improve", "default", *IMPROVE, *words)
    assert (found.code, said in found.err) == (2, True), found.err
    assert not Path("improved").exists()


def test_improve_without_gepa_names_the_extra(leed, monkeypatch):
    monkeypatch.setitem(sys.modules, "gepa", None)
    found = leed("prompts", "improve", "default", *IMPROVE)
    assert (found.code, 'pip install "leed-agentic[improve]"' in found.err) == (2, True)
