"""Nobody watches a run unless the settings say so, whatever the environment has switched on for other projects."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from leed_agentic.errors import UsageError
from leed_agentic.models.caller import ModelCaller
from leed_agentic.models.tracing import check_tracing, traced
from leed_agentic.setting_groups import ModelSettings

CANARY = "sk-CANARY-0123456789abcdef"


@pytest.fixture
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """A server that takes anything, as LangSmith's would; gives its address and the bodies it was sent."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if "chunked" in self.headers.get("transfer-encoding", ""):
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                body = self.rfile.read(int(self.headers["content-length"]))
            bodies.append(self.path.encode() + b"\n" + body)
            self.do_GET()

        do_PATCH = do_POST

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", bodies
    server.shutdown()
    server.server_close()


def run(folder: Path, endpoint: str, *words: str) -> None:
    """A run of the stand-in with every variable set that has LangChain send traces."""
    switched_on = {"LANGSMITH_TRACING": "true", "LANGCHAIN_TRACING_V2": "true", "LANGSMITH_ENDPOINT": endpoint}
    keys = {"LANGSMITH_API_KEY": "ls-CANARY-0123456789", "OPENAI_API_KEY": CANARY}
    plain = {"LANGSMITH_RUN_COMPRESSION": "false", "LANGSMITH_DISABLE_RUN_COMPRESSION": "true"}
    command = [sys.executable, "-m", "leed_agentic", "demo", "generate", "--model", "stand-in", "--agents", "2"]
    environment = {**os.environ, **switched_on, **keys, **plain}
    done = subprocess.run([*command, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long
def test_langsmith_gets_nothing_before_it_is_asked_for_and_everything_after(
    tmp_path: Path, collector: tuple[str, list[bytes]]
) -> None:
    endpoint, bodies = collector
    run(tmp_path, endpoint)
    assert bodies == []
    run(tmp_path, endpoint, "-s", "model.tracing=[langsmith]")
    sent = b"".join(bodies)
    assert b"start edge" in sent
    assert b"leed-demonstrations" in sent
    assert b"CANARY" not in sent


def test_a_handler_of_ones_own_sees_the_graph_and_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from leed_agentic.demonstrations.generate import generate
    from leed_agentic.demonstrations.replay import settings_for_run

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("own_tracing_of_a_test.py").write_text(
        "from langchain_core.callbacks import BaseCallbackHandler\n"
        "seen = []\n"
        "class Watch(BaseCallbackHandler):\n"
        "    def on_chain_start(self, serialized, inputs, **more): seen.append(more.get('name'))\n"
        "    def on_chat_model_start(self, serialized, messages, **more): seen.append(messages[0][-1].content)\n",
        encoding="utf-8",
    )
    wanted = {"scenario.agents": 2, "model.name": "stand-in", "model.tracing": ["own_tracing_of_a_test.Watch"]}
    generate(settings_for_run(overrides=wanted), tmp_path / "run")
    import own_tracing_of_a_test  # type: ignore[import-not-found]

    seen = own_tracing_of_a_test.seen
    assert {"plan", "validate", "execute", "critique"} <= set(seen)
    assert any("start edge" in str(step) for step in seen)
    assert json.loads((tmp_path / "run" / "settings.json").read_text())["model"]["tracing"] == wanted["model.tracing"]


def test_what_the_environment_switched_on_is_off_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    from langsmith.run_helpers import tracing_context
    from langsmith.utils import tracing_is_enabled

    with tracing_context(enabled=True):
        assert tracing_is_enabled()
        with traced(ModelSettings(name="stand-in")) as callbacks:
            assert callbacks == []
            assert not tracing_is_enabled()


@pytest.mark.parametrize(
    ("tracing", "said"),
    [
        ("langsmiht", "did you mean 'langsmith'?"),
        ("langsmith", "LANGSMITH_API_KEY"),
        ("nowhere_at_all.Handler", "Cannot import"),
        ("json.dumps", "cannot be set up"),
        ("builtins.dict", "no LangChain callback handler"),
    ],
)
def test_a_tracer_that_cannot_be_is_refused_before_anything_is_asked(tracing: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as raised:
        ModelCaller(ModelSettings(name="stand-in", tracing=(tracing,)), None, {})
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["LANGCHAIN_TRACING", "LANGCHAIN_HANDLER"])
def test_a_variable_that_stops_langchain_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "true")
    with pytest.raises(UsageError, match=f"{name}; unset it"):
        check_tracing(ModelSettings(name="stand-in"))
