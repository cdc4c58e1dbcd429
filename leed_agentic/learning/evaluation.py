"""How a run's trained policies drive, next to drivers that learned nothing, on seeds that training did not use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import stdtrit

from leed_agentic.errors import UsageError, check_count
from leed_agentic.learning.rollout import SEED_STRIDE, scenario_seed
from leed_agentic.learning.session import Session, take_up
from leed_agentic.learning.sources import load_routes
from leed_agentic.traffic.demand import in_traffic, scenario_for
from leed_agentic.traffic.demonstration import DemonstrationSet
from leed_agentic.traffic.environment import RouteEnv
from leed_agentic.traffic.measures import FleetMeasures, average, measure
from leed_agentic.traffic.reference_routes import equilibrium_routes, rerouted_routes
from leed_agentic.traffic.scenario import Scenario
from leed_agentic.traffic.simulation import Measure
from leed_agentic.traffic.trajectory import Choose, Episode, drive, fastest_path, follow, random_policy
from leed_agentic.versions import package_versions

FORMAT = "leed-evaluation"
FORMAT_VERSION = 1
FILE = "evaluation.json"
HELD_OUT = "held-out.json"
RANDOM = "random"
SHORTEST_PATH = "shortest path"
EQUILIBRIUM = "dua-iterate"
REROUTING = "rerouting"


@dataclass(frozen=True)
class Driver:
    """Somebody who decides for every agent."""

    name: str
    policy: Callable[[int], Choose]
    """From the seed of an episode to a policy."""
    agents: Sequence[int]
    """Whose figures count."""


def evaluation_seeds(seed: int, episodes: int) -> list[int]:
    """Seeds of a run's evaluation, counted down from the far end of its stretch: 1000003 (seed + 1) - 1 - k.

    Training counts up from 1000003 seed, so the two meet only after a million episodes, and no other run's do.
    """
    return [SEED_STRIDE * (seed + 1) - 1 - k for k in range(episodes)]


def trained_driver(session: Session, deterministic: bool = False) -> Driver:
    """The session's policies: actions drawn as in training, or each agent's likeliest."""
    algorithm = session.trainer.algorithm
    algorithm.deterministic = deterministic
    name = f"{session.settings.learning.algorithm} ({'likeliest action' if deterministic else 'sampled'})"
    return Driver(name, lambda seed: algorithm.act, range(session.world.agents))


def reference_drivers(agents: int) -> list[Driver]:
    """Drivers that learned nothing: random, and the free-flow shortest path."""
    everybody = range(agents)
    return [
        Driver(RANDOM, random_policy, everybody),
        Driver(SHORTEST_PATH, lambda seed: fastest_path, everybody),
    ]


def equilibrium_driver(env: RouteEnv) -> Driver:
    """The agents on their routes of SUMO's duaIterate, in the environment's own scenario."""
    routes = equilibrium_routes(env)
    return Driver(EQUILIBRIUM, lambda seed: follow(routes), sorted(routes))


def rerouted_driver(env: RouteEnv) -> Driver:
    """The agents on the routes that SUMO's rerouting drives them, in the environment's own scenario."""
    routes = rerouted_routes(env)
    return Driver(REROUTING, lambda seed: follow(routes), sorted(routes))


def plan_driver(made_by: str, routes: Mapping[int, Sequence[str]]) -> Driver:
    """Drives a plan. Agents without a route take the shortest path, so that the streets are as full as for others, and
    stay out of the figures."""
    return Driver(f"plan ({made_by})", lambda seed: follow(routes), sorted(routes))


def drive_all(
    env: RouteEnv,
    drivers: Sequence[Driver],
    seeds: Sequence[int],
    progress: Callable[[str], Any] = lambda line: None,
    draw: Callable[[int], Scenario] | None = None,
    emissions: bool = False,
) -> list[dict[str, Any]]:
    """Every driver's figures on the same seeds. Travel time ratios are to SHORTEST_PATH, where it is one of them.

    Args:
        draw: the trips of an episode, from its seed; None: the environment's.
        emissions: whether CO2 is among the figures.
    """
    options = {seed: {"scenario": draw(seed)} if draw else {} for seed in seeds}
    driven: dict[str, list[Episode]] = {}
    for driver in drivers:
        driven[driver.name] = []
        for done, seed in enumerate(seeds):
            progress(f"{driver.name}: episode {done + 1} of {len(seeds)}")
            driven[driver.name].append(
                drive(env, driver.policy(seed), seed, {**options[seed], "measure": Measure(emissions)})
            )
    return _with_gains([_figures(d, driven[d.name], driven.get(SHORTEST_PATH)) for d in drivers])


def evaluate_held_out(
    session: Session,
    scenarios: int,
    first_seed: int | None = None,
    deterministic: bool = False,
    progress: Callable[[str], Any] = lambda line: None,
    emissions: bool = False,
) -> dict[str, Any]:
    """Figures on trips that training never drew, one episode each; every row has its intervals over these scenarios.

    Args:
        first_seed: of the scenarios, from which it is counted up; None: `evaluation_seeds`.

    Raises:
        UsageError: no scenario, a seed that training drew trips from, or trips that are not drawn.
    """
    check_count("--held-out", scenarios)
    settings = session.settings
    if settings.scenario.demand:
        raise UsageError("The run has a demand of its own, from which no other trips are drawn; leave --held-out out.")
    seeds = evaluation_seeds(settings.seed, scenarios)
    if first_seed is not None:
        seeds = list(range(first_seed, first_seed + scenarios))
    if trained := sorted(_training_seeds(session) & set(seeds)):
        raise UsageError(
            f"Training drew trips from seed {trained[0]}, so they are not held out; choose another --first-seed, or "
            "leave it out."
        )
    drivers = [trained_driver(session, deterministic), *reference_drivers(session.world.agents)]
    env = session.world.env
    rows = drive_all(env, drivers, seeds, progress, partial(scenario_for, env.network, settings), emissions)
    return {**_evaluated(session, seeds, deterministic, rows), "held_out": True}


def _training_seeds(session: Session) -> set[int]:
    seed, redraw = session.settings.seed, session.settings.scenario.redraw
    if redraw == "never":
        return {seed}
    every, episodes = 1 if redraw == "episode" else redraw, max(session.trainer.episode, 1)
    return {scenario_seed(SEED_STRIDE * seed + k, every) for k in range(episodes)}


def _evaluated(
    session: Session, seeds: Sequence[int], deterministic: bool, rows: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    env = session.world.env
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "run": str(session.folder),
        "algorithm": session.settings.learning.algorithm,
        "trained_episodes": session.trainer.episode,
        "deterministic": deterministic,
        "map": env.network.name,
        "agents": session.world.agents,
        "agent_ids": [trip.id for trip in env.scenario.agents],
        "driver_noise": env.settings.driver_noise,
        "episodes": len(seeds),
        "seeds": list(seeds),
        "held_out": False,
        "drivers": list(rows),
        "versions": package_versions(),
    }


def evaluate_run(
    run: str | Path,
    episodes: int = 20,
    deterministic: bool = False,
    demonstrations: Path | None = None,
    trust: bool = False,
    progress: Callable[[str], Any] = lambda line: None,
    others: Mapping[str, Any] | None = None,
    given: Mapping[str, Any] | None = None,
    held_out: int | None = None,
    first_seed: int | None = None,
    emissions: bool = False,
) -> dict[str, Any]:
    """A run's latest policies on seeds that training did not use, next to random, shortest path and the plan.

    Args:
        run: a folder of `leed train` or `train`.
        deterministic: take each policy's likeliest action in place of drawing one.
        demonstrations: the demonstrations.json to drive as the plan; None: those the run ended with.
        trust: whether the run's settings may name code of yours.
        others: settings of the trips to drive where they are not the run's own, such as {"scenario.demand": FILE};
            entries without a value are left out.
        given: settings of the run named again, to vouch for them (see `settings_of`).
        held_out: so many scenarios that training never drew, one episode each, in place of the run's own.
        first_seed: of these; None: the run's own.
        emissions: whether CO2 is among the figures.

    Raises:
        UsageError: no such run, fewer than one episode, a plan of another scenario.
    """
    with closing(take_up(Path(run), with_source=False, given=given, trust=trust)) as session:
        if held_out is not None:
            return evaluate_held_out(session, held_out, first_seed, deterministic, progress, emissions)
        changed = {name: value for name, value in (others or {}).items() if value}
        if changed:
            session.world.env.use(scenario_for(session.world.env.network, session.settings.changed(changed)))
        plan = None
        try:
            plan = plan_of_file(demonstrations, session) if demonstrations else plan_of_run(session)
        except UsageError as error:
            if demonstrations:
                raise
            progress(f"No row for the plan: {error}")
        check_count("--episodes", episodes)
        settings, env = session.settings, session.world.env
        drivers = [trained_driver(session, deterministic), *reference_drivers(session.world.agents)]
        if (in_traffic(settings) or env.scenario.background) and settings.scenario.redraw == "never":
            progress(f"{EQUILIBRIUM}: planning")
            drivers.append(equilibrium_driver(env))
        if plan:
            drivers.append(plan)
        seeds = evaluation_seeds(settings.seed, episodes)
        rows = drive_all(env, drivers, seeds, progress, emissions=emissions)
        return _evaluated(session, seeds, deterministic, rows)


def _figures(driver: Driver, episodes: Sequence[Episode], references: Sequence[Episode] | None) -> dict[str, Any]:
    """One row. Deviations are those of a sample (n - 1); None stands for a figure that nothing was measured for."""
    rewards = [float(np.mean([e.trajectories[a].total_reward for a in driver.agents])) for e in episodes]
    # Relative to the first: the deviation of equal episodes is then 0 and not their mean's rounding error.
    apart = np.subtract(rewards, rewards[0])
    compared: Sequence[Episode | None] = references or [None] * len(episodes)
    pairs = [
        (e.trajectories[a].travel_seconds, r.trajectories[a].travel_seconds if r else None)
        for e, r in zip(episodes, compared, strict=True)
        for a in driver.agents
    ]
    arrivals = [float(np.mean([e.trajectories[a].arrived for a in driver.agents])) for e in episodes]
    seconds = [taken for taken, _ in pairs if taken is not None]
    ratios = [taken / reference for taken, reference in pairs if taken is not None and reference]
    return {
        "driver": driver.name,
        "agents": len(driver.agents),
        "reward_mean": float(np.mean(rewards)),
        "reward_std": float(np.std(apart, ddof=1)) if len(rewards) > 1 else None,
        "arrival_rate": len(seconds) / len(pairs),
        "travel_seconds_mean": float(np.mean(seconds)) if seconds else None,
        "travel_time_ratio": float(np.mean(ratios)) if ratios else None,
        "fleet": average([_measured(e, driver.agents) for e in episodes]),
        "reward_interval": _interval(rewards),
        "arrival_interval": [min(max(x, 0.0), 1.0) for x in _interval(arrivals) or ()] or None,
        "teleports": sum(e.counters.teleports for e in episodes),
        "collisions": sum(e.counters.collisions for e in episodes),
        "rewards": rewards,
    }


def _measured(episode: Episode, agents: Sequence[int]) -> FleetMeasures:
    """SUMO's figures of these agents, and of all other vehicles as the others."""
    assert episode.driven is not None and episode.measured is not None  # noqa: S101, PT018 - drive_all asks for both
    trips = episode.driven.scenario.agents
    return measure(episode.measured, [trips[agent].id for agent in agents])


def _with_gains(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with their place on a scale of the drivers that learned nothing; None where it has no length.

    In traffic, by the fleet's mean seconds: 0 is the free-flow shortest path, 1 equilibrium.
    Else, by reward as in the paper's set-up: 0 is random driving, 1 the shortest path.
    """
    known = {row["driver"]: row for row in rows}
    ends = (SHORTEST_PATH, EQUILIBRIUM) if EQUILIBRIUM in known else (RANDOM, SHORTEST_PATH)
    figures = {
        name: -row["fleet"]["mean"] if EQUILIBRIUM in known else row["reward_mean"] for name, row in known.items()
    }
    zero, one = (figures.get(name, np.nan) for name in ends)
    return [{**row, "gain": (figures[row["driver"]] - zero) / (one - zero) if one > zero else None} for row in rows]


def _interval(figures: Sequence[float]) -> list[float] | None:
    """Student's 95 % interval of the mean of independent episodes; None for less than two."""
    if len(figures) < 2:
        return None
    mean, error = float(np.mean(figures)), float(np.std(figures, ddof=1) / np.sqrt(len(figures)))
    reach = float(stdtrit(len(figures) - 1, 0.975)) * error
    return [mean - reach, mean + reach]


# -- the plan ----------------------------------------------------------------------------------------------------------
def plan_of_run(session: Session) -> Driver:
    """The demonstrations that the run's latest checkpoint was learning from.

    Raises:
        UsageError: there are none.
    """
    assert session.folder is not None  # noqa: S101 - experts come from a checkpoint, which lies in a folder
    learning, experts = session.settings.learning, session.trainer.experts
    if not experts:
        why = (
            f"algorithm {learning.algorithm} uses no demonstrations"
            if not session.trainer.algorithm.uses_demonstrations
            else "the run was started with source none"
            if learning.source == "none"
            else f"its source {learning.source} had given none by episode {session.trainer.episode}"
        )
        raise UsageError(f"{session.folder} holds no demonstrations ({why}); name some with --demonstrations FILE.")
    if learning.source == "file" and learning.demonstrations:
        return plan_driver(_maker(learning.demonstrations), {agent: t.route for agent, t in experts.items()})
    files = sorted((session.folder / "demonstrations").glob("[0-9]*.json"))
    model = _provenance(files[-1]).get("model") if files else None
    made_by = f"{learning.source}, {_unbracketed(str(model))}" if model else learning.source
    return plan_driver(made_by, {agent: t.route for agent, t in experts.items()})


def plan_of_file(file: Path, session: Session) -> Driver:
    """The routes of a saved demonstration file. Raises UsageError when it holds none or they do not fit the run."""
    routes = load_routes(file, session.world.env).routes
    if not routes:
        raise UsageError(f"{file} holds no route; make demonstrations with `leed demo generate`.")
    return plan_driver(_maker(file), routes)


def _maker(file: Path) -> str:
    provenance = _provenance(file)
    maker = provenance.get("model") or provenance.get("source") or "maker not recorded"
    return f"{file.name}, {_unbracketed(str(maker))}"


def _provenance(file: Path) -> Mapping[str, Any]:
    """What the file says of its making; nothing where it is gone or damaged: it only names a row."""
    try:
        return DemonstrationSet.load(file).provenance
    except UsageError:
        return {}


def _unbracketed(label: str) -> str:
    """`stand-in (no LLM was called)` as `stand-in: no LLM was called`, to stand in brackets itself."""
    return label.replace(" (", ": ").rstrip(")")
