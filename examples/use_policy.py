"""Drive cars with the policies that examples/train.py learned, and print the way that each of them takes.

python examples/use_policy.py example_training
"""

import argparse
from contextlib import closing
from pathlib import Path

from leed_agentic.learning.session import take_up

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("run", type=Path, nargs="?", default=Path("example_training"), help="a folder of training")
given = parser.parse_args()

# The latest checkpoint; `with_source=False`: it shall drive, not learn on.
with closing(take_up(given.run, with_source=False)) as session:
    env = session.world.env  # PettingZoo's parallel API
    policies = {name: session.policy(number) for number, name in enumerate(env.possible_agents)}

    observations, infos = env.reset(seed=0)
    ways = {name: [info["edge"]] for name, info in infos.items()}
    earned = dict.fromkeys(policies, 0.0)
    arrived = set()
    while env.agents:
        # In mid-edge a car has no choice to make. A policy is a function: the likeliest of the legal actions.
        actions = {
            name: policies[name](observations[name], infos[name]["action_mask"])
            for name in env.agents
            if infos[name]["decides"]
        }
        observations, rewards, terminations, truncations, infos = env.step(actions)
        for name, info in infos.items():
            earned[name] += rewards[name]
            if info["edge"] != ways[name][-1]:
                ways[name].append(info["edge"])
        arrived |= {name for name, ended in terminations.items() if ended}

for name, way in ways.items():
    print(
        f"{name} {'arrived' if name in arrived else 'is still on its way'}, reward {earned[name]:.1f}, {len(way)} edges"
    )
