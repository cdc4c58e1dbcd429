"""`leed doctor`: each lack is a failed check with a fix, and the key is never shown."""

from __future__ import annotations

import json
import socket
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from leed_agentic.cli.doctor import SUMO_VERSION, SUMO_WHEELS, check_python, check_wheels
from leed_agentic.cli.main import app
from tests.model_server import Answer, ModelServer

CANARY = "sk-CANARY-0123456789abcdef"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def doctor(*words: str) -> tuple[int, dict[str, Any], str]:
    result = CliRunner().invoke(app, ["doctor", "--json", *words])
    assert result.stdout, result.exception
    checks = {c["name"]: c for c in json.loads(result.stdout)["checks"]}
    assert json.loads(result.stdout)["ok"] == all(c["ok"] for c in checks.values())
    assert all(c["ok"] != bool(c["fix"]) for c in checks.values())
    return result.exit_code, checks, result.output


@pytest.mark.slow
def test_all_is_well_without_a_model(tmp_path: Path) -> None:
    code, checks, _ = doctor("--model", "stand-in")
    assert {name: c["ok"] for name, c in checks.items()} == dict.fromkeys(
        ["python", "sumo", "libsumo", "maps", "key", "model", "run folder"], True
    )
    assert code == 0
    assert "no LLM was called" in checks["model"]["detail"]
    assert "153 edges" in checks["maps"]["detail"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_table_for_people(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["doctor", "--model", "replay", "-s", f"model.replay={tmp_path / 'none.jsonl'}"])
    assert result.exit_code == 3
    assert "ok   sumo" in result.stdout
    assert "FAIL model" in result.stdout
    assert "fix: " in result.stdout


@pytest.mark.slow
def test_a_server_that_answers(model_server: ModelServer) -> None:
    code, checks, _ = doctor("--model", "openai:tiny", "--base-url", model_server.url)
    assert code == 0
    assert "openai:tiny answered in" in checks["model"]["detail"]
    assert model_server.requests[0]["max_tokens"] <= 16


@pytest.mark.slow
def test_a_server_that_refuses_the_key(model_server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    model_server.default = Answer(401, '{"error": {"message": "no such key: $authorization"}}')
    code, checks, output = doctor("--model", "openai:tiny", "--base-url", model_server.url)
    assert code == 3
    assert "refused the key" in checks["model"]["detail"]
    assert checks["key"]["detail"] == "OPENAI_API_KEY set, ends in cdef"
    assert "CANARY" not in output


@pytest.mark.slow
def test_a_server_that_is_not_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        code, checks, _ = doctor("--model", "openai:tiny", "--base-url", url)
    assert code == 3
    assert url in checks["model"]["detail"]
    assert checks["model"]["fix"].startswith("start the server")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "words"),
    [("openai:gpt-4o-mini", "OPENAI_API_KEY not set"), ("gpt-4o-mini", "names no provider")],
)
def test_no_key_and_no_provider(model: str, words: str) -> None:
    code, checks, _ = doctor("--model", model)
    assert code == 3
    assert words in checks["key"]["detail"]
    assert not checks["model"]["ok"]


@pytest.mark.slow
def test_a_run_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where the folder should be", encoding="utf-8")
    code, checks, _ = doctor("--model", "stand-in")
    assert code == 3
    assert not checks["run folder"]["ok"]


def test_a_libsumo_that_does_not_run_is_reported_not_suffered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leed_agentic.cli.doctor._TRY_LIBSUMO", "import os; os.abort()")
    code, checks, _ = doctor("--model", "stand-in")
    assert code == 3
    assert "libsumo does not run" in checks["libsumo"]["detail"]


def test_a_mix_of_sumo_wheels_or_a_missing_one() -> None:
    good = dict.fromkeys(SUMO_WHEELS, SUMO_VERSION)
    assert check_wheels(good).ok
    for found, words in (({**good, "traci": "1.20.0"}, "traci 1.20.0"), ({**good, "libsumo": None}, "libsumo missing")):
        check = check_wheels(found)
        assert not check.ok
        assert words in check.detail
        assert check.fix is not None
        assert check.fix.startswith("pip install ")


@pytest.mark.parametrize(("version", "ok"), [((3, 10), False), ((3, 11), True), ((3, 14), True), ((3, 15), False)])
def test_python_versions(version: tuple[int, int], ok: bool) -> None:
    assert check_python(version).ok is ok


def test_the_versions_are_those_of_the_package() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = [d for d in project["dependencies"] if d.split("==")[0] in SUMO_WHEELS]
    assert pinned
    assert all(d.endswith(f"=={SUMO_VERSION}") for d in pinned)
    assert project["requires-python"] == ">=3.11,<3.15"
    assert check_python(sys.version_info[:2]).ok
