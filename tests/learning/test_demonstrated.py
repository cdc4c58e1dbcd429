"""What else learns from demonstrations: imitation, imitation and then PPO, DAPG and SIL."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from leed_agentic.learning.algorithms import algorithm_class
from leed_agentic.learning.encoding import Encoding
from leed_agentic.setting_groups import LearningSettings
from leed_agentic.traffic.trajectory import Trajectory
from tests.learning.drives import drive


def learner(name, shared=None, **changes):
    kind = algorithm_class(name)
    group = {kind.group or name: changes}
    s = LearningSettings(**{"hidden": 16, "reward_scale": 1.0, "epochs": 1, **(shared or {})}, **group)
    return kind(2, 3, Encoding(4, plain=True), s, seed=4)


def episodes(seed=1):
    random = np.random.default_rng(seed)
    own = {a: drive(random, 7, arrived=bool(a)) for a in range(2)}
    return own, {0: drive(random, 6)}


def parameters(one):
    return [p.detach().clone() for p in one.policy.parameters()]


def gradient(one, agent=0):
    return [p.grad[agent].clone() for p in one.policy.parameters()]


def likelihood(one, tau):
    """Mean log-likelihood of agent 0's demonstration, and its gradient."""
    logits = one.policy(torch.from_numpy(tau.observations)[None].expand(2, -1, -1))[0]
    masked = logits.masked_fill(~torch.from_numpy(tau.masks.astype(bool)), -1e9)
    mean = torch.distributions.Categorical(logits=masked).log_prob(torch.from_numpy(tau.actions)).mean()
    return mean, [g[0] for g in torch.autograd.grad(mean, list(one.policy.parameters()))]


def test_imitation_is_the_likelihood_s_gradient_and_nothing_else():
    own, shown = episodes()
    one = learner("bc")
    _, expected = likelihood(one, shown[0])
    before = parameters(one)
    logged = one.update(own, shown, 0)
    for found, wanted in zip(gradient(one), expected, strict=True):
        assert found.numpy() == pytest.approx(-wanted.numpy(), abs=1e-6)
    # Agent 1 has no demonstration.
    assert all(new[1].equal(old[1]) for new, old in zip(parameters(one), before, strict=True))
    assert np.isfinite(logged["expert_probability"][0])


@pytest.mark.slow
def test_imitation_makes_demonstrations_certain():
    own, shown = episodes()
    one = learner("bc", {"learning_rate": 0.01, "epochs": 4})
    found = [one.update(own, shown, k)["expert_probability"][0] for k in range(40)]
    assert found[0] < 0.6 < 0.95 < found[-1]


def test_after_imitation_it_is_ippo():
    own, shown = episodes()
    then, ippo = learner("bc-then-ppo", imitation_episodes=2), learner("ippo")
    alone = learner("bc")
    for k in (0, 1):
        then.update(own, shown, k)
        alone.update(own, shown, k)
    assert all(a.equal(b) for a, b in zip(parameters(then), parameters(alone), strict=True))
    ippo.load_tensors(then.tensors())
    for one in (then, ippo):
        one.update(own, shown, 2)
    assert all(a.equal(b) for a, b in zip(parameters(then), parameters(ippo), strict=True))


def test_dapg_adds_a_term_that_fades():
    own, shown = episodes()
    plain = learner("ippo")
    plain.update(own, {}, 7)
    seen = np.concatenate([own[0].observations, own[0].last_observation[None]])
    *values, following = learner("ippo").agent_critic.rows(torch.from_numpy(seen), np.zeros(8, int))[:, 0].tolist()
    advantages = []
    for reward, value in zip(own[0].rewards[::-1], values[::-1], strict=True):
        following = float(reward) + 0.99 * following
        advantages.append(following - value)
    one = learner("dapg", imitation_episodes=5, weight=0.3, decay=0.5)
    _, of_shown = likelihood(one, shown[0])
    one.update(own, shown, 7)
    weight = 0.3 * 0.5**2 * max(0.0, *advantages)
    assert weight > 0
    for found, own_part, part in zip(gradient(one), gradient(plain), of_shown, strict=True):
        assert found.numpy() == pytest.approx((own_part - weight * part).numpy(), abs=1e-5)


def test_dapg_imitates_first():
    own, shown = episodes()
    one, bc = learner("dapg", imitation_episodes=1), learner("bc")
    for learns in (one, bc):
        learns.update(own, shown, 0)
    assert all(a.equal(b) for a, b in zip(parameters(one), parameters(bc), strict=True))


def test_sil_makes_likelier_what_went_better_than_expected():
    own, shown = episodes()
    shown[0].rewards[:] = 10.0
    for tau in own.values():
        tau.rewards[:] = -10.0
    one, without = (learner("sil", {"learning_rate": 0.01}, demonstrations=d) for d in (True, False))
    assert (one.uses_demonstrations, without.uses_demonstrations) == (True, False)
    before = float(likelihood(one, shown[0])[0])
    for k in range(10):
        logged = one.update(own, shown, k)
    assert float(likelihood(one, shown[0])[0]) > before + 0.5
    assert "policy_loss_memory" in logged
    # Ten episodes of its own and the demonstration once.
    assert one.tensors()["memory.count"].tolist() == [10 * 7 + 6, 10 * 7]


def test_sil_forgets_the_oldest():
    one = learner("sil", memory=10)
    for k in range(4):
        one.update({0: drive(np.random.default_rng(k), 7)}, {}, k)
    kept = one.tensors()["memory.actions"][0]
    last = drive(np.random.default_rng(3), 7).actions
    places = (21 + np.arange(7)) % 10
    assert kept[places].tolist() == last.tolist()


def lively(seed, earned, arrived=True):
    """An episode of one trip, with so much earned in all."""
    tau = drive(np.random.default_rng(seed), 7, arrived=arrived)
    tau.positions[0], tau.positions[-1] = (0.0, 0.0), (9.0, 9.0)
    tau.rewards = np.full(len(tau.actions), earned / len(tau.actions))
    return Trajectory(agent=0, route=(), travel_seconds=None, **vars(tau))


def test_an_own_episode_becomes_the_expert_once_it_earned_more():
    shown, better, worse = lively(1, 5.0), lively(2, 6.0), lively(3, 4.0)
    cut_off = lively(4, 99.0, arrived=False)
    elsewhere = dataclasses.replace(lively(5, 99.0), positions=lively(5, 9.0).positions + 1.0)

    def after(*lived, expert="best"):
        one = learner("leed", expert=expert)
        return [one.update({0: tau}, {0: shown}, k)["expert_probability"][0] for k, tau in enumerate(lived)], one

    given, _ = after(worse, better, worse, expert="given")
    best, one = after(worse, better, worse)
    assert best[0] == given[0]
    assert best[1] != given[1], "from the episode that surpassed it on, the agent's own is imitated"
    for useless in (worse, cut_off, elsewhere):
        assert after(useless)[0] == after(useless, expert="given")[0]
    other = learner("leed", expert="best")
    other.load_tensors(one.tensors())
    assert other.update({0: worse}, {0: shown}, 3)["expert_probability"][0] == pytest.approx(
        one.update({0: worse}, {0: shown}, 3)["expert_probability"][0], abs=0
    )
