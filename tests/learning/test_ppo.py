"""What all algorithms that learn by PPO take: sharing, minibatches, several episodes, clipping, layer norms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from leed_agentic.learning.actor import Actor
from leed_agentic.learning.algorithms.ppo import Ppo, beta_of, split
from leed_agentic.learning.encoding import Encoding
from leed_agentic.learning.networks import SharedNetwork, StackedNetworks, clip_gradients
from leed_agentic.learning.objectives import normalised_over_all
from leed_agentic.learning.policy import layer_norm
from leed_agentic.setting_groups import LearningSettings
from tests.learning.drives import drive


class Learner(Ppo):
    group = "ippo"


def ppo(agents=2, shared=None, **changes):
    s = LearningSettings(
        **{"hidden": 8, "reward_scale": 1.0, "epochs": 1, "episodes": 11, **(shared or {})}, ippo=changes
    )
    return Learner(agents, 3, Encoding(4, plain=True), s, seed=4)


def gradients(learner):
    return [p.grad.clone() for p in learner.parameters]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# -- networks ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("identity", [True, False])
@pytest.mark.parametrize("norms", [True, False])
def test_a_shared_network_is_one_network_that_is_told_whose_the_rows_are(identity, norms):
    one = SharedNetwork(3, 5, 8, 4, generator(), identity=identity, layer_norm=norms)
    inputs, owner = torch.randn(6, 1, 5, generator=generator(1)), np.array([0, 2, 1, 1, 0, 2])
    folded = one(inputs, torch.from_numpy(owner))[:, 0]
    told = one.rows(inputs[:, 0], owner)
    assert folded.detach().numpy() == pytest.approx(told.detach().numpy(), abs=1e-6)
    actor = Actor(one, Encoding(5, plain=True), np.random.default_rng(0))
    for row, agent in enumerate(owner):
        assert actor.outputs(agent, inputs[row, 0].numpy()) == pytest.approx(folded[row].detach().numpy(), abs=1e-5)
    assert (one.rows(inputs[:1, 0], np.array([0])) - one.rows(inputs[:1, 0], np.array([1]))).any() == identity


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=20), st.booleans())
def test_each_row_goes_through_the_network_of_its_owner(owner, norms):
    networks = StackedNetworks(3, 5, 8, 4, generator(), layer_norm=norms)
    inputs = torch.randn(len(owner), 5, generator=generator(1))
    found = networks.rows(inputs, np.array(owner)).detach().numpy()
    actor = Actor(networks, Encoding(5, plain=True), np.random.default_rng(0))
    for row, agent in enumerate(owner):
        assert found[row] == pytest.approx(actor.outputs(agent, inputs[row].numpy()), abs=1e-5)


def test_layer_norm_is_torch_s():
    x, scale, shift = torch.randn(3, 8, generator=generator(2))
    expected = torch.nn.functional.layer_norm(x, (8,), scale, shift)
    assert layer_norm(x.numpy(), scale.numpy(), shift.numpy()) == pytest.approx(expected.numpy(), abs=1e-5)


def test_every_network_of_a_stack_has_its_own_longest_gradient():
    networks = StackedNetworks(2, 5, 8, 4, generator())
    sizes = torch.tensor([0.001, 100.0])[:, None, None]
    (networks(torch.randn(2, 6, 5, generator=generator(1))) * sizes).sum().backward()
    before = [p.grad.clone() for p in networks.parameters()]
    clip_gradients(networks, 1.0)
    assert all(p.grad[0].equal(b[0]) for p, b in zip(networks.parameters(), before, strict=True))
    assert sum(float((p.grad[1] ** 2).sum()) for p in networks.parameters()) == pytest.approx(1.0, rel=1e-3)


# -- the update --------------------------------------------------------------------------------------------------------
def test_an_update_on_two_episodes_has_their_mean_gradient():
    random = np.random.default_rng(1)
    first, second = ({a: drive(random, 6, arrived=bool(a)) for a in range(2)} for _ in range(2))
    alone = []
    for episode in (first, second):
        learner = ppo()
        learner.update(episode, {}, 0)
        alone.append(gradients(learner))
    together = ppo(batch_episodes=2)
    assert together.update(first, {}, 0) == {}
    assert together.update(second, {}, 1)
    for one, other, both in zip(*alone, gradients(together), strict=True):
        assert both.numpy() == pytest.approx(((one + other) / 2).numpy(), abs=1e-6)


def test_episodes_that_wait_for_an_update_come_back_from_a_checkpoint():
    random = np.random.default_rng(2)
    episodes = [{0: drive(random, 5), 1: drive(random, 9, arrived=False)} for _ in range(3)]
    whole, again = ppo(batch_episodes=3), ppo(batch_episodes=3)
    for k in (0, 1):
        whole.update(episodes[k], {}, k)
    again.load_tensors({name: tensor.clone() for name, tensor in whole.tensors().items()})
    for learner in (whole, again):
        assert learner.update(episodes[2], {}, 2)
    assert all(tensor.equal(again.tensors()[name]) for name, tensor in whole.tensors().items())


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=4), st.integers(1, 5))
def test_minibatches_share_out_every_decision_once(lengths, parts):
    steps = np.arange(max(lengths))
    weights = torch.tensor(steps < np.array(lengths)[:, None]) / torch.tensor(lengths).clamp(min=1)[:, None]
    found = split(weights, parts, np.random.default_rng(0))
    assert len(found) == parts
    assert sum((w > 0).int() for w in found).equal((weights > 0).int())
    for w in found:
        assert w.sum(1).tolist() == pytest.approx([1.0 if row.any() else 0.0 for row in w], abs=1e-5)


def test_as_many_gradient_steps_as_minibatches_and_epochs():
    learner = ppo(shared={"epochs": 3}, minibatches=2)
    learner.update({a: drive(np.random.default_rng(3), 8) for a in range(2)}, {}, 0)
    assert {float(state["step"]) for state in learner.optimiser.state.values()} == {6.0}


def test_the_entropy_weight_goes_to_its_end():
    learner = ppo(shared={"beta": 0.1}, beta_end=0.0)
    found = [beta_of(k, learner.settings, learner.options) for k in (0, 5, 10)]
    assert found == pytest.approx([0.1, 0.05, 0.0])


def test_shared_agents_learn_from_each_other():
    random = np.random.default_rng(5)
    learner = ppo(3, {"learning_rate": 0.01}, share_policy=True, agent_id=False, layer_norm=True, max_grad_norm=0.5)
    assert len(learner.policy.weight0) == len(learner.agent_critic.weight0) == 1
    observation, mask = random.normal(size=4).astype(np.float32), np.ones(3, np.int8)
    before = learner.actor.probabilities(2, observation, mask)
    learner.update({0: drive(random, 6), 1: drive(random, 9, arrived=False)}, {}, 0)
    after = [learner.actor.probabilities(a, observation, mask) for a in range(3)]
    assert after[0].tolist() == after[2].tolist() != before.tolist()


def test_advantages_over_the_batch_of_all_agents():
    advantages = torch.tensor([[1.0, 2.0, 0.0], [6.0, 0.0, 0.0]])
    found = normalised_over_all(advantages, torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]))
    deviation = np.std([1.0, 2.0, 6.0])
    assert found.numpy() == pytest.approx(np.array([[-2, -1, 0], [3, 0, 0]]) / deviation, abs=1e-5)


def test_torchrl_s_loss_has_the_same_gradient():
    pytest.importorskip("torchrl", reason="TorchRL is not installed")
    from tensordict import TensorDict
    from tensordict.nn import TensorDictModule
    from torchrl.modules import MaskedCategorical, ProbabilisticActor
    from torchrl.objectives import ClipPPOLoss

    data = drive(np.random.default_rng(6), 12, arrived=True)
    learner = ppo(1, {"beta": 0.01})
    states = torch.from_numpy(data.observations)
    with torch.no_grad():
        values = learner.agent_critic(states[None])[0]
    returns, following = [], 0.0
    for reward in data.rewards[::-1]:
        following = float(reward) + learner.settings.gamma * following
        returns.insert(0, following)
    returns = torch.tensor(returns, dtype=torch.float32)[:, None]
    masks = torch.from_numpy(data.masks.astype(bool))
    actions = torch.from_numpy(data.actions)
    with torch.no_grad():
        odds = torch.log_softmax(learner.policy(states[None])[0].masked_fill(~masks, -torch.inf), 1)
        log_old = odds.gather(1, actions[:, None])[:, 0]
    batch = TensorDict(
        {
            **{"observation": states, "mask": masks, "action": actions, "action_log_prob": log_old},
            **{"advantage": returns - values, "value_target": returns},
        },
        [len(states)],
    )

    class One(torch.nn.Module):
        def __init__(self, networks):
            super().__init__()
            self.networks = networks

        def forward(self, x):
            return self.networks(x[None])[0]

    actor = ProbabilisticActor(
        TensorDictModule(One(learner.policy), ["observation"], ["logits"]),
        in_keys={"logits": "logits", "mask": "mask"},
        distribution_class=MaskedCategorical,
        return_log_prob=True,
    )
    critic = TensorDictModule(One(learner.agent_critic), ["observation"], ["state_value"])
    loss = ClipPPOLoss(
        actor,
        critic,
        clip_epsilon=0.2,
        entropy_coeff=0.01,
        critic_coeff=1.0,
        loss_critic_type="l2",
        normalize_advantage=False,
    )
    found = loss(batch)
    theirs = found["loss_objective"] + found["loss_entropy"] + found["loss_critic"]
    theirs.backward()
    parameters = dict(loss.named_parameters())
    expected = {name.rsplit(".", 1)[-1] + ("c" if "critic" in name else "a"): p.grad for name, p in parameters.items()}
    learner.optimiser.zero_grad()
    learner.update({0: data}, {}, 0)
    for kind, network in (("a", learner.policy), ("c", learner.agent_critic)):
        for name, parameter in network.named_parameters():
            assert parameter.grad.numpy() == pytest.approx(expected[name + kind].numpy(), abs=1e-5), name


# -- the trainer -------------------------------------------------------------------------------------------------------
def test_greedy_episodes_are_logged_and_change_nothing():
    from mpe2 import simple_spread_v3

    from leed_agentic.learning.rollout import ParallelWorld
    from leed_agentic.learning.trainer import Trainer

    def rows(every):
        s = LearningSettings(algorithm="ippo", episodes=4, hidden=8, greedy_every=every)
        world = ParallelWorld(simple_spread_v3.parallel_env(N=2, max_cycles=5))
        learner = Learner(world.agents, world.actions, world.encoding(s), s, 0)
        return Trainer(world, learner, s, 0).run()

    plain, greedy = rows(0), rows(2)
    assert [row.pop("greedy_reward") != "" for row in greedy] == [True, False, True, False]
    assert [row.pop("greedy_reward") for row in plain] == [""] * 4
    assert plain == greedy or [str(row) for row in plain] == [str(row) for row in greedy]
