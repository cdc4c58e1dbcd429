"""`leed prompts`: list the templates, read one, copy them all, check a folder of your own."""

from __future__ import annotations

from pathlib import Path

import typer

from leed_agentic.cli.console import out, print_json

app = typer.Typer(no_args_is_help=True, help="Prompt templates: list, read, copy and check them.")

Folder = typer.Option(None, "--prompts", help="default, short, or a folder of your own that goes before default.")
AsJson = typer.Option(False, "--json", help="Print one JSON object.")


@app.command("list")
def list_prompts(folder: Path | None = Folder, as_json: bool = AsJson) -> None:
    """Every template: which way of planning uses it, its variables and the beginning of its SHA-256."""
    from leed_agentic.demonstrations.prompts import TEMPLATES, USED_BY, PromptSet

    prompts = PromptSet.load(folder)
    if as_json:
        rows = [
            {
                "name": name,
                "used_by": USED_BY[name],
                "required": sorted(required),
                "allowed": sorted(allowed),
                "sha256": prompts.hashes[name],
                "file": str(prompts.files[name]),
            }
            for name, (required, allowed) in TEMPLATES.items()
        ]
        print_json({"templates": rows})
        return
    from rich.table import Table

    table = Table("name", "used by", "variables (* required)", "sha256", "from", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    for name, (required, allowed) in TEMPLATES.items():
        variables = " ".join([f"${v}*" for v in sorted(required)] + [f"${v}" for v in sorted(allowed)])
        home = prompts.files[name].parent
        origin = "your folder" if folder and home == folder else f"packaged, {home.name}"
        table.add_row(name, ", ".join(USED_BY[name]), variables, prompts.hashes[name][:8], origin)
    out.print(table)


@app.command()
def show(
    name: str = typer.Argument(help="A template, such as fleet."), folder: Path | None = Folder, as_json: bool = AsJson
) -> None:
    """A template's text, as it is."""
    from leed_agentic.demonstrations.prompts import PromptSet
    from leed_agentic.errors import UsageError
    from leed_agentic.registry import nearest

    prompts = PromptSet.load(folder)
    name = name.removesuffix(".md")
    if name not in prompts.texts:
        raise UsageError(f"There is no template {name!r}; {nearest(name, prompts.texts)}")
    if as_json:
        entry = {"name": name, "file": str(prompts.files[name]), "sha256": prompts.hashes[name]}
        print_json({**entry, "text": prompts.texts[name]})
        return
    print(prompts.texts[name], end="")


@app.command()
def copy(
    folder: Path = typer.Argument(help="A new folder, or an empty one."),
    variant: str = typer.Option("default", help="Which packaged templates: default, or short for small models."),
    as_json: bool = AsJson,
) -> None:
    """Copy the packaged templates, to be edited; what you delete from the copy is taken from the package again."""
    from leed_agentic.demonstrations.prompts import copy_templates

    files = copy_templates(folder, variant)
    if as_json:
        print_json({"folder": str(folder), "files": [str(file) for file in files]})
        return
    out.print("\n".join(map(str, files)), markup=False, highlight=False)
    out.print(f"Edit them, then: leed prompts check {folder}", markup=False, highlight=False)


@app.command()
def check(folder: Path = typer.Argument(help="Your folder of templates."), as_json: bool = AsJson) -> None:
    """Say everything that is wrong with a folder of templates. Exit code 1: a run would refuse it."""
    from leed_agentic.demonstrations.prompts import TEMPLATES, problems_of, template_folder

    problems, folder = problems_of(folder), template_folder(folder)
    own = [name for name in TEMPLATES if (folder / f"{name}.md").is_file()]
    if as_json:
        print_json({"folder": str(folder), "ok": not problems, "templates": own, "problems": problems})
    else:
        for problem in problems:
            out.print(problem, markup=False, highlight=False)
        packaged = [name for name in TEMPLATES if name not in own]
        found = f"{len(own)} template{'s' * (len(own) != 1)} of {folder}"
        rest = f"; taken from the package: {', '.join(packaged)}" if packaged else ""
        verdict = f"{len(problems)} problem{'s' * (len(problems) != 1)}" if problems else "all can be used"
        out.print(f"{found}: {verdict}{rest}.", markup=False, highlight=False)
    if problems:
        raise typer.Exit(1)
