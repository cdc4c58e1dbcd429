"""Train one policy per car, from its own driving and from demonstrations, and print how it goes.

python examples/train.py                          # demonstrations by the stand-in: no language model is called
python examples/train.py --source shortest-path   # or: logit, none
"""

import argparse
from contextlib import closing
from pathlib import Path

from leed_agentic.learning.session import begin
from leed_agentic.settings import load_settings

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--agents", type=int, default=3)
parser.add_argument("--episodes", type=int, default=30)
parser.add_argument("--source", default="graph", help="of demonstrations: graph, logit, shortest-path or none")
parser.add_argument("--out", type=Path, default=Path("example_training"), help="a new folder")
given = parser.parse_args()

settings = load_settings(
    overrides={
        "scenario.agents": given.agents,
        "learning.episodes": given.episodes,
        "learning.source": given.source,
        "model.name": "stand-in",
    }
)


def show(row):
    """The figures of one episode: a line of metrics.csv."""
    if row["episode"] % 5 == 0:
        print(f"episode {row['episode']}: mean reward {row['reward_mean']:.1f}, arrived {row['arrival_rate']:.0%}")


given.out.mkdir(parents=True)
with closing(begin(settings, given.out, watch=show)) as session:
    rows = session.trainer.run()

best = max(row["reward_mean"] for row in rows)
print(f"{len(rows)} episodes, best mean reward {best:.1f}; `leed evaluate {given.out}` compares it with other drivers")
