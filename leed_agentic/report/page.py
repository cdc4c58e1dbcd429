"""The one HTML file: template, styles, scripts and data put together, with a policy that lets nothing else run."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from leed_agentic import __version__
from leed_agentic.report.content import Content
from leed_agentic.roads.markers import COLOURS

STYLES = ("page.css", "map.css")
MAP_SCRIPTS = ("page.js", "streets.js", "routes.js", "cars.js", "player.js", "views.js")
CHARTS = "charts.js"
LIVE = "live.js"
DARK = ("#56b4e9", "#ff8f4a", "#2fc99a", "#e9a0c8", "#a6dcff", "#cda434", "#c79be6", "#f7c65a", "#b9c0c8", "#ff7b86")
"""The same ten hues as `COLOURS`, light enough for a dark ground."""


def render(content: Content, live: bool = False) -> str:
    """The page. Whatever comes from a run is escaped text or data, and no script runs but ours.

    Args:
        live: add the script that asks the server it came from for news.
    """
    # Autoescape for every template, whatever its name ends with.
    environment = Environment(
        loader=PackageLoader("leed_agentic.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":"), "ensure_ascii": True}
    scripts = [_static(name) for name in MAP_SCRIPTS]
    if content.charts or live:
        # After the map, which works while the library is still being read.
        scripts += [plotting_library(), _static(CHARTS)]
    if live:
        scripts.append(_static(LIVE))
    return environment.get_template("report.html.j2").render(
        content=content,
        data=content.data(),
        live=live,
        policy=_policy(scripts, live),
        palette=_palette(),
        styles=[Markup(_static(name)) for name in STYLES],  # noqa: S704 - our own files
        scripts=[Markup(script) for script in scripts],  # noqa: S704 - our own files and plotly.js
        version=__version__,
    )


def plotting_library() -> str:
    """plotly.js as the plotly package carries it."""
    from plotly.offline import get_plotlyjs

    return get_plotlyjs().replace("</script", "<\\/script")


def _static(name: str) -> str:
    return files("leed_agentic.report").joinpath("static", name).read_text(encoding="utf-8")


def _policy(scripts: list[str], live: bool) -> str:
    """A content security policy: the scripts named by their hash, and no connection to anywhere."""
    hashes = [base64.b64encode(hashlib.sha256(s.encode("utf-8")).digest()).decode("ascii") for s in scripts]
    allowed = " ".join(f"'sha256-{value}'" for value in hashes)
    connect = "'self'" if live else "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        f"connect-src {connect}; base-uri 'none'; form-action 'none'"
    )


def _palette() -> Markup:
    """Agents' colours as CSS variables, for light and for dark."""
    light = "".join(f"--agent-{k}:{colour};" for k, colour in enumerate(COLOURS))
    dark = "".join(f"--agent-{k}:{colour};" for k, colour in enumerate(DARK))
    return Markup(f":root{{{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}")  # noqa: S704 - constants
