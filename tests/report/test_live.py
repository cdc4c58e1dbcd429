"""The page that follows a training run."""

from __future__ import annotations

import http.client
import json
from pathlib import Path

import pytest

from leed_agentic.errors import UnavailableError
from leed_agentic.report.live import LivePage


@pytest.fixture
def page(trained, braunschweig):
    served = LivePage(trained, braunschweig)
    yield served
    served.close()


def get(address: str, path: str = "/", method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    host = address.removeprefix("http://").rstrip("/")
    connection = http.client.HTTPConnection(host, timeout=60)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), body


def test_page_and_news(page, trained):
    status, headers, body = get(page.address)
    assert status == 200
    assert b"connect-src &#39;self&#39;" in body
    status, headers, body = get(page.address, "/data.json")
    told = json.loads(body)
    assert told["state"] == "6 episodes so far."
    assert len(told["data"]["charts"][0]["lines"][0]["y"]) == 6
    assert get(page.address, "/data.json", If_None_Match=headers["ETag"])[0] == 304
    metrics = trained / "metrics.csv"
    lines = metrics.read_text().splitlines(keepends=True)
    metrics.write_text("".join(lines) + lines[-1] * 200)
    assert json.loads(get(page.address, "/data.json")[2])["state"] == "206 of 6 episodes so far."


def test_only_for_this_machine_and_only_to_read(page):
    assert page.address.startswith("http://127.0.0.1:")
    assert get(page.address, Host="evil.example")[0] == 403
    assert get(page.address, "/../run.json")[0] == 404
    assert get(page.address, method="POST")[0] == 501


def test_a_port_that_is_taken(page, trained, braunschweig):
    with pytest.raises(UnavailableError, match="--live-port"):
        LivePage(trained, braunschweig, int(page.address.rstrip("/").rpartition(":")[2]))


@pytest.mark.slow
def test_training_with_the_page_gives_the_same_figures(leed, trained):
    short = ("--agents", "2", "--episodes", "6", "--steps", "40")
    result = leed("train", *short, "--live", "--out", "live")
    assert result.code == 0
    assert "Live page: http://127.0.0.1:" in result.err
    assert Path("live/metrics.csv").read_bytes() == (trained / "metrics.csv").read_bytes()
