"""A comparison as logs of Inspect (inspect-ai): one log for each model with its prompts, one sample a trial.

The format is Inspect's JSON, version 2; its package is not needed to write it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from leed_agentic.comparing.comparison import AXES, SCENARIO
from leed_agentic.comparing.comparison_table import WORDS
from leed_agentic.runs.files import write_text

VERSION = 2
TASK = "leed_routes"
TARGET = "Every agent has a route that can be driven to its destination."
SCORES = ("validity_before", "validity", "travel_time_ratio", "reward", "arrival_rate")
_SHORT = {figure: word for word, figure in WORDS.items()}
_STOPS = {"stop": "stop", "length": "max_tokens", "content_filter": "content_filter"}


def write_logs(trials: Sequence[Mapping[str, Any]], packages: Mapping[str, str], made: str, out: Path) -> Path:
    """Write a log per arm into the folder `out`; returns it.

    Args:
        trials: as the lines of the JSON lines export: figures by name, and what was said under `calls`.
        packages: name to version, of what made the comparison.
        made: when, in ISO 8601 with the offset from UTC.

    Raises:
        UnwritableError: a file cannot be written.
    """
    arms: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for trial in trials:
        arms.setdefault(tuple(str(trial[axis]) for axis in AXES if axis not in SCENARIO), []).append(trial)
    for arm, rows in arms.items():
        log = _log(rows, packages, made)
        digest = hashlib.sha256("\0".join(arm).encode()).hexdigest()[:22]
        name = f"{made.replace(':', '-')}_{TASK.replace('_', '-')}_{digest}.json"
        write_text(out / name, json.dumps(log, ensure_ascii=False, indent=1) + "\n")
    return out


def _log(rows: Sequence[Mapping[str, Any]], packages: Mapping[str, str], made: str) -> dict[str, Any]:
    samples = [_sample(row) for row in rows]
    first = rows[0]
    arguments = {axis: first[axis] for axis in AXES if axis not in (*SCENARIO, "model")}
    return {
        "version": VERSION,
        "status": "success",
        "eval": {
            "created": made,
            "task": TASK,
            "task_args": arguments,
            "dataset": {
                "name": "scenarios",
                "samples": len({sample["id"] for sample in samples}),
                "sample_ids": list(dict.fromkeys(sample["id"] for sample in samples)),
                "shuffled": False,
            },
            "model": first["model"],
            "config": {"epochs": max(sample["epoch"] for sample in samples)},
            "packages": dict(packages),
        },
        "results": {
            "total_samples": len(samples),
            "completed_samples": len(samples),
            "scores": [score for name in SCORES if (score := _mean_of(_SHORT.get(name, name), samples))],
        },
        "stats": {"started_at": made, "completed_at": made, "model_usage": _usage(first["model"], rows)},
        "samples": samples,
    }


def _mean_of(name: str, samples: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The metric of one score; None where no trial has it."""
    known = [sample["scores"][name]["value"] for sample in samples if name in sample["scores"]]
    if not known:
        return None
    metric = {"mean": {"name": "mean", "value": float(np.mean(known))}}
    counts = {"scored_samples": len(known), "unscored_samples": len(samples) - len(known)}
    return {"name": name, "scorer": name, **counts, "metrics": metric}


def _sample(row: Mapping[str, Any]) -> dict[str, Any]:
    calls = row["calls"]
    asked = [_message(message) for message in calls[0]["messages"]] if calls else []
    found = {
        "id": f"{row['map']}, {row['agents']} agents, seed {row['seed']}",
        "epoch": row["sample"] + 1,
        "input": asked or "No call is recorded.",
        "target": TARGET,
        "messages": _conversation(calls),
        "scores": {_SHORT.get(name, name): {"value": row[name]} for name in SCORES if row[name] is not None},
        "metadata": {name: value for name, value in row.items() if name != "calls"},
        "model_usage": _usage(row["model"], [row]),
    }
    if calls:
        last = calls[-1]
        stop = _STOPS.get(str(last["finish_reason"]), "unknown")
        message = {**_reply(last), "source": "generate"}
        choice = {"message": message, "stop_reason": stop}
        found["output"] = {"model": row["model"], "choices": [choice], "completion": message["content"]}
        found["working_time"] = row["seconds"]
    return found


def _conversation(calls: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """All calls in a row; what a call repeats of the one before it, such as a common beginning, stands there once."""
    found: list[dict[str, Any]] = []
    before: list[dict[str, Any]] = []
    for call in calls:
        asked = [_message(message) for message in call["messages"]]
        same = 0
        while same < min(len(before), len(asked)) and before[same] == asked[same]:
            same += 1
        before = [*asked, _reply(call)]
        found += before[same:]
    return found


def _reply(call: Mapping[str, Any]) -> dict[str, Any]:
    """A call that failed has none."""
    return _message({"role": "assistant", "content": call["reply"] or ""})


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    # Half a surrogate pair is valid in JSON's escapes, but no reader in UTF-8 takes it.
    text = str(message["content"]).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return {"role": message["role"], "content": text}


def _usage(model: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Tokens by model; empty where they are unknown."""
    tokens = [(row["input_tokens"], row["output_tokens"]) for row in rows]
    if any(None in pair for pair in tokens):
        return {}
    read, written = (sum(pair) for pair in zip(*tokens, strict=True))
    return {model: {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}}
