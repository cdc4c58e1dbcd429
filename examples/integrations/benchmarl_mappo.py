"""Train MAPPO of BenchMARL for 2,000 steps: pip install "leed-agentic[benchmarl]" """

from tempfile import TemporaryDirectory

from benchmarl.algorithms import MappoConfig
from benchmarl.experiment import Experiment, ExperimentConfig
from benchmarl.models.mlp import MlpConfig

from leed_agentic.integrations.benchmarl import LeedTask

config = ExperimentConfig.get_from_yaml()
config.max_n_frames, config.on_policy_collected_frames_per_batch, config.on_policy_n_minibatch_iters = 2_000, 500, 2
config.on_policy_n_envs_per_worker, config.evaluation, config.loggers, config.create_json = 1, False, [], False
task = LeedTask.ROUTE.get_task({"agents": 4, "max_cycles": 400})
with TemporaryDirectory() as folder:
    config.save_folder = folder
    experiment = Experiment(
        task=task,
        algorithm_config=MappoConfig.get_from_yaml(),
        model_config=MlpConfig.get_from_yaml(),
        critic_model_config=MlpConfig.get_from_yaml(),
        seed=0,
        config=config,
    )
    experiment.run()
    print(f"benchmarl: {experiment.total_frames} steps")
