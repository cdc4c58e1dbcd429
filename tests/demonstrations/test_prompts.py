"""Templates: the packaged ones, a user's own, and every way in which one can be unusable."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from leed_agentic.demonstrations.prompts import TEMPLATES, PromptSet
from leed_agentic.errors import UsageError
from leed_agentic.resources import resource_folder

DEFAULT = resource_folder("prompts") / "default"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "prompts"
    shutil.copytree(DEFAULT, folder)
    return folder


def test_the_packaged_templates_load_and_say_what_the_paper_says() -> None:
    prompts = PromptSet.load()
    assert set(prompts.texts) == set(TEMPLATES) == {file.stem for file in DEFAULT.glob("*.md")}
    fleet = prompts.render("fleet", agents="AGENTS", adjacency="GRAPH", junctions="PLACES", count=10)
    for part in ("multi-agent coordination task", "AGENTS", "GRAPH", "PLACES", "10 agents", "efficient trajectory"):
        assert part in fleet


def test_the_hash_is_that_of_the_file() -> None:
    hashes = PromptSet.load().hashes
    assert hashes == {n: hashlib.sha256((DEFAULT / f"{n}.md").read_bytes()).hexdigest() for n in TEMPLATES}


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_the_readme_lists_every_template_and_variable(name: str) -> None:
    readme = (resource_folder("prompts") / "README.md").read_text(encoding="utf-8")
    row = next(line for line in readme.splitlines() if line.startswith(f"| `{name}.md`"))
    required, allowed = TEMPLATES[name]
    assert all(f"`${variable}`*" in row for variable in required)
    assert all(f"`${variable}`" in row and f"`${variable}`*" not in row for variable in allowed)


def test_a_users_template_goes_first_and_the_others_stay_packaged(tmp_path: Path) -> None:
    (tmp_path / "fleet.md").write_text("Cost $$5. ${agents} on\n$adjacency", encoding="utf-8")
    prompts = PromptSet.load(tmp_path)
    assert prompts.render("fleet", agents="A", adjacency="G", junctions="unused", count=1) == "Cost $5. A on\nG"
    assert prompts.texts["system"] == PromptSet.load().texts["system"]
    assert prompts.files["fleet"] == tmp_path / "fleet.md"


def test_inserted_values_are_not_read_as_templates() -> None:
    asked = PromptSet.load().render("refine", remarks="$agents ${x} $$", agents="{}", count=1)
    assert "$agents ${x} $$" in asked


def refused(folder: Path) -> str:
    with pytest.raises(UsageError) as error:
        PromptSet.load(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_an_unknown_variable_names_file_variable_and_fix(own: Path) -> None:
    (own / "fleet.md").write_text("$agents $adjacency $junction", encoding="utf-8")
    message = refused(own)
    assert str(own / "fleet.md") in message
    assert "$junction;" in message
    assert "did you mean 'junctions'?" in message


@pytest.mark.parametrize(
    ("name", "variable"), [(name, v) for name, (required, _) in sorted(TEMPLATES.items()) for v in sorted(required)]
)
def test_a_missing_variable_names_file_and_variable(own: Path, name: str, variable: str) -> None:
    file = own / f"{name}.md"
    file.write_text(file.read_text(encoding="utf-8").replace(f"${variable}", "..."), encoding="utf-8")
    message = refused(own)
    assert str(file) in message
    assert f"lacks the variable ${variable}" in message


@pytest.mark.parametrize("text", ["costs 5 $ $agents $adjacency", "$1 $agents $adjacency"])
def test_a_lone_dollar_sign_is_refused(own: Path, text: str) -> None:
    (own / "fleet.md").write_text(text, encoding="utf-8")
    assert "write '$$'" in refused(own)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xff\xfe$agents\x80", "as UTF-8 text"),
        (b"\x89PNG\r\n\x1a\n\0\0", "as UTF-8 text"),
        (b"$agents $adjacency \0", "holds no text"),
        (b"", "holds no text"),
        (b" \n\t", "holds no text"),
        (b"$agents $adjacency" + b"x" * 300_000, "larger than"),
    ],
)
def test_what_is_no_page_of_text_is_refused(own: Path, content: bytes, says: str) -> None:
    (own / "fleet.md").write_bytes(content)
    message = refused(own)
    assert says in message
    assert "fleet.md" in message


def test_a_folder_in_a_templates_place_is_refused(own: Path) -> None:
    (own / "fleet.md").unlink()
    (own / "fleet.md").mkdir()
    assert "fleet.md" in refused(own)


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_out_of_the_folder_is_refused(own: Path, tmp_path: Path, exists: bool) -> None:
    target = tmp_path / "secret"
    if exists:
        target.write_text("$agents $adjacency", encoding="utf-8")
    (own / "fleet.md").unlink()
    (own / "fleet.md").symlink_to(target)
    assert "fleet.md" in refused(own)


def test_a_misspelt_file_is_not_silently_left_out(own: Path) -> None:
    (own / "fleet.md").rename(own / "flete.md")
    assert "did you mean 'fleet.md'?" in refused(own)


def test_a_missing_folder_names_the_fix(tmp_path: Path) -> None:
    assert "leed prompts copy" in refused(tmp_path / "nowhere")
