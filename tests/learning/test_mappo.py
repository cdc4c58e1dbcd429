"""MAPPO: GAE against a loop, one agent's update against plain PPO, and what its critic sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mpe2 import simple_spread_v3

from leed_agentic.learning.algorithms.mappo import Mappo, ValueNorm
from leed_agentic.learning.encoding import Encoding
from leed_agentic.learning.networks import StackedNetworks
from leed_agentic.learning.objectives import generalised_advantages, values_and_returns
from leed_agentic.learning.rollout import ParallelWorld
from leed_agentic.learning.trainer import Trainer
from leed_agentic.setting_groups import LearningSettings
from tests.learning.drives import drive

PLAIN = {
    "agent_id": False,
    "value_norm": False,
    "value_clip": False,
    "agent_advantage": "raw",
    "max_grad_norm": 1e9,
}


def mappo(agents=1, seed=0, mappo=PLAIN, **changes):
    s = LearningSettings(**{"hidden": 8, "reward_scale": 1.0, "epochs": 1, "mappo": mappo, **changes})
    return Mappo(agents, 3, Encoding(4, plain=True), s, seed)


@settings(max_examples=50)
@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=4),
    gamma=st.sampled_from([0.0, 0.9, 1.0]),
    lam=st.sampled_from([0.0, 0.95, 1.0]),
    seed=st.integers(0, 999),
)
def test_advantages_equal_the_loop(lengths, gamma, lam, seed):
    generator = np.random.default_rng(seed)
    longest = max(lengths)
    values = generator.normal(size=(len(lengths), longest + 1)).astype(np.float32)
    rewards = generator.normal(size=(len(lengths), longest)).astype(np.float32)
    ended = generator.integers(0, 2, len(lengths))
    rewards[np.arange(longest) >= np.array(lengths)[:, None]] = 0.0
    expected = np.zeros_like(rewards)
    for i, length in enumerate(lengths):
        following = 0.0
        for t in reversed(range(length)):
            ahead = 0.0 if ended[i] and t == length - 1 else values[i, t + 1]
            following = rewards[i, t] + gamma * ahead - values[i, t] + gamma * lam * following
            expected[i, t] = following
    args = [torch.from_numpy(x) for x in (values, rewards, np.array(lengths), ended.astype(np.float32))]
    found = generalised_advantages(*args, gamma, lam).numpy()
    assert found == pytest.approx(expected, abs=1e-4)
    if lam == 1.0:
        now, returns = values_and_returns(*args, gamma)
        mask = np.arange(longest) < np.array(lengths)[:, None]
        assert (returns - now).numpy()[mask] == pytest.approx(found[mask], abs=1e-4)


def plain_ppo(learner, data):
    """Losses and gradients of one agent's first step, by autograd on tensors without a batch."""
    s = learner.settings
    states = torch.from_numpy(np.concatenate([data.observations, data.last_observation[None]]))
    # One agent: the state is its observation, with a flag that it is under way.
    alive = torch.ones(len(states), 1)
    if data.arrived:
        alive[-1] = 0
    values = learner.critic(torch.cat([states, alive], 1)[None])[0, :, 0]
    advantages, following = [], 0.0
    for t in reversed(range(len(data.rewards))):
        ahead = 0.0 if data.arrived and t == len(data.rewards) - 1 else values[t + 1].item()
        following = (
            data.rewards[t] + s.gamma * ahead - values[t].item() + s.gamma * learner.options.gae_lambda * following
        )
        advantages.insert(0, following)
    advantages = torch.tensor(advantages, dtype=torch.float32)
    returns = advantages + values[:-1].detach()
    policy = learner.policy
    logits = policy(states[None, :-1])[0]
    logits = logits.masked_fill(~torch.from_numpy(data.masks.astype(bool)), -1e9)
    distribution = torch.distributions.Categorical(logits=logits)
    log_p = distribution.log_prob(torch.from_numpy(data.actions))
    gain = (torch.exp(log_p - log_p.detach()) * advantages).mean()
    entropy = distribution.entropy().mean()
    loss = 0.5 * ((values[:-1] - returns) ** 2).mean()
    gradients = torch.autograd.grad(
        loss - gain - s.beta * entropy, [*policy.parameters(), *learner.critic.parameters()]
    )
    return gain.item(), loss.item(), entropy.item(), gradients


@pytest.mark.parametrize("arrived", [True, False])
def test_one_agent_whose_state_is_its_observation_learns_by_plain_ppo(arrived):
    data, learner = drive(np.random.default_rng(1), 7, arrived), mappo()
    gain, loss, entropy, gradients = plain_ppo(learner, data)
    logged = learner.update({0: data}, {}, 0)
    assert logged["policy_loss_agent"] == pytest.approx(-gain, abs=1e-5)
    assert logged["value_loss_agent"] == pytest.approx(loss, rel=1e-4)
    assert logged["entropy"] == pytest.approx(entropy, rel=1e-4)
    critic = [p.grad for p in learner.critic.parameters()]
    for found, expected in zip(critic, gradients[6:], strict=True):
        assert found.numpy() == pytest.approx(expected.numpy(), abs=1e-5)
    # Adam's first step is its rate towards smaller losses, wherever the gradient is not tiny.
    before, after = mappo().policy, learner.policy
    for old, new, gradient in zip(before.parameters(), after.parameters(), gradients[:6], strict=True):
        clear = gradient.abs() > 1e-3
        moved = (new - old)[clear].detach() / learner.settings.learning_rate
        assert moved.numpy() == pytest.approx(-gradient[clear].sign().numpy(), abs=0.05)


def test_agents_share_everything_but_their_identity():
    generator = np.random.default_rng(2)
    observation, mask = generator.normal(size=4).astype(np.float32), np.ones(3, np.int8)
    driven = {i: drive(generator, 6, arrived=False) for i in range(3)}
    for identity in (True, False):
        learner = mappo(3, mappo={"agent_id": identity}, learning_rate=0.01, epochs=8)
        learner.update(driven, {}, 0)
        odds = [learner.actor.probabilities(i, observation, mask) for i in range(3)]
        assert (odds[0] == pytest.approx(odds[1], abs=1e-7)) is not identity
    assert len(learner.policy.weight1) == 1


@pytest.mark.long
def test_the_critic_sees_the_others():
    """An agent's reward depends on what the other one observes; only a central critic can tell."""
    generator = np.random.default_rng(3)
    learner = mappo(2, mappo={}, learning_rate=3e-3, epochs=10, gamma=0.0, hidden=32)
    for k in range(150):
        driven = {i: drive(generator, 20) for i in range(2)}
        driven[0].rewards = np.sign(driven[1].observations[:, 0]).astype(float)
        driven[1].rewards = np.zeros(20)
        loss = learner.update(driven, {}, k)["value_loss_agent"]
    # Normalised returns have variance 1: half of it would be left to a critic that sees its own agent alone.
    assert loss < 0.2


def test_several_episodes_can_make_one_update():
    generator, learner = np.random.default_rng(4), mappo(2, mappo={"batch_episodes": 3})
    logged = [learner.update({i: drive(generator, 5, arrived=False) for i in range(2)}, {}, k) for k in range(6)]
    assert [bool(row) for row in logged] == [False, False, True, False, False, True]


def test_value_norm_forgets_slowly_and_is_right_from_the_first_batch():
    norm, generator = ValueNorm(), np.random.default_rng(5)
    critic = StackedNetworks(1, 4, 8, 1, torch.Generator().manual_seed(0))
    assert norm.restore(torch.tensor([2.0])).tolist() == [2.0]
    batches = torch.from_numpy(generator.normal(7.0, 3.0, size=(50, 40)))
    for batch in batches:
        norm.take(batch, critic)
    scaled = norm.normalise(batches)
    assert (float(scaled.mean()), float(scaled.std())) == pytest.approx((0.0, 1.0), abs=0.01)
    assert norm.restore(scaled).numpy() == pytest.approx(batches.numpy(), abs=1e-4)


def test_a_critics_values_stay_what_they_are_when_the_norm_learns():
    norm, generator = ValueNorm(), np.random.default_rng(6)
    critic = StackedNetworks(1, 4, 8, 1, torch.Generator().manual_seed(0))
    inputs = torch.randn(1, 9, 4, generator=torch.Generator().manual_seed(1))
    for middle, spread in ((7.0, 3.0), (-90.0, 20.0)):
        before = norm.restore(critic(inputs)).detach()
        norm.take(torch.from_numpy(generator.normal(middle, spread, size=40)), critic)
        assert norm.restore(critic(inputs)).detach().numpy() == pytest.approx(before.numpy(), rel=1e-3, abs=1e-3)


@pytest.mark.long
def test_values_that_bootstrap_do_not_run_away():
    """simple_spread cuts every episode off after 25 steps, so all returns hold a value."""
    world = ParallelWorld(simple_spread_v3.parallel_env(N=3, max_cycles=25, local_ratio=0.5))
    s = LearningSettings(episodes=2000, learning_rate=5e-4, reward_scale=1.0, mappo={"batch_episodes": 10})
    learner = Mappo(world.agents, world.actions, world.encoding(s), s, 0)
    rewards = [row["reward_mean"] for row in Trainer(world, learner, s, 0).run()]
    values = learner._norm.restore(learner.critic(torch.zeros(world.agents, 1, learner.critic.inputs)))
    assert float(values.detach().abs().max()) < 1000.0
    assert np.mean(rewards[-200:]) > np.mean(rewards[:200]) + 3.0
