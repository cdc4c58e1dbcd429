"""SuperSuit: the environment in a shape that its wrappers take, none of which knows masks."""

from __future__ import annotations

from typing import Any

from leed_agentic.integrations.tried import need

need("supersuit")

import supersuit  # noqa: E402 - behind the sentence on what is missing

from leed_agentic.traffic.route_v0 import parallel_env  # noqa: E402


def supersuit_env(**made_of: Any) -> Any:
    """What `make_env` makes, as SuperSuit's vector of one row per car.

    Its wrappers hand no masks on: an action outside the mask is replaced as `illegal_action` says.
    """
    env = parallel_env(**{"backend": "process", **made_of, "arrived": "keep"})
    return supersuit.pettingzoo_env_to_vec_env_v1(env)
