"""What a report says of its own making."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from leed_agentic.experiments.experiment import Experiment, Run
from leed_agentic.learning.run_folder import read_versions
from leed_agentic.versions import package_versions


def versions() -> dict[str, Any]:
    """Of what decides the numbers, here and now."""
    return {"versions": package_versions(), "python": platform.python_version()}


def manifest(
    experiment: Experiment, runs: Sequence[Run], parent: Path, command: str, failed: Mapping[str, str]
) -> dict[str, Any]:
    """Command, versions, seeds and folders of an experiment's runs."""
    # Runs may have been made at other times: their versions are told where they differ from these.
    made_with = {json.dumps(read_versions(parent / run.key), sort_keys=True) for run in runs}
    references = dict.fromkeys(run.reference_key for run in runs) if experiment.references else ()
    return {
        "experiment": experiment.name,
        "question": experiment.question,
        "command": command,
        **versions(),
        "versions_of_runs": [json.loads(text) for text in sorted(made_with)],
        "seeds": sorted({run.seed for run in runs}),
        "runs": [
            {"arm": r.arm, "map": r.map, "agents": r.settings.scenario.agents, "seed": r.seed, "folder": r.key}
            for r in runs
        ],
        "references": [key for key in references if (parent / key).is_dir()],
        "failed": dict(failed),
    }
