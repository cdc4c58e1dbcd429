"""Where a run's figures are also written, by name: TensorBoard, Weights & Biases, MLflow, or a tracker of one's own."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from numbers import Real
from pathlib import Path
from typing import Any, Protocol

from leed_agentic.errors import UsageError
from leed_agentic.registry import Registry
from leed_agentic.runs.files import read_json

PROJECT = "leed"


class Tracker(Protocol):
    """What a tracker does. It is made by `make(folder, facts, step)`: the run folder, the run's settings as nested
    dicts (no secret is among them), and the step that the run goes on from."""

    def write(self, figures: Mapping[str, float], step: int) -> None:
        """Figures of one step: an episode of training, a round of a plan."""

    def close(self) -> None:
        """Everything has been written."""


Make = Callable[[Path, Mapping[str, Any], int], Tracker]
trackers: Registry[Make] = Registry("tracker")
"""By name or dotted path."""
_NEEDS = {"tensorboard": "tensorboard", "wandb": "wandb", "mlflow": "mlflow"}
"""Module by name; the extra is called as the tracker is."""


@trackers.register("tensorboard")
class TensorBoard:
    """Event files in RUN/tensorboard; those of later steps of a run that was stopped are purged."""

    def __init__(self, folder: Path, facts: Mapping[str, Any], step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._event, self._summary = Event, Summary
        self._writer = EventFileWriter(str(folder / "tensorboard"))
        if step:
            start = SessionLog(status=SessionLog.START)
            self._writer.add_event(Event(step=step, wall_time=time.time(), session_log=start))

    def write(self, figures: Mapping[str, float], step: int) -> None:
        values = [self._summary.Value(tag=name, simple_value=figure) for name, figure in figures.items()]
        self._writer.add_event(self._event(step=step, wall_time=time.time(), summary=self._summary(value=values)))

    def close(self) -> None:
        self._writer.close()


@trackers.register("wandb")
class WeightsAndBiases:
    """A run of project "leed" (WANDB_PROJECT); offline in RUN/wandb unless WANDB_API_KEY or WANDB_MODE is set."""

    def __init__(self, folder: Path, facts: Mapping[str, Any], step: int) -> None:
        import wandb

        mode: Any = os.environ.get("WANDB_MODE") or ("online" if os.environ.get("WANDB_API_KEY") else "offline")
        project = os.environ.get("WANDB_PROJECT", PROJECT)
        quiet = wandb.Settings(silent=True, console="off")
        self._run = wandb.init(
            project=project, dir=str(folder), name=folder.name, config=dict(facts), mode=mode, settings=quiet
        )

    def write(self, figures: Mapping[str, float], step: int) -> None:
        self._run.log(dict(figures), step=step)

    def close(self) -> None:
        self._run.finish()


@trackers.register("mlflow")
class MLflow:
    """A run of experiment "leed" on the server of MLFLOW_TRACKING_URI; unset: files in RUN/mlruns."""

    def __init__(self, folder: Path, facts: Mapping[str, Any], step: int) -> None:
        from mlflow.entities import Metric, Param
        from mlflow.tracking import MlflowClient

        self._metric = Metric
        uri = os.environ.get("MLFLOW_TRACKING_URI") or (folder / "mlruns").resolve().as_uri()
        if uri.startswith("file:"):
            # Its files are what somebody without a server wants; MLflow itself would have a database.
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        self._client = MlflowClient(tracking_uri=uri)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        found = self._client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else self._client.create_experiment(name)
        self._id = self._client.create_run(experiment, run_name=folder.name).info.run_id
        params = [Param(key, str(value)[:500]) for key, value in _flat(facts)]
        for first in range(0, len(params), 100):
            self._client.log_batch(self._id, params=params[first : first + 100])

    def write(self, figures: Mapping[str, float], step: int) -> None:
        now = int(time.time() * 1000)
        self._client.log_batch(self._id, [self._metric(name, value, now, step) for name, value in figures.items()])

    def close(self) -> None:
        self._client.set_terminated(self._id)


class Trackers:
    """All that a run's settings name, as one; none: nothing happens.

    Raises:
        UsageError: as `check_trackers`, or one cannot be set up.
    """

    def __init__(self, names: Iterable[str], folder: Path, step: int = 0) -> None:
        self.steps = 0
        """How many were written."""
        self._all: list[Tracker] = []
        with ExitStack() as opened:
            for name in names:
                try:
                    tracker = trackers.get(name)(folder, _facts(folder), step)
                except UsageError:
                    raise
                except Exception as error:
                    told = " ".join(str(error).split())[:300]
                    raise UsageError(
                        f"Tracker {name} cannot be set up ({told}); mend that, or leave it out."
                    ) from error
                opened.callback(tracker.close)
                self._all.append(tracker)
            self.close = opened.pop_all().close

    def write(self, figures: Mapping[str, Any], step: int) -> None:
        """Whatever of the figures is a number."""
        self.steps += 1
        if self._all:
            numbers = {k: float(v) for k, v in figures.items() if isinstance(v, Real)}
            for tracker in self._all:
                tracker.write(numbers, step)


def check_trackers(names: Iterable[str]) -> None:
    """Before anything is written. Raises UsageError: an unknown name, or its library is not installed."""
    for name in names:
        trackers.get(name)
        if name in _NEEDS:
            try:
                importlib.import_module(_NEEDS[name])
            except ImportError as error:
                advice = f'pip install "leed-agentic[{name}]"'
                raise UsageError(f"Tracker {name} is not installed: {advice}, or leave it out.") from error


def _facts(folder: Path) -> dict[str, Any]:
    for name in ("run.json", "settings.json"):
        if (folder / name).is_file():
            found = read_json(folder / name, "a run's settings")
            return found.get("settings", found)
    return {}


def _flat(facts: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in facts.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value
