"""`leed evaluate` as a user meets it: its rows, its seeds, what it leaves behind, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from leed_agentic.learning.evaluation import evaluation_seeds
from leed_agentic.learning.rollout import RouteWorld
from leed_agentic.learning.session import take_up
from leed_agentic.traffic.trajectory import drive, fastest_path, follow
from tests.conftest import SHORT

PLAN = "plan (graph, stand-in: no LLM was called)"


def rows(result):
    return {row["driver"]: row for row in json.loads(result.out)["drivers"]}


def contents(folder):
    return {f: f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file() and f.name != "evaluation.json"}


@pytest.mark.slow
def test_four_drivers_on_the_same_seeds_and_an_untouched_run(leed, trained):
    before = contents(trained)
    result = leed("evaluate", trained, "--episodes", "3", "--json")
    assert result.code == 0
    told = json.loads(result.out)
    assert list(rows(result)) == ["leed (sampled)", "random", "shortest path", PLAN]
    assert (told["trained_episodes"], told["agents"], told["seeds"]) == (6, 2, evaluation_seeds(0, 3))
    assert all(len(row["rewards"]) == 3 and row["agents"] == 2 for row in told["drivers"])
    assert rows(result)["random"]["reward_std"] > 0
    assert rows(result)["leed (sampled)"]["reward_std"] > 0
    assert (rows(result)["shortest path"]["reward_std"], rows(result)[PLAN]["reward_std"]) == (0.0, 0.0)
    assert rows(result)["shortest path"]["travel_time_ratio"] == 1.0
    assert json.loads((trained / "evaluation.json").read_text()) == told
    assert contents(trained) == before
    # A second evaluation finds the same, replaces the file, and the run can still go on.
    assert leed("evaluate", trained, "--episodes", "3", "--json").out == result.out
    assert leed("train", "--resume", trained).code == 0


@pytest.mark.slow
def test_the_figures_are_those_of_driving_it_by_hand(leed, trained):
    leed("evaluate", trained, "--episodes", "2", "--deterministic", "--json")
    found = {r["driver"]: r for r in json.loads((trained / "evaluation.json").read_text())["drivers"]}
    session = take_up(trained, with_source=False)
    try:
        env, actor, experts = session.world.env, session.trainer.algorithm.actor, session.trainer.experts
        likeliest = drive(env, lambda _, agent, seen, mask: int(actor.probabilities(agent, seen, mask).argmax()))
        shortest = drive(env, fastest_path)
        planned = drive(env, follow({agent: t.route for agent, t in experts.items()}))
    finally:
        session.close()
    own = found["leed (likeliest action)"]
    assert own["rewards"] == [likeliest.mean_reward] * 2
    assert own["reward_std"] == 0.0
    plan = found[PLAN]
    assert (plan["reward_mean"], plan["arrival_rate"]) == (planned.mean_reward, planned.arrival_rate)
    home = [a for a, t in planned.trajectories.items() if t.arrived and shortest.trajectories[a].arrived]
    assert home
    seconds = [(planned.trajectories[a].travel_seconds, shortest.trajectories[a].travel_seconds) for a in home]
    assert plan["travel_time_ratio"] == pytest.approx(np.mean([own / best for own, best in seconds]))


@pytest.mark.slow
def test_training_never_met_the_seeds_of_an_evaluation(leed, monkeypatch):
    met, episode = [], RouteWorld.episode
    monkeypatch.setattr(
        RouteWorld, "episode", lambda self, choose, seed: met.append(seed) or episode(self, choose, seed)
    )
    for seed in (0, 1, 2):
        assert leed("train", *SHORT, "--source", "none", "--seed", seed, "--out", f"run_{seed}").code == 0
    assert len(set(met)) == 18
    used = [s for seed in (0, 1, 2) for s in evaluation_seeds(seed, 1000)]
    assert len(set(used)) == 3000
    assert not set(used) & set(met)


@pytest.mark.slow
def test_with_driver_noise_every_driver_varies(leed):
    words = ("--source", "shortest-path", "-s", "environment.driver_noise=0.9", "--out", "run")
    assert leed("train", *SHORT, *words).code == 0
    result = leed("evaluate", "run", "--episodes", "3", "--json")
    assert rows(result)["shortest path"]["reward_std"] > 0
    assert rows(result)["plan (shortest-path)"]["rewards"] == rows(result)["shortest path"]["rewards"]
    assert "std 0" not in leed("evaluate", "run", "--episodes", "1").out


@pytest.mark.slow
def test_a_plan_for_some_agents_says_for_how_many_and_who_made_it(leed, trained):
    file = trained / "demonstrations" / "000000.json"
    data = json.loads(file.read_text())
    del data["routes"]["1"]
    Path("part.json").write_text(json.dumps(data))
    result = leed("evaluate", trained, "--episodes", "1", "--demonstrations", "part.json")
    assert "plan (part.json, stand-in: no LLM was called), 1 of 2 agents" in result.out
    assert "std 0" in result.out
    data["provenance"] = {"source": "graph"}
    Path("part.json").write_text(json.dumps(data))
    result = leed("evaluate", trained, "--episodes", "1", "--demonstrations", "part.json", "--json")
    assert rows(result)["plan (part.json, graph)"]["agents"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "reason"),
    [(("--source", "none"), "started with source none"), (("--algorithm", "ippo"), "ippo uses no demonstrations")],
)
def test_without_demonstrations_there_is_no_plan_and_the_reason_is_told(leed, words, reason):
    assert leed("train", *SHORT, *words, "--out", "run").code == 0
    result = leed("evaluate", "run", "--episodes", "1", "--json")
    assert (result.code, len(rows(result))) == (0, 3)
    assert reason in result.err


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["mappo", pytest.param("qmix", marks=pytest.mark.long)])
def test_baselines_ask_no_source_and_can_be_evaluated(leed, algorithm):
    words = ("--algorithm", algorithm, "--source", "shortest-path", "--out", "run", "--json")
    trained = leed("train", *SHORT, *words)
    assert (trained.code, json.loads(trained.out)["source"], json.loads(trained.out)["triggers"]) == (0, "none", 0)
    shown = leed("evaluate", "run", "--episodes", "2", "--deterministic", "--json")
    assert shown.code == 0
    assert json.loads(shown.out)["drivers"][0]["driver"] == f"{algorithm} (likeliest action)"
    assert f"algorithm {algorithm} uses no demonstrations" in shown.err


@pytest.mark.slow
def test_any_algorithm_that_chooses_can_be_evaluated(leed, follower):
    assert leed("train", *SHORT, "--algorithm", follower, "--out", "run").code == 0
    result = leed("evaluate", "run", "--episodes", "2", "--trust", "--json")
    assert result.code == 0
    assert rows(result)["follower.First (sampled)"]["reward_std"] == 0.0


@pytest.mark.slow
def test_a_run_of_a_machine_with_a_gpu_is_evaluated_on_one_without(leed, trained):
    file = trained / "run.json"
    file.write_text(file.read_text().replace('"device": "cpu"', '"device": "meta"'))
    assert '"meta"' in file.read_text()
    assert leed("evaluate", trained, "--episodes", "1").code == 0
    assert leed("policy", "export", trained, "--agent", "0").code == 0


def no_run(trained):
    shutil.rmtree(trained)
    trained.mkdir()


def no_checkpoint(trained):
    shutil.rmtree(trained / "checkpoints")


def cut_checkpoint(trained):
    file = sorted(trained.glob("checkpoints/*/tensors.safetensors"))[-1]
    file.write_bytes(file.read_bytes()[:1000])


def as_it_is(trained):
    pass


@pytest.mark.parametrize(
    ("damage", "words", "reason"),
    [
        (no_run, (), "not a training run"),
        (no_checkpoint, (), "holds no checkpoint"),
        (cut_checkpoint, (), "truncated or changed"),
        (as_it_is, ("--episodes", "0"), "--episodes must be 1 or more"),
        (as_it_is, ("--demonstrations", "absent.json"), "There is no absent.json"),
        (as_it_is, ("--demonstrations", "run/run.json"), "not of format leed-demonstrations"),
    ],
)
def test_bad_input_is_one_sentence(leed, trained, damage, words, reason):
    damage(trained)
    result = leed("evaluate", trained, *words)
    assert (result.code, result.out) == (2, "")
    complaint = [line for line in result.err.splitlines() if line.startswith("Error: ")]
    assert len(complaint) == 1
    assert reason in complaint[0]
    assert not (trained / "evaluation.json").exists()


@pytest.mark.slow
def test_demonstrations_of_another_scenario_are_refused(leed, trained):
    assert leed("train", *SHORT, "--seed", "1", "--source", "shortest-path", "--out", "other").code == 0
    result = leed("evaluate", trained, "--demonstrations", "other/demonstrations/000000.json")
    assert result.code == 2
    assert "another scenario" in result.err
