"""A report on paper, printed by the Chromium that is installed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from leed_agentic.errors import UnavailableError
from leed_agentic.runs.files import whole_file

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
SECONDS = 120.0


def browser() -> str:
    """The program that prints. Raises UnavailableError when none is installed."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise UnavailableError(
            "--pdf needs Chromium or Chrome, and none is on the path; install one, or print the report from a browser."
        )
    return found


def print_pdf(report: Path, program: str) -> Path:
    """Print the HTML file; returns the PDF beside it.

    Raises:
        UnavailableError: the browser fails.
    """
    file = report.with_suffix(".pdf")
    with tempfile.TemporaryDirectory(prefix="leed-pdf-") as profile, whole_file(file) as partial:
        words = [program, "--headless", "--disable-gpu", "--no-pdf-header-footer", f"--user-data-dir={profile}"]
        # As root, which containers are, Chromium refuses its own sandbox.
        words += ["--no-sandbox", f"--print-to-pdf={partial.resolve()}", report.resolve().as_uri()]
        try:
            ran = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UnavailableError(f"{program} cannot print the report ({error}); print it from a browser.") from error
        if ran.returncode or not partial.is_file() or not partial.stat().st_size:
            said = " ".join(ran.stderr.split())[-200:]
            raise UnavailableError(f"{program} cannot print the report ({said}); print it from a browser.")
    return file
