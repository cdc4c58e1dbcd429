"""QMIX: its paper's two-step game, the mixing network's monotonicity, and its targets against a loop."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from pettingzoo import ParallelEnv

from leed_agentic.learning.algorithms.qmix import MonotonicMixer, Qmix
from leed_agentic.learning.encoding import Encoding
from leed_agentic.learning.joint import Replay, central_inputs, joint_episode
from leed_agentic.learning.rollout import ParallelWorld
from leed_agentic.learning.trainer import Trainer
from leed_agentic.setting_groups import LearningSettings
from tests.learning.drives import drive

SECOND = {"2A": [[7.0, 7.0], [7.0, 7.0]], "2B": [[0.0, 1.0], [1.0, 8.0]]}


class TwoStep(ParallelEnv):
    """The two-step game of Rashid et al. 2018: agent 1's first action chooses 2A, which always pays 7, or 2B."""

    metadata = {"name": "two_step"}  # noqa: RUF012 - PettingZoo's own form
    possible_agents = ["1", "2"]  # noqa: RUF012

    def observation_space(self, agent):
        return spaces.Box(0, 1, (3,))

    def action_space(self, agent):
        return spaces.Discrete(2)

    def reset(self, seed=None, options=None):
        self.agents, self.at = list(self.possible_agents), "1"
        return self._seen(), {a: {} for a in self.agents}

    def step(self, actions):
        over, paid = self.at != "1", 0.0
        if over:
            paid = SECOND[self.at][actions["1"]][actions["2"]]
            self.agents = []
        else:
            self.at = "2B" if actions["1"] else "2A"
        of_all = [dict.fromkeys(self.possible_agents, value) for value in (paid, over, False)]
        return self._seen(), *of_all, {a: {} for a in self.possible_agents}

    def _seen(self):
        one_hot = np.array([self.at == name for name in ("1", "2A", "2B")], np.float32)
        return dict.fromkeys(self.possible_agents, one_hot)


def greedy_return(mixer, seed):
    """What the greedy policy earns after training with full exploration, as in the paper."""
    qmix = {"mixer": mixer, "team_reward": "mean", "epsilon_end": 1.0, "target_update": 0.02, "updates": 2}
    s = LearningSettings(algorithm="qmix", episodes=700, hidden=32, learning_rate=3e-3, reward_scale=1.0, qmix=qmix)
    world = ParallelWorld(TwoStep())
    learner = Qmix(world.agents, world.actions, world.encoding(s), s, seed)
    Trainer(world, learner, s, seed).run()
    learner.deterministic = True
    return float(np.mean([e.rewards.sum() for e in world.episode(learner.act, 0).experiences.values()]))


@pytest.mark.long
@pytest.mark.parametrize(("mixer", "earned"), [("qmix", 8.0), ("vdn", 7.0), ("none", 7.0)])
def test_the_two_step_game(mixer, earned):
    assert [greedy_return(mixer, seed) for seed in range(3)] == [earned] * 3


@settings(max_examples=50)
@given(
    agents=st.integers(1, 5),
    seed=st.integers(0, 10_000),
    scale=st.floats(0.1, 30.0),
)
def test_no_agent_s_value_lowers_the_team_s(agents, seed, scale):
    generator = torch.Generator().manual_seed(seed)
    mixer = MonotonicMixer(agents, 6, 8, 8, generator)
    values = (scale * torch.randn(20, agents, generator=generator)).requires_grad_()
    states = scale * torch.randn(20, 6, generator=generator)
    total = mixer(values, states)
    assert total.shape == (20,)
    (slopes,) = torch.autograd.grad(total.sum(), values)
    assert (slopes >= 0).all()
    assert slopes.any()


# -- targets -----------------------------------------------------------------------------------------------------------
def fleet(seed=0):
    """Three agents that decide apart from each other; the first one twice at time 5, the last one arrives early."""
    generator = np.random.default_rng(seed)
    return {
        0: drive(generator, 4, arrived=False, times=[0, 5, 5, 20]),
        1: drive(generator, 2, arrived=False, times=[5, 10]),
        2: drive(generator, 2, times=[0, 10]),
    }


def test_joint_steps_by_hand():
    driven = fleet()
    joint = joint_episode(driven, 3, 3, 4)
    # Moments: 0; 5; 5 again (agent 0 crossed a short edge); 10; 20; the end.
    yes, no = True, False
    assert joint.decides.tolist() == [
        [yes, no, yes],
        [yes, yes, no],
        [yes, no, no],
        [no, yes, yes],
        [yes, no, no],
        [yes, yes, no],
    ]
    assert joint.active.tolist() == [
        [yes, no, yes],
        [yes, yes, yes],
        [yes, yes, yes],
        [yes, yes, yes],
        [yes, yes, no],
        [yes, yes, no],
    ]
    # Rows: agent 0 has 0 to 3 and its end in 4, agent 1 5, 6 and 7, agent 2 8, 9 and 10.
    assert joint.row.tolist() == [[0, 5, 8], [1, 5, 8], [2, 5, 8], [2, 6, 9], [3, 6, 9], [4, 7, 9]]
    assert joint.step.tolist() == [0, 1, 2, 4, 5, 1, 3, 5, 0, 3, 5]
    paid = np.zeros((6, 3))
    paid[[0, 1, 3, 4], 0] = driven[0].rewards
    paid[[2, 4], 1] = driven[1].rewards
    paid[[2, 3], 2] = driven[2].rewards
    assert joint.rewards == pytest.approx(paid.astype(np.float32))
    assert joint.is_end.tolist() == [no] * 5 + [yes]


def test_by_their_own_count_everybody_under_way_decides():
    driven = fleet()
    joint = joint_episode(driven, 3, 3, 4, clock="decisions")
    # Agent 1 decides twice and is cut off: joint step 2 is there for what follows its second decision.
    lives = [[True] * 3, [True] * 3, [True, False, False], [True, False, False], [False] * 3]
    assert joint.lives.tolist() == lives
    assert joint.active.tolist() == [*lives[:2], [True, True, False], lives[3], [True, False, False]]
    assert joint.row[:, 1].tolist() == [5, 6, 7, 7, 7]
    assert joint.row[:, [0, 2]].tolist() == [[0, 8], [1, 9], [2, 9], [3, 9], [4, 9]]
    # What is earned until the next decision counts at once.
    assert joint.rewards[:4, 0] == pytest.approx(driven[0].rewards.astype(np.float32))
    assert joint.rewards[:, 1].tolist() == pytest.approx([*driven[1].rewards, 0, 0, 0], abs=1e-6)
    assert joint.rewards[:, 2].tolist() == pytest.approx([*driven[2].rewards, 0, 0, 0], abs=1e-6)


def test_independent_learners_on_their_own_decisions_and_rewards():
    driven = fleet(2)
    own = learner(4, mixer="none", double_q=False)
    errors = []
    for agent, e in driven.items():
        for k in range(len(e.actions)):
            ahead = e.rewards[k]
            if k + 1 < len(e.actions) or not e.arrived:
                last = k + 1 == len(e.actions)
                observation, mask = (
                    (e.last_observation, e.last_mask) if last else (e.observations[k + 1], e.masks[k + 1])
                )
                values = network_values(own.values, agent, observation)
                ahead += 0.9 * max(float(values[u]) for u in np.flatnonzero(mask))
            errors.append(float(network_values(own.values, agent, e.observations[k])[e.actions[k]]) - ahead)
    # Its first target networks are the online ones.
    found = float(own.td_loss(joint_episode(driven, 3, 3, 4, clock="decisions")).detach())
    assert found == pytest.approx(float(np.mean(np.square(errors))), rel=1e-4)


def test_by_their_own_count_the_team_s_value_is_the_sum_of_its_agents():
    driven = fleet(2)
    own, errors = learner(4, mixer="vdn", double_q=False), []
    for k in range(4):
        now = ahead = reward = 0.0
        for agent, e in driven.items():
            if k >= len(e.actions):
                continue
            now += float(network_values(own.values, agent, e.observations[k])[e.actions[k]])
            reward += e.rewards[k]
            last = k + 1 == len(e.actions)
            if last and e.arrived:
                continue
            observation, mask = (e.last_observation, e.last_mask) if last else (e.observations[k + 1], e.masks[k + 1])
            values = network_values(own.values, agent, observation)
            ahead += max(float(values[u]) for u in np.flatnonzero(mask))
        errors.append(now - reward - 0.9 * ahead)
    found = float(own.td_loss(joint_episode(driven, 3, 3, 4, clock="decisions")).detach())
    assert found == pytest.approx(float(np.mean(np.square(errors))), rel=1e-4)


def test_demonstrations_are_remembered_once_and_drawn():
    subject = learner(demonstrations=0.5, batch=4, updates=1)
    assert subject.uses_demonstrations
    assert not learner().uses_demonstrations
    for k in range(3):
        subject.update(fleet(k), {0: fleet(9)[0]}, k)
    assert (len(subject._replay), len(subject._shown)) == (3, 1)
    drawn = subject._drawn()
    assert len(drawn.lengths) == 3 * (2 + 2)
    again = learner(demonstrations=0.5, batch=4, updates=1)
    again.load_tensors(subject.tensors())
    assert len(again._shown) == 1


def test_an_agent_that_took_no_part_or_never_decided_is_not_under_way():
    driven = fleet()
    del driven[0]
    driven[1] = drive(np.random.default_rng(1), 0, arrived=False)
    joint = joint_episode(driven, 3, 3, 4)
    assert joint.active.any(0).tolist() == [False, False, True]
    assert not joint.observations[joint.row[0, 0]].any()
    assert joint.observations[joint.row[0, 1]] == pytest.approx(driven[1].last_observation)


def learner(seed=3, **changes):
    s = LearningSettings(hidden=8, reward_scale=1.0, gamma=0.9, qmix={"mixing_embed": 4, "hypernet": 4, **changes})
    return Qmix(3, 3, Encoding(4, plain=True), s, seed)


def network_values(networks, agent, observation):
    return networks.rows(torch.from_numpy(observation)[None], np.array([agent]))[0].detach()


def td_error_by_loop(own, target, driven, mixer, double_q, team_reward):
    """One moment after the other, one agent after the other, as the docstrings say."""
    moments = sorted({(t, list(e.times[:k]).count(t)) for e in driven.values() for k, t in enumerate(e.times)})
    joint = joint_episode(driven, 3, 3, 4)
    errors = []

    def latest(agent, moment):
        e = driven[agent]
        return sum((t, list(e.times[:k]).count(t)) <= moment for k, t in enumerate(e.times)) - 1

    def taken(networks, agent, k):
        e = driven[agent]
        return float(network_values(networks, agent, e.observations[k])[e.actions[k]])

    def best(agent, observation, mask):
        legal = np.flatnonzero(mask)
        chooser = own if double_q else target
        pick = max(legal, key=lambda u: float(network_values(chooser.values, agent, observation)[u]))
        return float(network_values(target.values, agent, observation)[pick])

    def total(network, values, step):
        if mixer == "vdn":
            return sum(values)
        rows = (torch.from_numpy(x) for x in (joint.observations, joint.row, joint.active))
        return float(network(torch.tensor([values]), central_inputs(*rows)[[step]]).detach())

    for step, moment in enumerate(moments):
        now, following, here, there, deciding = [], [], [], [], []
        for agent, e in driven.items():
            k, last = latest(agent, moment), len(e.actions) - 1
            left = e.arrived and k == last and (e.times[k], 0) != moment
            here.append(k >= 0 and not left)
            deciding.append(k >= 0 and (e.times[k], list(e.times[:k]).count(e.times[k])) == moment)
            now.append(taken(own.values, agent, k) if here[-1] else 0.0)
            if step + 1 == len(moments):
                there.append(not e.arrived)
                following.append(best(agent, e.last_observation, e.last_mask) if there[-1] else 0.0)
                continue
            then = latest(agent, moments[step + 1])
            there.append(then >= 0 and not (e.arrived and then == k == last))
            if not there[-1]:
                following.append(0.0)
            elif then == k:
                following.append(taken(target.values, agent, k))
            else:
                following.append(best(agent, e.observations[then], e.masks[then]))
        reward = joint.rewards[step].sum() / (3 if team_reward == "mean" else 1)
        gamma = 0.9 ** (sum(deciding) / sum(here))
        ahead = total(target.mixer, following, step + 1) if any(there) else 0.0
        errors.append(total(own.mixer, now, step) - (reward + gamma * ahead))
    return float(np.mean(np.square(errors)))


def td_losses(driven, **changes):
    """By the algorithm and by the loop, for online networks that differ from the target networks."""
    target, own, subject = learner(3, **changes), learner(4, **changes), learner(3, **changes)
    for one in (target, own):
        # First networks value everything at almost 0, which would hide which action is taken.
        one.load_tensors({n: t * (100.0 if n.endswith("values.weight2") else 1.0) for n, t in one.tensors().items()})
    subject.load_tensors({n: (target if n.startswith("target.") else own).tensors()[n] for n in own.tensors()})
    found = float(subject.td_loss(joint_episode(driven, 3, 3, 4)).detach())
    return found, td_error_by_loop(own, target, driven, **changes)


@pytest.mark.parametrize("mixer", ["qmix", "vdn"])
@pytest.mark.parametrize("double_q", [True, False])
@pytest.mark.parametrize("team_reward", ["sum", "mean"])
def test_targets_equal_the_loop(mixer, double_q, team_reward):
    for seed in range(3):
        found, expected = td_losses(fleet(seed), mixer=mixer, double_q=double_q, team_reward=team_reward)
        assert found == pytest.approx(expected, rel=1e-4)


def test_double_q_matters_where_the_networks_disagree():
    both = [
        [td_losses(fleet(seed), mixer="vdn", double_q=d, team_reward="sum")[0] for d in (0, 1)] for seed in range(3)
    ]
    assert any(single != pytest.approx(double, rel=0.01) for single, double in both)


def test_remembered_episodes_come_back_from_a_checkpoint_and_repetitions_cost_little():
    replay, again = Replay(3), Replay(3)
    for seed in range(5):
        driven = fleet(seed)
        driven[2].observations[:] = 7.0
        replay.add(joint_episode(driven, 3, 3, 4))
    again.load_tensors(replay.tensors(), 3)
    assert (len(replay), len(again)) == (3, 3)
    for drawn in (Replay.all, lambda r: r.sample(2, np.random.default_rng(1))):
        one, other = drawn(replay), drawn(again)
        for field in dataclasses.fields(one):
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))
    joint = replay.all()
    # Agent 2's two decisions differ in their masks alone, in all episodes alike.
    assert len(replay.tensors()["replay.sights"]) == len(joint.actions) - 3 * 2 + 2
