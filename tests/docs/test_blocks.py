"""Every command and code block of the pages is run, or at least parsed by what would run it.

Commands of `leed` go through the real command line's own parser: they exist, have their options, and values are of
their kind. Words in capitals (RUN, FILE) stand for something of the reader's. Python is compiled and its imports are
looked up. The pages of SESSIONS are followed from top to bottom in one folder.
"""

from __future__ import annotations

import ast
import gzip
import importlib
import json
import os
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from pydantic import TypeAdapter

from leed_agentic.cli.main import app
from leed_agentic.experiments.run import leaves
from leed_agentic.roads.definition import MapDefinition
from leed_agentic.settings import Settings, load_settings
from tests.docs.blocks import GENERATED, PAGES, ROOT, Block, blocks, commands, indented_commands, links, spoken_commands
from tests.roads.cities import grid_osm

SESSIONS = (
    "baselines.md",
    "getting-started.md",
    "my-own-trips.md",
    "python.md",
    "your-own-city.md",
    "your-own-model-and-prompt.md",
    "your-own-reward-or-observation.md",
)
QUICK = (
    "leed map list",
    "leed map show berlin --out berlin.png",
    "leed prompts copy my_prompts",
    "leed demo generate --model stand-in --prompts my_prompts --dry-run",
    "leed experiment list",
)
"""Lines of README.md and other pages that are run as well."""
LEED = ("leed", ".venv/bin/leed")
NOT_RUN = {"export", "uv", "pip", ".venv/bin/pip", "python3", ".", "git", "docker", "uvx", "pipx", "mkdocs"}
"""Set-up of the reader's machine. Any other program but leed, python, cp and mkdir is refused: nobody checks it."""

by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def named(page: Path) -> set[str]:
    return {name for block in blocks(page) if (name := block.saved_as)} | {"simple_spread.py"}


# -- commands ----------------------------------------------------------------------------------------------------------
def command_of(words: list[str]) -> tuple[Any, str, list[str]]:
    """The command that the words begin with, its name, and the words behind it."""
    command, name = typer.main.get_command(app), "leed"
    while hasattr(command, "commands") and words and words[0] in command.commands:
        command, name, words = command.commands[words[0]], f"{name} {words[0]}", words[1:]
    return command, name, words


def parses(words: list[str]) -> None:
    command, name, rest = command_of(words)
    if {"--help", "--version"} & set(rest):
        return
    assert not hasattr(command, "commands"), f"there is no command: leed {' '.join(words)}"
    context = command.make_context(name, list(rest))
    # Names of settings and their values too.
    load_settings(None, context.params.get("assignments") or ())


def checked(words: list[str], page: Path) -> None:
    while "=" in words[0] and words[0].split("=")[0].isupper():
        words = words[1:]
    program, rest = words[0], words[1:]
    assert not {"|", ";", ">", "||"} & set(words), f"the check does not read this shell: {words}"
    if program in LEED:
        parses(rest)
    elif program in ("python", ".venv/bin/python"):
        target = rest[2] if rest[:2] == ["-m", "pytest"] and len(rest) > 2 else rest[0]
        assert target == "-m" or (ROOT / target).exists() or target in named(page), words
    elif program == "cp":
        assert (ROOT / next(word for word in rest if word != "-r")).exists(), words
    elif program == "mkdir":
        assert len(rest) == 1
    else:
        assert program in NOT_RUN, f"nobody checks: {' '.join(words)}"
    if program.endswith("pip"):
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        for word in rest:
            assert not word.endswith("]") or word.split("[")[1].rstrip("]") in extras, word


@by_page
def test_commands_of_blocks(page):
    lines = [words for block in blocks(page) if block.language == "bash" for words in commands(block.text)]
    if page not in GENERATED:
        lines += indented_commands(page)
    for words in lines:
        checked(words, page)


@pytest.mark.parametrize(
    "line",
    [
        "leed demo generat",
        "leed demo generate --agent 3",
        "leed demo generate --agents three",
        "leed demo show",
        "leed demo show RUN again",
        "leed train -s learning.epoch=3",
        "leed train -s learning.epochs=0",
        "python examples/none.py",
        'pip install "leed-agentic[none]"',
        "curl http://127.0.0.1",
        "leed map list | cat",
    ],
)
def test_the_check_finds_what_is_wrong(line):
    (words,) = commands(line)
    with pytest.raises(Exception):  # noqa: B017, PT011 - the parser's own classes are private
        checked(words, ROOT / "README.md")


@pytest.mark.slow
@by_page
def test_commands_in_running_text(page):
    """They may be cut short, but what is there exists."""
    for words in spoken_commands(page):
        if words[0] == "python":
            script = words[1]
            assert not script.endswith(".py") or (ROOT / script).is_file() or script in named(page), words
            continue
        command, name, rest = command_of(words[1:])
        given = [word.split("=")[0] for word in rest if word.startswith("-")]
        if hasattr(command, "commands"):
            assert not [word for word in rest if word.isalpha() and word.islower()], f"no such command: {words}"
            assert set(given) <= {"--help", "--version", "--install-completion", "--show-completion"}, words
        else:
            known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
            assert set(given) <= known, f"{name} has no option {set(given) - known}"


# -- other blocks ------------------------------------------------------------------------------------------------------
def imports(text: str) -> Iterator[tuple[str, str | None]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((str(node.module), alias.name) for alias in node.names)


def is_there(module: str, name: str | None) -> bool:
    if module.startswith("leed_agentic.integrations."):
        # It imports another library, which need not be here.
        file = ROOT.joinpath(*module.split(".")).with_suffix(".py")
        return any(getattr(part, "name", None) == name for part in ast.parse(file.read_text(encoding="utf-8")).body)
    found = importlib.import_module(module)
    return name is None or hasattr(found, name) or bool(importlib.import_module(f"{module}.{name}"))


def check_yaml(text: str) -> None:
    """A map's definition, settings, or arms of an experiment: labels and their settings."""
    data = yaml.safe_load(text)
    if data.keys() & {"kind", *Settings.model_fields}:
        TypeAdapter(MapDefinition if "kind" in data else Settings).validate_python(data)
    else:
        for settings in data.values():
            load_settings(overrides=leaves(settings))


@by_page
def test_other_blocks(page):
    for block in blocks(page):
        if block.language == "python":
            compile(block.text, str(page), "exec")
            for module, name in imports(block.text):
                # A block that is not run may need packages that nothing here depends on.
                if block.run or module.startswith("leed_agentic"):
                    assert is_there(module, name), (module, name)
        elif block.language == "yaml":
            check_yaml(block.text)
        elif block.language == "json":
            json.loads(block.text)
        else:
            assert block.language in ("bash", ""), f"nobody checks blocks of {block.language}"


# -- links and the index -----------------------------------------------------------------------------------------------
@by_page
def test_links_lead_somewhere(page):
    assert [target for target in links(page) if not (page.parent / target).exists()] == []


def test_the_index_names_every_page():
    index = ROOT / "docs" / "README.md"
    assert {page for page in PAGES if page.parent == index.parent} - {index} <= {
        (index.parent / target).resolve() for target in links(index)
    }


# -- what is run -------------------------------------------------------------------------------------------------------
def run(block: Block, leed: Any) -> None:
    if block.saved_as:
        Path(block.saved_as).write_text(block.text, encoding="utf-8")
        # Another test of this process may have loaded a module of that name.
        sys.modules.pop(Path(block.saved_as).stem, None)
        importlib.invalidate_caches()
    elif block.language == "python":
        exec(compile(block.text, str(block.page), "exec"), {"__name__": "__main__"})  # noqa: S102 - our own page
    elif block.language == "bash" and block.run:
        for words in commands(block.text):
            run_command(words, leed)


def run_command(words: list[str], leed: Any) -> None:
    if "=" in words[0]:
        name, _, value = words[0].partition("=")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(name, value)
            return run_command(words[1:], leed)
    if words[0] in LEED and words[1] != "doctor":
        done = leed(*words[1:])
        assert done.code == 0, f"{' '.join(words)}: {done.err}"
    elif words[0] == "mkdir":
        Path(words[1]).mkdir()
    elif words[:2] == ["cp", "-r"]:
        shutil.copytree(words[2], words[3])
    elif words[0] == "cp":
        shutil.copy(words[1], words[2])


@pytest.fixture
def place(leed, tmp_path, monkeypatch) -> Path:
    """The reader's folder: prompts as in a checkout, an extract of a city, an empty map cache."""
    monkeypatch.setenv("LEED_MAP__CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    shutil.copytree(ROOT / "prompts", tmp_path / "prompts")
    (tmp_path / "FILE.osm.gz").write_bytes(gzip.compress(grid_osm(6)))
    return tmp_path


@pytest.mark.long
@pytest.mark.parametrize("name", SESSIONS)
def test_pages_that_are_followed(name, leed, place):
    for block in blocks(ROOT / "docs" / name):
        run(block, leed)
    assert any(file.name == "summary.json" for file in place.rglob("summary.json"))


@pytest.mark.pictures
@pytest.mark.slow
def test_quick_lines(leed, place):
    known = {
        " ".join(words) for page in PAGES for b in blocks(page) if b.language == "bash" for words in commands(b.text)
    }
    for line in QUICK:
        assert line in known
        run_command(line.split(), leed)
    assert Path("berlin.png").stat().st_size > 1000
    assert os.listdir("my_prompts")
