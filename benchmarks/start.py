"""What `leed demo generate` spends before its first node: processor time and seconds until its events begin.

python benchmarks/start.py [--repeats 5] [words of `leed demo generate` ...]

The command runs in a process of its own, as a user's does, until its graph tells of its first node. Its modules are
compiled before: pip does so when it installs, and an environment that keeps no compiled files (PYTHONDONTWRITEBYTECODE)
would have Python compile this package at every start.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

UNTIL_FIRST_NODE = """
import os, sys, time
from leed_agentic.garbage import look_seldom
look_seldom()
from leed_agentic.demonstrations import nodes
def first(*told, **more):
    os.write(1, f"FIRST {time.process_time()}".encode())
    os._exit(0)
nodes.tell = first
from leed_agentic.cli.main import main
sys.argv[0] = "leed"
main()
"""


def start(words: list[str], folder: str) -> tuple[float, float]:
    """Seconds of processor and of the clock until the first node."""
    command = [sys.executable, "-c", UNTIL_FIRST_NODE, "demo", "generate", "--json", *words]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    took = time.perf_counter() - began
    if not done.stdout.startswith("FIRST"):
        raise SystemExit(f"The graph told of no node: {done.stderr[-500:]}")
    return float(done.stdout.split()[1]), took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    given, words = parser.parse_known_args()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        # The first one may compile the modules and build the map.
        for attempt in range(given.repeats + 1):
            processor, seconds = start(words, folder)
            if attempt:
                found.append((processor, seconds))
                print(f"{processor:.2f} s of processor, {seconds:.2f} s, load {os.getloadavg()[0]:.1f}")
    processor, seconds = (statistics.median(column) for column in zip(*found, strict=True))
    print(json.dumps({"processor": processor, "seconds": seconds, "least_processor": min(found)[0]}))


if __name__ == "__main__":
    main()
