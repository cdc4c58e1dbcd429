"""Equations (3) to (9) against scalar references written plainly, and what must not change them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from leed_agentic.errors import UsageError
from leed_agentic.learning import objectives
from leed_agentic.learning.actor import Actor
from leed_agentic.learning.algorithms.leed import ExpertData, Leed, LeedSettings, Progress, alphas, expert_advantages
from leed_agentic.learning.encoding import Encoding
from leed_agentic.learning.folding import Folding, Rows
from leed_agentic.learning.networks import SharedNetwork, StackedNetworks
from leed_agentic.learning.objectives import discounted_returns
from leed_agentic.learning.rollout import batch_of
from leed_agentic.setting_groups import LearningSettings
from leed_agentic.traffic.similarity import MANY, dtw_distance, dtw_distances
from tests.learning.drives import drive


def leed(agents, shared=None, **changes):
    given_ = {"hidden": 16, "reward_scale": 1.0, "epochs": 2, "episodes": 10, **(shared or {})}
    return Leed(agents, 3, Encoding(4, plain=True), LearningSettings(**given_, leed=changes), seed=4)


def test_returns_by_hand():
    rewards = torch.tensor([[1.0, 2.0, 4.0], [3.0, 0.0, 0.0]])
    returns = discounted_returns(rewards, torch.tensor([3, 1]), torch.tensor([8.0, 0.0]), 0.5)
    assert returns.tolist() == [[1 + 1 + 1 + 1, 2 + 2 + 2, 4 + 4], [3, 0, 0]]


@settings(max_examples=50, deadline=None)
@given(
    rewards=st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=30),
    padding=st.integers(0, 10),
    gamma=st.sampled_from([0.0, 0.5, 0.99, 1.0]),
    last=st.floats(-5, 5, width=32),
)
def test_returns_equal_the_loop_and_padding_changes_nothing(rewards, padding, gamma, last):
    expected, following = [], last
    for reward in reversed(rewards):
        following = reward + gamma * following
        expected.insert(0, following)
    padded = torch.tensor([rewards + [0.0] * padding])
    returns = discounted_returns(padded, torch.tensor([len(rewards)]), torch.tensor([last]), gamma)
    assert returns[0, : len(rewards)].tolist() == pytest.approx(expected, abs=1e-3)
    assert returns[0, len(rewards) :].tolist() == [0.0] * padding


def test_clipped_surrogate_by_hand():
    ratios, advantages, clip = [1.5, 0.5, 1.5, 0.5, 1.0], [2.0, 2.0, -2.0, -2.0, 3.0], 0.2
    by_hand = [min(w * a, max(min(w, 1 + clip), 1 - clip) * a) for w, a in zip(ratios, advantages, strict=True)]
    assert by_hand == pytest.approx([2.4, 1.0, -3.0, -1.6, 3.0])
    weights = torch.full((1, 5), 0.2)
    gain = objectives.surrogate(
        torch.tensor([ratios]).log(), torch.zeros(1, 5), torch.tensor([advantages]), weights, clip
    )
    assert gain.item() == pytest.approx(sum(by_hand) / 5)


def test_value_loss_and_entropy_by_hand():
    weights = torch.tensor([[0.5, 0.5, 0.0]])
    loss = objectives.value_loss(torch.tensor([[1.0, 2.0, 9.0]]), torch.tensor([[0.0, 4.0, 0.0]]), weights)
    assert loss.item() == pytest.approx((1 + 4) / 2)
    masks = torch.tensor([[[True, True, False], [True, False, False], [True, True, True]]])
    log_p = objectives.log_probabilities(torch.zeros(1, 3, 3), masks)
    assert log_p.exp()[0, 0].tolist() == [0.5, 0.5, 0.0]
    assert objectives.entropy(log_p, weights).item() == pytest.approx(math.log(2) / 2)


def test_alpha_as_printed_and_its_relatives():
    progress = Progress(5, 10, np.array([0.0, 2.0]), np.array([4.0, 4.0]), 0.3, np.array([0.0, 1.5]))
    values = {name: alphas.get(name)(progress).tolist() for name in alphas.names()}
    assert values["paper"] == pytest.approx([1, math.exp(-0.5 * 2)])
    assert values["normalised"] == pytest.approx([1, math.exp(-0.5 * 2 / 4)])
    assert values["aligned"] == pytest.approx([1, math.exp(-2 / 4)])
    assert values["annealed"] == pytest.approx([1, math.exp(-0.5 * 2 / 4)])
    assert values["fixed"] == [0.3, 0.3]
    assert values["regret"] == pytest.approx([1, math.exp(-1.5)])
    first = Progress(0, 10, np.array([9e4]), np.array([1.0]), 0.3, np.array([0.0]))
    assert alphas.get("paper")(first) == 1.0


def test_expert_advantages_by_hand():
    data = ExpertData(*(torch.tensor([x]) for x in ([3.0, 1.0], [1.0, 2.0], [4.0, -1.0], [0.5, 0.5])))
    found = {name: expert_advantages.get(name)(data)[0].tolist() for name in expert_advantages.names()}
    assert found["raw"] == [2.0, -1.0]
    assert found["scaled"] == pytest.approx([2 / math.sqrt(2.5), -1 / math.sqrt(2.5)])
    assert found["positive"] == [2.0, 0.0]
    assert found["agent-critic"] == [0.0, 2.0]
    assert found["filtered"] == [0.0, 1.0]
    assert found["constant"] == [1.0, 1.0]


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 1000))
def test_dtw_equals_the_table(rows, columns, seed):
    generator = np.random.default_rng(seed)
    a, b = generator.normal(size=(rows, 2)), generator.normal(size=(columns, 2))
    table = np.full((rows + 1, columns + 1), np.inf)
    table[0, 0] = 0.0
    for i in range(rows):
        for j in range(columns):
            table[i + 1, j + 1] = math.dist(a[i], b[j]) + min(table[i, j], table[i, j + 1], table[i + 1, j])
    assert dtw_distance(a, b) == pytest.approx(table[-1, -1])
    assert dtw_distance(a, b, "fastdtw") >= table[-1, -1] - 1e-9
    assert dtw_distance(a, a) == 0.0


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(*[st.integers(1, 30)] * 2), min_size=9, max_size=9), st.integers(1, 3))
def test_many_distances_at_once_are_those_of_each_pair_to_the_last_digit(lengths, dimensions):
    generator = np.random.default_rng(sum(map(sum, lengths)))
    pairs = [tuple(generator.normal(size=(n, dimensions)) for n in lengths[k % 9]) for k in range(MANY + 99)]
    assert dtw_distances(pairs).tolist() == [dtw_distance(a, b) for a, b in pairs]


def test_numpy_and_torch_networks_agree():
    networks = StackedNetworks(3, 5, 8, 4, torch.Generator().manual_seed(0))
    inputs = torch.randn(3, 1, 5)
    outputs = networks(inputs).detach().numpy()
    rollout = Actor(networks, Encoding(5, plain=True), np.random.default_rng(0))
    for agent in range(3):
        assert rollout.outputs(agent, inputs[agent, 0].numpy()) == pytest.approx(outputs[agent, 0], abs=1e-5)


def one_behind_the_other(rows):
    return Rows(torch.from_numpy(np.concatenate(rows)), np.array([len(r) for r in rows]))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 150), min_size=1, max_size=4), st.integers(0, 99))
def test_folded_rows_go_through_their_own_agents_network(lengths, seed):
    generator = np.random.default_rng(seed)
    networks = StackedNetworks(len(lengths), 5, 8, 4, torch.Generator().manual_seed(seed))
    rows = [generator.normal(size=(length, 5)).astype(np.float32) for length in lengths]
    folding = Folding(one_behind_the_other(rows))
    whole = folding.places(np.zeros(len(rows), dtype=np.int64), np.array(lengths))
    outputs = folding.compute(networks, whole)[0].detach().numpy()
    alone = Actor(networks, Encoding(5, plain=True), generator)
    for agent, inputs in enumerate(rows):
        for step in (0, len(inputs) // 2, len(inputs) - 1):
            assert outputs[agent, step] == pytest.approx(alone.outputs(agent, inputs[step]), abs=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=4), st.booleans(), st.integers(0, 99))
def test_a_shared_network_computes_equal_rows_once_and_answers_for_all(lengths, identity, seed):
    generator = np.random.default_rng(seed)
    agents = len(lengths)
    network = SharedNetwork(agents, 5, 8, 4, torch.Generator().manual_seed(seed), identity=identity)
    met = generator.normal(size=(3, 5)).astype(np.float32)
    rows = [met[generator.integers(3, size=length + 1)] for length in lengths]
    folding = network.fold(one_behind_the_other(rows))
    assert folding.inputs.shape[0] <= 3 * (agents if identity else 1)
    counts = np.array(lengths) + 1
    outputs = folding.compute(network, folding.places(np.zeros(agents, dtype=np.int64), counts))[0]
    for agent, inputs in enumerate(rows):
        alone = network(torch.from_numpy(inputs)[None], torch.tensor([agent]))[0]
        assert torch.allclose(outputs[agent, : counts[agent]], alone, atol=1e-5)


def test_one_long_trajectory_does_not_pad_the_others():
    folding = Folding(one_behind_the_other([np.zeros((length, 5), np.float32) for length in (1000, *[12] * 9)]))
    assert folding.inputs.shape[:2].numel() < 1400


def plain_ppo(learner, data, s, advantage):
    """PPO of one agent, by autograd on unbatched tensors; returns gradients of the first step."""
    batch = batch_of({0: data}, 1, 3, learner.encoding)
    states = torch.from_numpy(np.concatenate([data.observations, data.last_observation[None]]))
    values = learner.agent_critic(states[None])[0, :, 0]
    following = 0.0 if data.arrived else values[-1].item()
    returns = []
    for reward in data.rewards[::-1]:
        following = float(reward) + s.gamma * following
        returns.insert(0, following)
    advantages = np.array(returns) - values[:-1].detach().numpy()
    if advantage == "normalised":
        advantages = (advantages - advantages.mean()) / advantages.std()
    logits = learner.policy(states[None, :-1])[0]
    distribution = torch.distributions.Categorical(logits=logits.masked_fill(~batch.masks[0], -1e9))
    log_p = distribution.log_prob(torch.from_numpy(data.actions))
    ratio = torch.exp(log_p - log_p.detach())
    gain = (ratio * torch.tensor(advantages, dtype=torch.float32)).mean() + s.beta * distribution.entropy().mean()
    loss = ((values[:-1] - torch.tensor(returns, dtype=torch.float32)) ** 2).mean()
    networks = [*learner.policy.parameters(), *learner.agent_critic.parameters()]
    return torch.autograd.grad(loss - gain, networks)


@pytest.mark.parametrize("arrived", [True, False])
@pytest.mark.parametrize("advantage", ["raw", "normalised"])
def test_without_demonstrations_the_update_is_plain_ppo(arrived, advantage):
    data = drive(np.random.default_rng(1), 7, arrived)
    learner = leed(1, {"epochs": 1}, agent_advantage=advantage)
    expected = plain_ppo(learner, data, learner.settings, advantage)
    logged = learner.update({0: data}, {}, 3)
    assert logged["alpha"].tolist() == [1.0]
    found = [p.grad for p in [*learner.policy.parameters(), *learner.agent_critic.parameters()]]
    for one, other in zip(found, expected, strict=True):
        assert one.numpy() == pytest.approx(other.numpy(), abs=1e-5)
    assert all(p.grad is None for p in learner.expert_critic.parameters())


LENGTHS = st.integers(1, 40)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 999), LENGTHS, LENGTHS, LENGTHS, LENGTHS, st.booleans())
def test_a_stacked_agent_learns_as_it_would_alone(seed, first, second, shown_first, shown_second, arrived):
    generator = np.random.default_rng(seed)
    own = {0: drive(generator, first, arrived), 1: drive(generator, second, arrived=False)}
    shown = {0: drive(generator, shown_first), 1: drive(generator, shown_second)}
    both, alone = leed(2), leed(1)
    alone.load_tensors({name: t[:1] for name, t in both.tensors().items()})
    for episode in range(3):
        logged = both.update(own, shown, episode)
        expected = alone.update({0: own[0]}, {0: shown[0]}, episode)
    for name, values in expected.items():
        assert values[0] == pytest.approx(logged[name][0], abs=1e-4), name
    for name, tensor in alone.tensors().items():
        if not name.startswith("adam"):
            assert tensor[0].numpy() == pytest.approx(both.tensors()[name][0].numpy(), abs=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), st.integers(1, 20), st.integers(0, 10))
def test_padding_changes_no_loss(seed, steps, padding):
    generator = torch.Generator().manual_seed(seed)
    new, old, advantages, values, returns = torch.randn(5, 1, steps, generator=generator)
    weights = torch.full((1, steps), 1.0 / steps)

    def padded(tensor, filling):
        return torch.cat([tensor, torch.full((1, padding), filling)], dim=1)

    losses = objectives.surrogate(new, old, advantages, weights, 0.2), objectives.value_loss(values, returns, weights)
    behind = padded(weights, 0.0)
    with_padding = (
        objectives.surrogate(padded(new, 3.0), padded(old, -1.0), padded(advantages, 9.0), behind, 0.2),
        objectives.value_loss(padded(values, 7.0), padded(returns, -7.0), behind),
    )
    for one, other in zip(losses, with_padding, strict=True):
        assert one.item() == pytest.approx(other.item(), abs=1e-5)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 999), LENGTHS, st.booleans())
def test_an_agent_without_decisions_has_no_gradient(seed, steps, with_expert):
    generator = np.random.default_rng(seed)
    learner = leed(2)
    shown = {0: drive(generator, 4)} if with_expert else {}
    learner.update({0: drive(generator, steps), 1: drive(generator, 0)}, shown, 0)
    for network in (learner.policy, learner.agent_critic, *([learner.expert_critic] if with_expert else [])):
        for parameter in network.parameters():
            assert not parameter.grad[1].any()
        assert network.weight0.grad[0].any() or steps == 1


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), st.integers(1, 15))
def test_behind_its_end_an_agent_has_no_gradient(seed, steps):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(1, steps + 5, 3, generator=generator, requires_grad=True)
    masks = torch.ones(1, steps + 5, 3, dtype=torch.bool)
    actions = torch.randint(0, 3, (1, steps + 5), generator=generator)
    weights = (torch.arange(steps + 5)[None] < steps).float() / steps
    log_p = objectives.log_probabilities(logits, masks)
    chosen = objectives.chosen(log_p, actions)
    gain = objectives.surrogate(chosen, chosen.detach(), torch.ones(1, steps + 5), weights, 0.2)
    (gain + objectives.entropy(log_p, weights)).sum().backward()
    assert not logits.grad[:, steps:].any()
    assert logits.grad[:, :steps].any()


@pytest.mark.slow
def test_expert_probability_rises_to_one():
    generator = np.random.default_rng(4)
    own, shown = {0: drive(generator, 6)}, {0: drive(generator, 6)}
    shown[0].rewards[:] = 1.0
    learner = leed(1, {"learning_rate": 0.01}, alpha="fixed")
    history = [learner.update(own, shown, k)["expert_probability"][0] for k in range(60)]
    assert history[0] < 0.6 < 0.9 < history[-1]


@pytest.mark.parametrize(
    ("field", "value", "words"), [("rewards", np.nan, "NaN"), ("actions", 2, "mask forbids"), ("actions", 7, "mask")]
)
def test_bad_data_is_refused(field, value, words):
    data = drive(np.random.default_rng(5), 3)
    getattr(data, field)[0] = value
    with pytest.raises(UsageError, match=words):
        leed(1).update({}, {0: data}, 0)


def test_a_stranger_is_refused():
    with pytest.raises(UsageError, match="agent 5"):
        leed(2).update({5: drive(np.random.default_rng(6), 3)}, {}, 0)


def test_alpha_stays_below_its_ceiling_except_where_it_is_fixed_or_as_printed():
    generator = np.random.default_rng(7)
    own, shown = {0: drive(generator, 4)}, {0: drive(generator, 4)}
    distance = dtw_distance(own[0].positions, shown[0].positions)
    length = np.linalg.norm(np.diff(shown[0].positions, axis=0), axis=1).sum()
    settings_ = ({"alpha_ceiling": 0.4}, {"alpha_ceiling": 0.4, "alpha": "fixed"}, {"objective": "paper"})
    found = [leed(1, **given_).update(own, shown, 5)["alpha"][0] for given_ in settings_]
    assert found == pytest.approx([0.4 * math.exp(-distance / length), 0.5, math.exp(-0.5 * distance)])


def test_as_printed_is_said_openly_and_contradictions_are_refused():
    assert LeedSettings(objective="paper").model_dump() == {
        **LeedSettings().model_dump(),
        **{"objective": "paper", "alpha": "paper", "alpha_ceiling": 1.0},
        **{"expert_advantage": "raw", "agent_advantage": "raw"},
    }
    with pytest.raises(UsageError, match=r"learning\.leed: .*objective=paper sets alpha to paper"):
        LearningSettings(leed={"objective": "paper", "alpha": "fixed"})
