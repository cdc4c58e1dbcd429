"""Train PPO of TorchRL for 2,000 steps: pip install "leed-agentic[torchrl]" """

import torch
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.collectors import Collector
from torchrl.modules import MaskedCategorical, ProbabilisticActor, ValueOperator
from torchrl.objectives import ClipPPOLoss

from leed_agentic.integrations.torchrl import GROUP, torchrl_env

torch.manual_seed(0)
env = torchrl_env(agents=4)
observation, mask, action = (GROUP, "observation"), (GROUP, "action_mask"), (GROUP, "action")
inputs, actions = env.observation_spec[observation].shape[-1], env.full_action_spec[action].space.n
body = nn.Sequential(nn.LayerNorm(inputs), nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, actions))
actor = ProbabilisticActor(
    TensorDictModule(body, [observation], [(GROUP, "logits")]),
    in_keys={"logits": (GROUP, "logits"), "mask": mask},
    out_keys=[action],
    distribution_class=MaskedCategorical,
    return_log_prob=True,
    log_prob_key=(GROUP, "log_prob"),
)
value = nn.Sequential(nn.LayerNorm(inputs), nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, 1))
critic = ValueOperator(value, [observation], [(GROUP, "state_value")])
loss = ClipPPOLoss(actor, critic, normalize_advantage=True)
loss.set_keys(
    reward=(GROUP, "reward"),
    action=action,
    sample_log_prob=(GROUP, "log_prob"),
    value=(GROUP, "state_value"),
    done=(GROUP, "done"),
    terminated=(GROUP, "terminated"),
)
loss.make_value_estimator()
optimiser = torch.optim.Adam(loss.parameters(), 3e-4)
steps = 0
for batch in Collector(env, actor, frames_per_batch=200, total_frames=2_000):
    loss.value_estimator(batch)
    losses = loss(batch)
    optimiser.zero_grad()
    sum(part for name, part in losses.items() if name.startswith("loss_")).backward()
    optimiser.step()
    steps += batch.numel()
print(f"torchrl: {steps} steps, mean reward {batch['next', GROUP, 'reward'].mean():.3f}")
