"""`leed report`: one HTML file that shows what a run did."""

from __future__ import annotations

from pathlib import Path

import typer

from leed_agentic.cli.console import err, out, print_json


def report(
    run: Path = typer.Argument(help="A folder of leed demo generate, demo compare, train or experiment."),
    open_it: bool = typer.Option(False, "--open", help="Show it in the browser."),
    out_file: Path | None = typer.Option(None, "--out", help="The HTML file; report.html in the folder when unset."),
    pictures: bool = typer.Option(False, "--pictures", help="Also write PNG and PDF of every plot, beside the file."),
    pdf: bool = typer.Option(False, "--pdf", help="Also print it as a PDF beside the file, by an installed Chromium."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Write one self-contained HTML file: the result first, then map, animation, curves, conversation, manifest.

    Of a comparison: the verdict first, and a page for every trial in its folder.

    It needs no network and no server. A run that was killed is reported as far as it came.
    """
    from leed_agentic.report.manifest import size_text
    from leed_agentic.report.pdf import browser, print_pdf
    from leed_agentic.report.report import write_report

    printer = browser() if pdf else None
    with err.status("reading the run") as status:
        made = write_report(run, out_file, pictures, progress=lambda line: status.update(line))
        if printer:
            status.update("printing the PDF")
        printed = print_pdf(made.file, printer) if printer else None
    if as_json:
        print_json(
            {
                "report": str(made.file),
                "bytes": made.size,
                "kind": made.kind,
                "lacks": made.notes,
                "pictures": [str(file) for file in made.pictures],
                "pdf": str(printed) if printed else None,
            }
        )
    else:
        for note in made.notes:
            out.print(note, markup=False, highlight=False)
        if made.pictures:
            out.print(
                f"Pictures: {len(made.pictures)} files in {made.pictures[0].parent}", markup=False, highlight=False
            )
        if printed:
            out.print(f"PDF: {printed}", markup=False, highlight=False)
        out.print(f"Report: {made.file} ({size_text(made.size)})", markup=False, highlight=False)
    if open_it:
        import webbrowser

        if not webbrowser.open(made.file.resolve().as_uri()):
            err.print("No browser could be started; open the file yourself.", markup=False, highlight=False)
