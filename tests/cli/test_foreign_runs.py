"""Files and folders of others: they run no code, get no key, lead nowhere else, and are refused in one sentence."""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leed_agentic.errors import UsageError
from leed_agentic.report.live import LivePage
from leed_agentic.runs.lock import alone
from leed_agentic.settings import load_settings
from leed_agentic.traffic.demand import scenario_for
from leed_agentic.traffic.environment import RouteEnv
from tests.model_server import ModelServer, Say

KEY = "sk-of-this-machine-0123456789"
PAYLOAD = "from pathlib import Path\nPath('imported').touch()\ndef reward(env, agent, change): return 0.0\n"
CODE = ("environment", "reward", "payload.reward")


@pytest.fixture
def payload(leed) -> Callable[..., Any]:
    """Runs a command beside a payload.py and checks that it refuses in one sentence, without importing that."""
    Path("payload.py").write_text(PAYLOAD)

    def run(*words: object) -> str:
        ran = leed(*words)
        assert not Path("imported").exists(), words
        assert ran.code == 2, ran
        said = ran.err.strip()
        assert "\n" not in said, said
        assert "--trust" in said
        assert "environment.reward=payload.reward" in said
        return said

    return run


def changed(file: Path, group: str, name: str, value: object) -> None:
    """Another value in the settings of a run."""
    data = json.loads(file.read_text())
    (data.get("settings") or data)[group][name] = value
    file.write_text(json.dumps(data))


@pytest.fixture
def made(leed) -> Path:
    """A run of the graph."""
    assert leed("demo", "generate", "--model", "stand-in", "--agents", "2", "--rounds", "1", "--out", "made").code == 0
    return Path("made")


def test_code_in_a_training_run(payload, trained: Path) -> None:
    changed(trained / "run.json", *CODE)
    payload("evaluate", trained, "--episodes", "1")
    payload("policy", "export", trained, "--agent", "0")
    payload("train", "--resume", trained)


@pytest.mark.slow
def test_code_in_the_folder_where_one_stands(payload, leed, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed(trained / "run.json", *CODE)
    shutil.copy("payload.py", trained)
    monkeypatch.chdir(trained)
    payload("evaluate", ".")
    payload("policy", "export", ".", "--agent", "0")
    assert leed("report", ".").code == 0
    assert not Path("imported").exists()


def test_code_in_a_settings_file(payload, leed) -> None:
    Path("s.yaml").write_text("environment: {reward: payload.reward}\nmodel: {name: stand-in}\n")
    payload("demo", "generate", "--settings", "s.yaml")
    payload("train", "--settings", "s.yaml")
    payload("demo", "compare", "--model", "s.yaml")
    # They use other groups only: nothing to refuse, nothing imported.
    assert leed("map", "list", "--settings", "s.yaml").code == 0
    assert leed("models", "list", "--settings", "s.yaml").code == 0
    assert not Path("imported").exists()


def test_code_of_a_model_in_a_settings_file(leed) -> None:
    Path("payload.py").write_text(PAYLOAD)
    Path("s.yaml").write_text("model: {name: payload.reward, tracing: [payload.reward]}\n")
    for command in (("doctor",), ("models", "list"), ("demo", "generate"), ("demo", "compare", "--model", "s.yaml")):
        ran = leed(*command, *(() if "compare" in command else ("--settings", "s.yaml")))
        assert ran.code == 2, ran
        assert "model.name=payload.reward" in ran.err
    assert not Path("imported").exists()


@pytest.mark.slow
def test_code_in_a_recording(payload, made: Path) -> None:
    calls = made / "calls.jsonl"
    head, *rest = calls.read_text().splitlines(keepends=True)
    data = json.loads(head)
    data["made_with"]["settings"]["environment"]["reward"] = "payload.reward"
    calls.write_text(json.dumps(data) + "\n" + "".join(rest))
    payload("demo", "generate", "--model", "replay", "--replay", calls)


@pytest.mark.slow
def test_code_in_a_run_of_the_graph(payload, made: Path) -> None:
    (made / "summary.json").unlink()
    changed(made / "settings.json", *CODE)
    payload("demo", "generate", "--resume", made)


@pytest.mark.slow
def test_a_recording_says_nothing_of_servers_or_watchers(leed, made: Path) -> None:
    calls = made / "calls.jsonl"
    head, *rest = calls.read_text().splitlines(keepends=True)
    data = json.loads(head)
    data["made_with"]["settings"]["model"] = {"tracing": ["payload.reward"], "base_url": "http://127.0.0.1:9/v1"}
    calls.write_text(json.dumps(data) + "\n" + "".join(rest))
    assert leed("demo", "generate", "--model", "replay", "--replay", calls, "--out", "again").code == 0
    said = json.loads(Path("again", "settings.json").read_text())["model"]
    assert (said["tracing"], said["base_url"]) == ([], None)


@pytest.mark.parametrize("name", ["\u00f1.reward", "0x.reward", "payload..reward", "sub-dir.reward", " payload.reward"])
def test_odd_paths_are_never_imported(leed, trained: Path, name: str) -> None:
    module = name.strip().split(".")[0]
    Path(f"{module}.py").write_text(PAYLOAD)
    changed(trained / "run.json", "environment", "reward", name)
    ran = leed("evaluate", trained, "--episodes", "1")
    assert ran.code == 2
    assert not Path("imported").exists()


@pytest.mark.slow
def test_code_that_is_named_again_runs(leed, trained: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    Path("payload.py").write_text(PAYLOAD)
    changed(trained / "run.json", *CODE)
    again = ("-s", "environment.reward=payload.reward")
    assert leed("evaluate", trained, "--episodes", "1", *again).code == 0
    assert Path("imported").exists()
    assert leed("policy", "export", trained, "--agent", "0", *again).code == 0


def test_words_confirm_a_run_and_do_not_change_it(leed, trained: Path) -> None:
    ran = leed("train", "--resume", trained, "--agents", "2", "-s", "learning.q=5")
    assert ran.code == 0, ran
    for words, said in ((("--agents", "3"), "scenario.agents=2"), (("-s", "learning.q=2"), "learning.q=5")):
        ran = leed("train", "--resume", trained, *words)
        assert ran.code == 2
        assert said in ran.err
        assert len(ran.err.splitlines()) == 1
    assert "unknown" in leed("train", "--resume", trained, "-s", "learning.qq=2").err.lower()


@pytest.mark.slow
def test_no_key_for_an_address_from_a_file(
    leed, made: Path, trained: Path, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    model_server.default = Say("{}")
    server = {"name": "openai:x", "base_url": model_server.url, "retries": 0}
    # As somebody's files would be.
    Path("s.yaml").write_text(json.dumps({"model": server, "scenario": {"agents": 2}, "demonstration": {"rounds": 0}}))
    for file in (made / "settings.json", trained / "run.json"):
        for name, value in server.items():
            changed(file, "model", name, value)
    (made / "summary.json").unlink()
    (made / "calls.jsonl").unlink()
    fresh = Path("fresh")
    fresh.mkdir()
    shutil.copy(trained / "run.json", fresh)
    commands = {
        "generate": ("demo", "generate", "--settings", "s.yaml", "--out", "new"),
        "resume": ("demo", "generate", "--resume", made),
        "compare": ("demo", "compare", "--model", "s.yaml", "--trials", "1", "--jobs", "1"),
        "ping": ("models", "ping", "openai:x", "--settings", "s.yaml"),
        "doctor": ("doctor", "--settings", "s.yaml"),
        "train": ("train", "--resume", fresh),
    }
    for name, words in commands.items():
        before = len(model_server.authorizations)
        ran = leed(*words)
        assert len(model_server.authorizations) > before, (name, ran)
        assert not any(KEY in said for said in model_server.authorizations), name
        if name != "compare":
            assert "gets no key" in ran.err, name
    leed(*commands["ping"], "--base-url", model_server.url)
    assert KEY in model_server.authorizations[-1]
    leed(*commands["ping"], "--trust")
    assert KEY in model_server.authorizations[-1]


# -- links and pipes ---------------------------------------------------------------------------------------------------
def hard_cases(run: Path, victim: Path) -> list[tuple[str, Callable[[], Any]]]:
    """Names in a run folder, and what makes something bad of them."""
    inner = run / "sub" / "inner"
    inner.mkdir(parents=True)
    return [
        ("zz.md", lambda: (run / "zz.md").symlink_to("/etc/passwd")),
        ("report.html", lambda: (run / "report.html").symlink_to(victim)),
        (".lock", lambda: (run / ".lock").symlink_to(victim)),
        (".lock-holder", lambda: (run / ".lock-holder").symlink_to(victim)),
        ("sub/inner/deep", lambda: (inner / "deep").symlink_to(victim)),
        ("policies", lambda: (run / "policies").symlink_to(victim.parent)),
        ("twice", lambda: ((run / "once").symlink_to("/etc"), (run / "twice").symlink_to("once"))),
        ("round", lambda: (run / "round").symlink_to("round")),
        ("pipe", lambda: os.mkfifo(run / "pipe")),
    ]


@pytest.mark.slow
def test_links_and_pipes_are_refused(leed, trained: Path, made: Path, tmp_path: Path) -> None:
    victim = tmp_path / "elsewhere" / "victim"
    victim.parent.mkdir()
    victim.write_text("mine")
    for folder, commands in (
        (trained, [("evaluate",), ("policy", "export", "--agent", "0"), ("report",), ("train", "--resume")]),
        (made, [("report",), ("export",), ("demo", "show"), ("demo", "generate", "--resume"), ("drive",)]),
    ):
        for number, (name, spoil) in enumerate(hard_cases(folder, victim)):
            (folder / name).unlink(missing_ok=True)
            spoil()
            command = commands[number % len(commands)]
            ran = leed(*command, folder)
            assert ran.code == 2, (command, name, ran)
            assert len(ran.err.splitlines()) == 1, ran.err
            assert "link that leaves" in ran.err or "no plain file" in ran.err
            for bad in {name, "once"}:
                (folder / bad).unlink(missing_ok=True)
    assert victim.read_text() == "mine"
    assert list(victim.parent.iterdir()) == [victim]


@pytest.mark.slow
def test_links_in_folders_of_comparisons_and_experiments(leed, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for words in (("demo", "compare", "--model", "stand-in", "--trials", "1"), ("experiment", "run", "fig4b")):
        for name in ("table.md", ".lock", ".lock-holder"):
            out = tmp_path / "out"
            out.mkdir()
            (out / name).symlink_to(victim)
            ran = leed(*words, "--agents", "2", "--out", out, "--jobs", "1")
            assert ran.code == 2, ran
            assert "link that leaves" in ran.err
            shutil.rmtree(out)
    assert victim.read_text() == "mine"


@pytest.mark.slow
def test_a_link_that_stays_inside_is_fine(leed, made: Path) -> None:
    (made / "again.json").symlink_to("demonstrations.json")
    assert leed("report", made).code == 0


# -- one writer --------------------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_a_second_writer_is_refused_with_the_pid_of_the_first(leed, trained: Path, made: Path) -> None:
    (made / "summary.json").unlink()
    shutil.rmtree(trained / "checkpoints")
    (trained / "summary.json").unlink()
    for folder, words in (
        (trained, ("train", "--resume", trained)),
        (made, ("demo", "generate", "--resume", made)),
        (Path("c"), ("demo", "compare", "--model", "stand-in", "--trials", "1", "--agents", "2", "--out", "c")),
        (Path("e"), ("experiment", "run", "fig4b", "--agents", "2", "--seeds", "1", "--out", "e")),
    ):
        with alone(folder):
            ran = leed(*words)
        assert ran.code == 2, ran
        assert f"process {os.getpid()};" in ran.err
        assert len(ran.err.splitlines()) == 1


# -- damage ------------------------------------------------------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["metrics.csv", *(pytest.param(name, marks=pytest.mark.long) for name in ("timing.csv", "triggers.csv"))]
)
def test_a_damaged_table_is_named_and_the_report_goes_without(leed, trained: Path, name: str) -> None:
    (trained / "summary.json").unlink()
    whole = (trained / name).read_bytes()
    head, _, rest = whole.partition(b"\n")
    for damage in (b"\xff\xfe\x00\n" * 9, b"a,b\n" * 9, b"", whole[:20], head + b"\n" + b"x" + rest):
        (trained / name).write_bytes(damage)
        ran = leed("train", "--resume", trained)
        assert ran.code == 2, ran
        assert f"run/{name}" in ran.err.splitlines()[-1]
        assert leed("report", trained).code == 0


# -- closed and not yet begun ------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_an_environment_that_is_closed_or_not_begun(braunschweig) -> None:
    scenario = scenario_for(braunschweig, load_settings(overrides={"scenario.agents": 2}, environment={}))
    env = RouteEnv(braunschweig, scenario)
    with pytest.raises(UsageError, match=r"Call reset\(\) before the first step"):
        env.step({})
    env.reset()
    env.close()
    env.close()
    for late in (env.reset, lambda: env.step({})):
        with pytest.raises(UsageError, match="is closed; make a new"):
            late()


@pytest.mark.slow
def test_a_reader_that_hangs_up_on_the_live_page(
    trained: Path, braunschweig, capsys: pytest.CaptureFixture[str]
) -> None:
    page = LivePage(trained, braunschweig)
    port = int(page.address.rstrip("/").rpartition(":")[2])
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", port)) as reader:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            reader.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    with urllib.request.urlopen(page.address, timeout=60) as answer:  # noqa: S310 - ours
        assert answer.status == 200
    page.close()
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_tags_without_end_and_includes_are_refused_before_anybody_reads_them(leed) -> None:
    Path("long.rou.xml").write_text(f'<routes><trip id="{"a" * 6_000_000}"/></routes>')
    Path("other.rou.xml").write_text('<routes><include href="/etc/passwd"/><trip id="a"/></routes>')
    for name, words in (("long", "longer than 4 MB"), ("other", "includes another file")):
        ran = leed("drive", "--demand", f"{name}.rou.xml", "--map", "braunschweig")
        assert ran.code == 2
        assert words in ran.err
    Path("long.jsonl").write_bytes(b'{"made_with": "' + b"a" * 20_000_000)
    assert "first line is longer" in leed("demo", "generate", "--model", "replay", "--replay", "long.jsonl").err


@pytest.mark.slow
def test_the_doctor_sees_a_module_that_is_not_the_wheels(leed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign" / "sumolib"
    foreign.mkdir(parents=True)
    (foreign / "__init__.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(foreign.parent), *sys.path]))
    words = [sys.executable, "-m", "leed_agentic", "doctor", "--model", "stand-in"]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ran.returncode == 3
    assert f"FAIL sumo       sumolib is imported from {foreign / '__init__.py'}, not from its wheel" in ran.stdout


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "mark"),
    [
        (("train", "--agents", "2", "--episodes", "5000", "-s", "learning.hidden=8"), "metrics.csv"),
        (
            ("demo", "generate", "--agents", "8", "--planning", "junction", "--rounds", "9", "--model", "stand-in"),
            "calls.jsonl",
        ),
    ],
)
def test_a_run_whose_folder_vanishes_ends_and_makes_no_other(tmp_path: Path, words: tuple[str, ...], mark: str) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "leed_agentic", *words, "-s", "demonstration.accept_ratio=1", "--out", str(run)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not (run / mark).is_file() or (run / mark).read_bytes().count(b"\n") < 4:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.01)
    run.rename(tmp_path / "away")
    shutil.rmtree(tmp_path / "away")
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 3, said
    assert "removed" in said.splitlines()[-1]
    assert "Traceback" not in said
    assert not run.exists()
