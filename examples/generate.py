"""Plan routes for a few cars with a language model, drive them in SUMO, and look at what came of it.

python examples/generate.py                                  # the stand-in: no language model is called
python examples/generate.py --model openai:gpt-4o-mini       # with OPENAI_API_KEY set
"""

import argparse
from pathlib import Path

from leed_agentic.demonstrations.generate import generate
from leed_agentic.settings import load_settings

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--map", default="braunschweig", help="a named map, a SUMO network or an OpenStreetMap file")
parser.add_argument("--model", default="stand-in", help="provider:name, replay or stand-in")
parser.add_argument("--agents", type=int, default=3)
parser.add_argument("--out", type=Path, default=Path("example_routes"), help="a new folder")
given = parser.parse_args()

# Every setting has a name; `leed ... -s NAME=VALUE` takes the same ones.
settings = load_settings(
    overrides={"map.name": given.map, "model.name": given.model, "scenario.agents": given.agents, "seed": 1}
)
result = generate(settings, out=given.out, progress=print)

for plan in result.demonstrations.rounds:
    print(f"round {plan.round}: {plan.validity:.0%} of the agents have a valid route")
    for finding in plan.findings:
        print(f"  {finding['message']}")
for agent, edges in result.demonstrations.routes.items():
    print(f"agent {agent} drives {len(edges)} edges, from {edges[0]} to {edges[-1]}")
print(f"arrived: {result.summary['arrival_rate']:.0%}, mean reward: {result.summary['reward_mean']:.1f}")
print(f"picture: {result.folder / 'routes.png'}")
