"""A comparison's trials as Inspect's own package reads them."""

from __future__ import annotations

from typing import Any

import pytest

from leed_agentic.comparing.inspect_log import write_logs

WHEN = "2026-11-01T12:00:00+00:00"


def call(question: str, reply: str | None, reason: str | None = "stop") -> dict[str, Any]:
    messages = [{"role": "system", "content": "Plan."}, {"role": "user", "content": question}]
    return {"messages": messages, "purpose": "fleet", "reply": reply, "finish_reason": reason, "seconds": 1.0}


def trial(seed: int, valid: float, sample: int = 0, **changes: Any) -> dict[str, Any]:
    arm = {"model": "tiny", "prompts": "default", "planning": "fleet", "feedback": "leed"}
    figures = {"validity_before": valid / 2, "validity": valid, "reward": 3.5, "arrival_rate": 1.0}
    where = {"map": "grid", "agents": 5, "seed": seed, "sample": sample, "rounds": 1}
    took = {"calls": [call("Where?", "{}"), call("Again?", '{"0": ["a"]}', "length")], "seconds": 2.0}
    tokens = {"input_tokens": 100, "output_tokens": 10}
    return {**arm, **where, **figures, "travel_time_ratio": None, **tokens, **took, **changes}


@pytest.mark.slow
def test_one_log_per_arm_and_a_sample_per_trial_with_scores_and_conversation(tmp_path):
    log = pytest.importorskip("inspect_ai.log")
    trials = [trial(0, 1.0), trial(0, 0.0, sample=1), trial(1, 0.5), trial(0, 0.2, prompts="mine")]
    write_logs(trials, {"leed-agentic": "1"}, WHEN, tmp_path)
    found = [log.read_eval_log(entry) for entry in log.list_eval_logs(str(tmp_path))]
    first = next(one for one in found if one.eval.task_args["prompts"] == "default")
    assert len(found) == 2
    assert (first.status, first.eval.model, first.eval.config.epochs) == ("success", "tiny", 2)
    assert [(s.id, s.epoch, s.scores["valid"].value) for s in first.samples] == [
        *(("grid, 5 agents, seed 0", 1, 1.0), ("grid, 5 agents, seed 0", 2, 0.0), ("grid, 5 agents, seed 1", 1, 0.5))
    ]
    scores = {score.name: score.metrics["mean"].value for score in first.results.scores}
    assert scores == {"valid_first": 0.25, "valid": 0.5, "reward": 3.5, "arrived": 1.0}
    sample = first.samples[0]
    # The system's message stands there once, though every call had it.
    assert [message.role for message in sample.messages] == ["system", "user", "assistant", "user", "assistant"]
    assert (sample.output.completion, sample.output.stop_reason) == ('{"0": ["a"]}', "max_tokens")
    assert sample.model_usage["tiny"].total_tokens == 110


@pytest.mark.slow
def test_trials_without_tokens_calls_or_whole_characters(tmp_path):
    log = pytest.importorskip("inspect_ai.log")
    odd = [call("Where?", None, None), call("Where?", "half \ud83d of one")]
    write_logs([trial(0, 0.0, calls=odd, input_tokens=None), trial(1, 0.0, calls=[])], {}, WHEN, tmp_path)
    (file,) = tmp_path.iterdir()
    first, second = log.read_eval_log(str(file)).samples
    assert (first.model_usage, first.output.completion) == ({}, "half \ufffd of one")
    assert second.messages == []
