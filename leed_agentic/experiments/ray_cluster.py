"""Tasks on Ray: the cluster that RAY_ADDRESS names, or workers of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from leed_agentic.errors import UnavailableError
from leed_agentic.experiments.work import execute


@contextmanager
def cluster(jobs: int) -> Iterator[Any]:
    """Gives a function that starts `work.execute` on a worker; the run folders must be on a disk all workers share.

    Raises:
        UnavailableError: Ray is not installed, or its cluster cannot be reached.
    """
    # Before the import: Ray reports home by default.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise UnavailableError(
            'The backend ray needs Ray: pip install "leed-agentic[ray]", or leave --backend out.'
        ) from error
    address = os.environ.get("RAY_ADDRESS")
    # What Ray says of itself would go between our lines of progress.
    quiet: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    try:
        if address:
            ray.init(address=address, **quiet)
        else:
            ray.init(address="local", num_cpus=jobs, include_dashboard=False, **quiet)
    except (OSError, RuntimeError, ValueError) as error:
        where = f"the Ray cluster {address}" if address else "Ray on this machine"
        raise UnavailableError(f"Cannot start {where} ({' '.join(str(error).split())[:200]}).") from error
    try:
        # Not tried again by Ray: the caller reports what failed and goes on next time.
        remote = ray.remote(num_cpus=1, max_retries=0)(execute)

        def submit(*arguments: Any) -> Future[None]:
            return remote.remote(*arguments).future()

        yield submit
    finally:
        ray.shutdown()
