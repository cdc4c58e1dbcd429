"""Train MaskablePPO of sb3-contrib for 2,000 steps: pip install "leed-agentic[sb3]" """

from sb3_contrib import MaskablePPO

from leed_agentic.integrations.sb3 import vec_env

env = vec_env(2, agents=4)
model = MaskablePPO("MlpPolicy", env, n_steps=64, device="cpu", seed=0)
model.learn(2_000)
print(f"sb3: {model.num_timesteps} steps")
env.close()
