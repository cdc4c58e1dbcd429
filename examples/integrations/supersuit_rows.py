"""Drive 2,000 steps through SuperSuit's vector: pip install "leed-agentic[supersuit]" """

from leed_agentic.integrations.supersuit import supersuit_env

env = supersuit_env(agents=4)
env.action_space.seed(0)
env.reset(seed=0)
for _ in range(2_000):
    observations, rewards, terminations, truncations, infos = env.step(
        [env.action_space.sample() for _ in range(env.num_envs)]
    )
print(f"supersuit: 2000 steps of {env.num_envs} rows of {observations.shape[1]}")
env.close()
