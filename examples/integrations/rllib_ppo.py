"""Train PPO of RLlib for 2,000 steps: pip install "leed-agentic[rllib]" """

import ray

from leed_agentic.integrations.rllib import ppo_config

ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
config = ppo_config(agents=4).env_runners(num_env_runners=0).training(train_batch_size=500, num_epochs=2)
algorithm = config.build_algo()
steps = 0
while steps < 2_000:
    steps = algorithm.train()["num_env_steps_sampled_lifetime"]
print(f"rllib: {steps:.0f} steps")
algorithm.stop()
ray.shutdown()
