"""`leed policy export` and the file it writes: the same policy as in the run, used without the run."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from leed_agentic import load_run, make_env
from leed_agentic.errors import UsageError
from leed_agentic.learning.policy import Policy
from leed_agentic.learning.session import take_up
from leed_agentic.traffic.trajectory import drive, random_policy
from tests.conftest import SHORT

FILE = Path("run", "policies", "agent_1.safetensors")


@pytest.fixture
def exported(leed, trained):
    assert leed("policy", "export", trained, "--agent", "1").code == 0
    return trained


@pytest.mark.slow
@pytest.mark.parametrize(
    ("algorithm", "settings"),
    [
        ("ippo", "encoding=codes"),
        ("ippo", "encoding=onehot"),
        ("ippo", "encoding=raw"),
        ("ippo", "activation=tanh"),
        ("mappo", "mappo.agent_id=true"),
        ("mappo", "mappo.agent_id=false"),
    ],
)
def test_probabilities_are_those_of_the_run(leed, algorithm, settings):
    words = ("--algorithm", algorithm, "-s", f"learning.{settings}", "-s", "learning.learning_rate=0.01")
    assert leed("train", *SHORT, *words, "--out", "run").code == 0
    result = leed("policy", "export", "run", "--agent", "1", "--out", "mine.safetensors", "--json")
    told = json.loads(result.out)
    assert (result.code, told["file"], told["agent"]) == (0, "mine.safetensors", 1)
    policy = Policy.load("mine.safetensors")
    session = take_up(Path("run"), with_source=False)
    try:
        seen = [drive(session.world.env, random_policy(seed)).trajectories[1] for seed in range(5)]
        algorithm = session.trainer.algorithm
        algorithm.deterministic = True
        compared = [
            (algorithm.actor.probabilities(1, o, m), algorithm.choose(1, o, m), o, m)
            for trajectory in seen
            for o, m in zip(trajectory.observations, trajectory.masks, strict=True)
        ]
        policy.check(session.world.env.network)
    finally:
        session.close()
    assert max(np.abs(p - m / m.sum()).max() for p, _, _, m in compared) > 0.01
    for probabilities, action, observation, mask in compared:
        np.testing.assert_allclose(policy.probabilities(observation, mask), probabilities, atol=1e-6)
        assert policy(observation, mask) == action


@pytest.mark.slow
def test_drawn_actions_follow_the_probabilities_and_the_mask(exported):
    policy, generator = Policy.load(FILE), np.random.default_rng(0)
    mask = np.zeros(policy.actions, dtype=np.int8)
    mask[:2] = 1
    observation = np.zeros(2 + 2 * policy.actions, dtype=np.float32)
    drawn = np.bincount([policy(observation, mask, generator) for _ in range(4000)], minlength=policy.actions)
    np.testing.assert_allclose(drawn / 4000, policy.probabilities(observation, mask), atol=0.03)
    assert drawn[2:].sum() == 0


@pytest.mark.slow
def test_the_file_says_what_it_is_and_needs_no_torch(exported):
    facts = Policy.load(FILE).facts
    assert (facts["map"], facts["agent"], facts["trained_episodes"], len(facts["junctions"])) == (
        *("braunschweig", 1, 6),
        78,
    )
    code = "import sys; from leed_agentic.learning.policy import Policy; Policy.load(sys.argv[1]); "
    code += "sys.exit(any(name in sys.modules for name in ('torch', 'libsumo', 'pettingzoo')))"
    subprocess.run([sys.executable, "-c", code, str(FILE)], check=True)


@pytest.mark.slow
def test_the_run_may_be_gone_and_the_documented_lines_work(leed):
    page = Path(__file__).parents[2] / "docs" / "evaluation.md"
    snippet = re.search(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL).group(1)
    assert leed("train", "--episodes", "6", "--steps", "40", "--algorithm", "ippo", "--out", "first_training").code == 0
    assert leed("policy", "export", "first_training", "--agent", "3").code == 0
    for part in Path("first_training").iterdir():
        if part.name != "policies":
            shutil.rmtree(part) if part.is_dir() else part.unlink()
    names: dict[str, object] = {}
    exec(snippet, names)  # noqa: S102 - the documentation's own lines
    names["env"].close()
    assert names["mask"][names["action"]] == 1


@pytest.mark.slow
def test_another_map_or_another_shape_is_refused(exported, berlin):
    policy = Policy.load(FILE)
    with pytest.raises(UsageError, match="another network"):
        policy.check(berlin)
    mask = np.ones(policy.actions, dtype=np.int8)
    observation = np.zeros(2 + 2 * policy.actions, dtype=np.float32)
    for wrong_observation, wrong_mask in ((observation[:-1], mask), (observation, mask[:-1]), (observation, 0 * mask)):
        with pytest.raises(UsageError, match="takes an observation of shape"):
            policy(wrong_observation, wrong_mask)
    observation[0] = 300
    with pytest.raises(UsageError, match="map braunschweig lacks"):
        policy(observation, mask)


def cut(whole):
    return whole[: len(whole) // 2]


def flipped(whole):
    return whole[:-5] + bytes([whole[-5] ^ 0x10]) + whole[-4:]


def relabelled(whole):
    return whole.replace(b'agent\\": 1', b'agent\\": 0')


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (cut, "Cannot read the policy"),
        (flipped, "changed or damaged"),
        (relabelled, "changed or damaged"),
        (lambda whole: b"", "Cannot read the policy"),
    ],
)
def test_a_damaged_file_is_refused(exported, damage, words):
    whole = FILE.read_bytes()
    assert damage(whole) != whole
    FILE.write_bytes(damage(whole))
    with pytest.raises(UsageError, match=words):
        Policy.load(FILE)


def test_a_foreign_or_absent_file_is_refused(exported):
    with pytest.raises(UsageError, match="not of format leed-policy"):
        Policy.load(next(exported.glob("checkpoints/*/tensors.safetensors")))
    save_file({"x": np.zeros(1)}, "foreign.safetensors", {"leed-policy": "[1]"})
    save_file({"x": np.zeros(1)}, "later.safetensors", {"leed-policy": '{"version": 2, "sha256": ""}'})
    with pytest.raises(UsageError, match="has version 2"):
        Policy.load("later.safetensors")
    for name in ("foreign.safetensors", "absent.safetensors", "run/run.json", "run"):
        with pytest.raises(UsageError, match="Cannot read the policy"):
            Policy.load(name)


def test_exporting_again_replaces_the_default_file_and_nothing_else(leed, exported):
    before = FILE.read_bytes()
    assert leed("policy", "export", exported, "--agent", "1").code == 0
    assert FILE.read_bytes() == before
    result = leed("policy", "export", exported, "--agent", "1", "--out", "run/run.json")
    assert result.code == 2
    assert "exists" in result.err


@pytest.mark.parametrize(
    ("agent", "damage", "reason"),
    [
        ("99", None, "There is no agent 99; run has agents 0 to 1"),
        ("-1", None, "There is no agent -1"),
        ("1", "run.json", "not a training run"),
        ("1", "checkpoints", "holds no checkpoint"),
    ],
)
def test_bad_input_is_one_sentence(leed, trained, agent, damage, reason):
    if damage:
        (trained / damage).rename("elsewhere")
    result = leed("policy", "export", trained, "--agent", agent)
    assert (result.code, result.out) == (2, "")
    (complaint,) = [line for line in result.err.splitlines() if not line.startswith("Warning: ")]
    assert complaint.startswith("Error: ")
    assert reason in complaint


def test_a_place_that_cannot_be_written(leed, trained):
    result = leed("policy", "export", trained, "--agent", "0", "--out", "run/run.json/agent.safetensors")
    assert result.code == 3
    assert "Error: Cannot write" in result.err


def test_an_algorithm_without_policies_cannot_be_exported(leed, follower):
    assert leed("train", *SHORT, "--algorithm", follower, "--out", "run").code == 0
    result = leed("policy", "export", "run", "--agent", "0", "--trust")
    assert result.code == 2
    assert "no policy network per agent" in result.err


@pytest.mark.slow
def test_action_values_are_no_policy(leed):
    assert leed("train", *SHORT, "--algorithm", "qmix", "--out", "run").code == 0
    result = leed("policy", "export", "run", "--agent", "0")
    assert result.code == 2
    assert "Algorithm qmix has no policy network per agent" in result.err
    assert len(result.err.strip().splitlines()) == 1


def test_all_agents_leave_in_one_folder_with_a_card(leed, trained):
    result = leed("policy", "export", trained, "--out", "mine", "--json")
    told = json.loads(result.out)
    assert (result.code, told["files"]) == (0, ["agent_0.safetensors", "agent_1.safetensors", "README.md"])
    assert [Policy.load(f"mine/agent_{agent}.safetensors").agent for agent in range(2)] == [0, 1]
    _, head, body = Path("mine/README.md").read_text(encoding="utf-8").split("---\n", 2)
    card = yaml.safe_load(head)
    assert (card["library_name"], card["pipeline_tag"]) == ("leed-agentic", "reinforcement-learning")
    figures = {m["type"]: m["value"] for m in card["model-index"][0]["results"][0]["metrics"]}
    assert any(f"{words}: {value:.4g}" in body for words, value in figures.items())
    assert "OpenStreetMap" in body or "not stated" in body
    again = leed("policy", "export", trained, "--out", "mine")
    assert (again.code, "mine exists" in again.err) == (2, True)


def test_policies_load_while_an_environment_is_open(leed, trained):
    env = make_env(agents=2)
    try:
        observations, infos = env.reset(seed=0)
        policies = load_run(trained).policies()
        for policy, name in zip(policies, env.agents, strict=True):
            mask = infos[name]["action_mask"]
            assert mask[policy(observations[name], mask)]
        assert load_run(trained).policy(1).facts == policies[1].facts
    finally:
        env.close()


@pytest.mark.parametrize("encoding", ["codes", "onehot", "raw"])
def test_onnx_says_what_the_policy_says(leed, encoding):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    run = pytest.importorskip("onnxruntime")
    words = ("--algorithm", "ippo", "-s", f"learning.encoding={encoding}", "-s", "learning.learning_rate=0.01")
    assert leed("train", *SHORT, *words, "--out", "run").code == 0
    assert leed("policy", "export", "run", "--format", "onnx").code == 0
    assert leed("policy", "export", "run", "--agent", "1").code == 0
    policy = Policy.load(FILE)
    generator, count = np.random.default_rng(0), 500
    observations = generator.exponential(100.0, (count, 2 + 2 * policy.actions)).astype(np.float32)
    numbers = policy.facts["encoding"]["numbers"]
    observations[:, numbers] = generator.integers(-1, len(policy.facts["junctions"]), (count, len(numbers)))
    masks = (generator.random((count, policy.actions)) < 0.5).astype(np.float32)
    masks[:, 2] = 1
    session = run.InferenceSession("run/policies/agent_1.onnx")
    (found,) = session.run(None, {"observation": observations, "action_mask": masks})
    own = [policy.probabilities(o, m) for o, m in zip(observations, masks, strict=True)]
    np.testing.assert_allclose(found, own, atol=1e-5)
    assert not found[masks == 0].any()


def test_onnx_without_onnx_is_one_sentence(leed, trained, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    result = leed("policy", "export", trained, "--agent", "1", "--format", "onnx")
    assert result.code == 2
    assert 'pip install "leed-agentic[onnx]".' in result.err
