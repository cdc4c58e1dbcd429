"""What a run writes down while it trains: metrics.csv, timing.csv, triggers.csv and, on request, TensorBoard files."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from leed_agentic.errors import UsageError
from leed_agentic.learning.trigger_log import TriggerLog
from leed_agentic.runs.log import CsvLog

PER_EPISODE = [
    *("episode", "reward_mean", "arrival_rate", "decisions", "simulated_seconds", "travel_seconds_mean"),
    *("teleports", "collisions", "missed", "alpha_mean", "dtw_mean", "expert_reward_mean", "expert_advantage"),
    *("expert_probability", "policy_loss_agent", "policy_loss_expert", "value_loss_agent", "value_loss_expert"),
    *("entropy", "kl", "clip_agent", "clip_expert", "epsilon", "td_loss", "triggers", "source_failures"),
    *("calls", "input_tokens", "output_tokens"),
]
TIMING = ["episode", "seconds_simulation", "seconds_demonstrations", "seconds_learning", "seconds"]


class Logbook:
    """The growing files of one run folder, each flushed line by line.

    Args:
        agents: how many columns of rewards and alphas.
        episode: episodes of the checkpoint that the run goes on from; later lines are done again.
        triggers: triggers of that checkpoint; None for a run that asks no source.
        tensorboard: also write TensorBoard files.

    Raises:
        UsageError: the files do not hold what the checkpoint says; TensorBoard is not installed.
        UnwritableError: the disk is full or cannot be written.
    """

    def __init__(self, folder: Path, agents: int, episode: int, triggers: int | None, tensorboard: bool) -> None:
        numbers = range(agents)
        columns = [*PER_EPISODE, *(f"reward_{i}" for i in numbers), *(f"alpha_{i}" for i in numbers)]
        with ExitStack() as opened:
            self._metrics = opened.enter_context(closing(CsvLog(folder / "metrics.csv", columns, episode)))
            self._timing = opened.enter_context(closing(CsvLog(folder / "timing.csv", TIMING, episode)))
            self._triggers = None
            if triggers is not None:
                self._triggers = opened.enter_context(closing(TriggerLog(folder, triggers)))
            self._board = None
            if tensorboard:
                writer = summary_writer()(str(folder / "tensorboard"), purge_step=episode)
                self._board = opened.enter_context(closing(writer))
            self._close = opened.pop_all().close

    def write(self, row: Mapping[str, Any], seconds: Mapping[str, float]) -> None:
        """One episode."""
        self._metrics.write(row)
        self._timing.write({"episode": row["episode"], **seconds})
        if self._board:
            for name in PER_EPISODE[1:]:
                # A figure that an episode does not have (no arrival, no expert) is an empty cell: no point there.
                if row.get(name, "") != "":
                    self._board.add_scalar(name, row[name], row["episode"])

    def write_trigger(self, row: Mapping[str, Any]) -> None:
        """One question to the source."""
        if self._triggers:
            self._triggers.write(row)

    def close(self) -> None:
        self._close()


def summary_writer() -> Any:
    """TensorBoard's writer class. Raises UsageError when TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError(
            'learning.tensorboard needs TensorBoard: pip install "leed-agentic[tensorboard]", or leave it out.'
        ) from error
    return SummaryWriter
