"""`leed prompts`: list the templates, read one, copy them all, check a folder of your own, and improve it."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import typer

from leed_agentic.cli.console import err, out, print_json
from leed_agentic.cli.options import Trust

app = typer.Typer(no_args_is_help=True, help="Prompt templates: list, read, copy, check and improve them.")

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


@app.command()
def improve(
    folder: str = typer.Argument(help="Your folder of templates, default or short; it is left as it is."),
    model: str = typer.Option(help="Who plans: provider:name, name@address, stand-in or a settings file (.yaml)."),
    budget: int = typer.Option(200, help="Scenarios planned and templates rewritten in the search, together."),
    planning: str | None = typer.Option(None, help="A way of planning, such as fleet, agent or junction."),
    place: str | None = typer.Option(None, "--map", help="The map."),
    agents: int | None = typer.Option(None, help="Number of agents."),
    rounds: int = typer.Option(0, help="Refinements before a plan is measured."),
    train: int = typer.Option(6, help="Training scenarios, from the setting seed on."),
    held_out: int = typer.Option(30, help="Scenarios behind those, on which the best templates are judged."),
    templates: list[str] | None = typer.Option(
        None, "--template", help="What to rewrite, such as system; again for more. Unset: the way of planning's own."
    ),
    rewriter: str | None = typer.Option(None, help="Model that rewrites the templates; unset: the one that plans."),
    base_url: str | None = typer.Option(None, help="An OpenAI-compatible server, for a model that names no address."),
    out_folder: Path = typer.Option(Path("improved"), "--out", help="Folder of the templates, tries and record."),
    jobs: int | None = typer.Option(None, help="Scenarios at a time, each in a process; as many as there are cores."),
    assignments: list[str] | None = typer.Option(None, "-s", "--set", metavar="KEY=VALUE", help="Any setting."),
    trust: bool = Trust,
    as_json: bool = AsJson,
) -> None:
    """Let a model rewrite templates by what its plans came to, and judge the best on scenarios the search did not see.

    Every try is kept; the same command goes on where it stopped. Needs gepa, which the extra improve brings.
    """
    from leed_agentic.errors import StoppedError, check_count

    check_count("--jobs", jobs, most=1000)
    try:
        with err.status("reading settings") as status:
            from leed_agentic.comparing.comparison import Wanted
            from leed_agentic.comparing.improve import Search, as_json_of
            from leed_agentic.comparing.improve import improve as search_on

            wanted = Wanted(
                models=(model,),
                prompts=(folder,),
                plannings=(planning,) if planning else (),
                maps=(place,) if place else (),
                agents=(agents,) if agents is not None else (),
                rounds=(rounds,),
                trials=train,
                base_url=base_url,
                assignments=tuple(assignments or ()),
                trust=trust,
            )
            search = Search(wanted, budget, held_out, tuple(templates or ()), rewriter)

            def on_try(line: str) -> None:
                err.print(line, markup=False, highlight=False)

            command = shlex.join(["leed", *sys.argv[1:]])
            found = search_on(search, out_folder, jobs or os.cpu_count() or 1, command, on_try, status.update)
    except KeyboardInterrupt:
        raise StoppedError("Stopped; tries and replies are kept: the same command goes on.") from None
    if as_json:
        print_json(as_json_of(found))
        return
    out.print("\n".join(found.sentences), markup=False, highlight=False)
    if found.judged:
        used = shlex.quote(str(found.folder / "templates"))
        out.print(f"Use them: leed demo generate --prompts {used}", markup=False, highlight=False)
    out.print(f"Every try: {found.folder / 'record.json'}", markup=False, highlight=False)
