"""LangGraph's development server serves the graph: schemas, two equal runs, a wrong input."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("langgraph_api", reason="langgraph-cli[inmem] is not installed")
ROOT = Path(__file__).parents[2]


class Server:
    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        settings = {"LEED_MODEL__NAME": "stand-in", "LEED_SCENARIO__AGENTS": "3", "PYTHONPATH": str(ROOT)}
        config = json.loads((ROOT / "langgraph.json").read_text(encoding="utf-8"))
        config["dependencies"] = [str(ROOT)]
        config["graphs"] = {name: str(ROOT / where) for name, where in config["graphs"].items()}
        (folder / "langgraph.json").write_text(json.dumps(config))
        command = [sys.executable, "-m", "langgraph_cli", "dev", "--no-browser", "--no-reload", "--port", str(port)]
        self.log = (folder / "log").open("w")
        self.process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **settings}, stdout=self.log, stderr=subprocess.STDOUT
        )

    def wait(self) -> None:
        for _ in range(600):
            try:
                self.get("/ok")
                return
            except OSError:
                assert self.process.poll() is None, Path(self.log.name).read_text()
                time.sleep(0.1)
        raise AssertionError(Path(self.log.name).read_text())

    def get(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"})  # noqa: S310
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
            return json.load(answer)

    def run(self, **given: Any) -> Any:
        return self.get("/runs/wait", {"assistant_id": "demonstrations", "input": given})

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        self.log.close()


@pytest.mark.long
def test_the_development_server(tmp_path: Path) -> None:
    server = Server(tmp_path)
    try:
        server.wait()
        assistant = server.get("/assistants/search", {})[0]["assistant_id"]
        schemas = server.get(f"/assistants/{assistant}/schemas")
        for name in ("input_schema", "output_schema", "state_schema", "context_schema"):
            assert schemas[name]["properties"], name
        drawn = {node["id"] for node in server.get(f"/assistants/{assistant}/graph")["nodes"]}
        assert {"plan", "validate", "review", "execute", "critique", "refine"} < drawn
        first = server.run(agents=2)
        assert sorted(first["routes"]) == ["0", "1"]
        assert first["summary"]["arrival_rate"] == 1.0
        assert server.run(agents=2) == first
        assert len(server.run()["routes"]) == 3
        assert server.run(agent=2)["__error__"]["error"] == "UsageError"
        assert "BlockingError" not in (tmp_path / "log").read_text()
    finally:
        server.close()
