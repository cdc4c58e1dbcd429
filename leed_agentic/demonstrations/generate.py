"""One run of the demonstration graph, from settings to a folder full of results."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leed_agentic.demonstrations.graph import steps
from leed_agentic.demonstrations.parts import Parts, open_parts
from leed_agentic.demonstrations.replay import resolved
from leed_agentic.demonstrations.results import Generated, fleet_figures, write_result
from leed_agentic.demonstrations.review import Decision, Proposal
from leed_agentic.demonstrations.rules import Reading, Rules, read_brief
from leed_agentic.demonstrations.rules.brief import rules_json
from leed_agentic.demonstrations.state import Context, State
from leed_agentic.errors import LeedError, UnwritableError, UsageError
from leed_agentic.resumption import settings_to_go_on
from leed_agentic.roads.catalogue import open_map
from leed_agentic.roads.picture import draw_map
from leed_agentic.runs.files import read_json, write_json
from leed_agentic.runs.folder import check_links, create_run_folder
from leed_agentic.runs.lock import alone
from leed_agentic.runs.trackers import Trackers, check_trackers
from leed_agentic.settings import Settings
from leed_agentic.traffic.demand import scenario_for
from leed_agentic.traffic.scenario import Scenario
from leed_agentic.traffic.trajectory import Trajectory, load_trajectories, save_trajectories

if TYPE_CHECKING:
    from langchain_core.callbacks import BaseCallbackHandler
    from langchain_core.language_models import BaseChatModel

SETTINGS = "settings.json"
AGENTS = "agents_trajectories.json"
"""How the agents of `policy` drove, whose trajectories the critique compares with."""
Line = Callable[[str], Any]
Accept = Callable[[Reading], bool]
"""Asks a person whether the fleet is to drive by the rules that a brief came to."""
RULES = "rules.json"
Reviewer = Callable[[Proposal, Parts, Path], Decision]
"""Asks a person about a proposal, given the parts of the run and where its map picture is."""


def generate(
    settings: Settings,
    out: str | Path | None = None,
    policy: Path | None = None,
    progress: Line = lambda line: None,
    reviewer: Reviewer | None = None,
    model: BaseChatModel | None = None,
    callbacks: Sequence[BaseCallbackHandler] = (),
    resume: bool = False,
    on_folder: Callable[[Path], Any] = lambda folder: None,
    brief: str | None = None,
    accept: Accept | None = None,
    emissions: bool = False,
) -> Generated:
    """Plan, validate, drive, judge and refine routes for the settings' scenario, and write everything down.

    Whatever ends the run early (a cap, a server that goes away, Ctrl-C), the best validated set so far is written.

    Args:
        out: the run folder; runs/<time>_<map>_<model>/ when None.
        policy: a training run whose trajectories the critique compares with.
        reviewer: asks a person before routes are driven; None: nobody is asked.
        model: any LangChain chat model, to ask in place of the one that the settings name.
        callbacks: LangChain handlers that see every step, besides those that the settings name.
        resume: `out` is a run that was stopped, with these settings (see `settings_of_run`): what it has asked is on
            its record, and only the rest is asked.
        on_folder: called with the run folder as soon as there is one.
        brief: a person's wishes in words, which the model turns into rules.
        accept: is shown what was understood and says whether the fleet is to drive by it; None: it is.
        emissions: whether CO2 is among the fleet's figures.

    Raises:
        UsageError: a wrong setting, map, model, recording, prompt or folder, another process writes there, or wishes
            that were not understood, not accepted, or cannot be.
        UnavailableError: SUMO or the model cannot be used.
    """
    started = time.perf_counter()
    out, settings = Path(out) if out else None, resolved(settings, replayed=model is None, wishes=brief is not None)
    check_trackers(settings.demonstration.trackers)
    network = open_map(settings.map.name, settings.map)
    scenario = scenario_for(network, settings)
    if resume and out and policy is None and (out / AGENTS).is_file():
        policy = out / AGENTS
    trajectories = own_trajectories(policy, scenario) if policy else None
    folder, made_here = Path(), not (out and out.exists())

    def make_folder() -> Path:
        nonlocal folder
        name = type(model).__name__ if model else settings.model.name
        folder = out if resume and out else create_run_folder(out, network.name, name)
        if resume:
            # Before its record is read: whoever writes there would be cut off.
            opened.enter_context(alone(folder))
        progress(f"writing to {folder}")
        return folder

    with ExitStack() as opened:
        try:
            parts = open_parts(settings, network, scenario, folder=make_folder, model=model, progress=progress)
        except LeedError:
            if made_here and folder != Path():
                # A wrong model, key, recording or network leaves nothing behind: nothing was asked yet.
                with suppress(OSError):
                    (folder / "calls.jsonl").unlink(missing_ok=True)
                    folder.rmdir()
            raise
        opened.callback(parts.close)
        if not resume:
            opened.enter_context(alone(folder))
        on_folder(folder)
        if brief is not None:
            _follow(parts, brief, accept)
        parts.check_rules()
        return _run(parts, folder, trajectories, reviewer, callbacks, started, emissions)


def _run(
    parts: Parts,
    folder: Path,
    trajectories: dict[int, Trajectory] | None,
    reviewer: Reviewer | None,
    callbacks: Sequence[BaseCallbackHandler],
    started: float,
    emissions: bool,
) -> Generated:
    ask = _with_picture(reviewer, parts, folder / "routes.png") if reviewer else None
    problem: BaseException | None = None
    state = State()
    try:
        if trajectories is not None:
            # With it the folder holds everything that decides what is asked.
            save_trajectories(folder / AGENTS, trajectories, parts.scenario.to_json())
        if not (folder / SETTINGS).is_file():
            # That of a run that goes on stays: this call may vouch for less than the first one did.
            write_json(folder / SETTINGS, parts.settings.for_file())
        if parts.rules is not None:
            write_json(folder / RULES, rules_json(parts.rules.rules))
        with closing(Trackers(parts.settings.demonstration.trackers, folder)) as tracked:
            for reached in steps(
                Context(parts=parts, trajectories=trajectories, review=ask is not None), callbacks, ask
            ):
                state = reached
                # The last round is not driven yet.
                _track(tracked, state, ended=False)
            _track(tracked, state, ended=True)
    except (LeedError, KeyboardInterrupt) as error:
        problem = error
    finally:
        parts.close()
    if not folder.is_dir():
        # Writing the results would make it anew, without what it held.
        raise problem or UnwritableError(f"The run folder {folder} was removed; generate again.")
    stopped = state.get("stopped") or (str(problem) or "interrupted" if problem else None)
    measured = partial(fleet_figures, folder, parts, emissions)
    result = write_result(parts, folder, state, started, stopped, measured)
    if problem is not None:
        raise problem
    return result


def _track(tracked: Trackers, state: State, ended: bool) -> None:
    """Write the figures of the rounds that are complete and not yet written."""
    complete = state.get("history", [])
    for plan in complete[tracked.steps : None if ended else -1]:
        tracked.write(asdict(plan), plan.round)


def _follow(parts: Parts, brief: str, accept: Accept | None) -> None:
    """Put a brief's rules in force, after those of the settings. Raises UsageError as `generate`."""
    parts.progress("reading the brief")
    reading = read_brief(brief, parts.caller, parts.prompts)
    if parts.folder is not None:
        parts.prompts.save_one(parts.folder, "brief")
    if not reading.rules:
        doubts = "; ".join(reading.not_understood[:5])
        raise UsageError(f"No rule was understood ({doubts}); say it in other words, or write rules as JSON.")
    given = parts.rules.rules if parts.rules is not None else ()
    # What cannot be is said before anybody is asked.
    parts.rules = Rules((*given, *reading.rules), parts.network, parts.scenario)
    parts.check_rules()
    if accept is not None and not accept(reading):
        raise UsageError(
            "The rules were not accepted; nothing was driven. Say it in other words, or write them as JSON."
        )


def settings_of_run(folder: Path, given: Mapping[str, Any] | None = None, trust: bool = False) -> Settings:
    """The settings of a run that goes on; the words of the call may confirm them, not change them.

    Raises:
        UsageError: the folder is no such run, a link leaves it, or as `settings_to_go_on`.
    """
    check_links(folder)
    file = folder / SETTINGS
    if not file.is_file():
        raise UsageError(
            f"{folder} holds no settings.json: nothing was asked there yet; generate again without --resume."
        )
    tree = read_json(file, "the settings of a run of `leed demo generate`")
    return settings_to_go_on(tree, str(file), given, trust)


def own_trajectories(policy: Path, scenario: Scenario) -> dict[int, Trajectory]:
    """The agents' latest trajectories of a training run. Raises UsageError when they do not fit or are damaged."""
    if policy.is_dir():
        check_links(policy)
    file = policy / "trajectories.json" if policy.is_dir() else policy
    trajectories, made_in = load_trajectories(file)
    if Scenario.from_json(made_in) != scenario:
        raise UsageError(
            f"{file} was driven in another scenario (map {made_in.get('map')}, seed {made_in.get('seed')}, "
            f"{len(made_in.get('agents', ()))} agents); use the same --map, --agents and --seed."
        )
    for agent, driven in trajectories.items():
        if not (np.isfinite(driven.rewards).all() and np.isfinite(driven.positions).all()):
            raise UsageError(
                f"{file}: the trajectory of agent {agent} holds NaN or infinite numbers; train again, or leave "
                "--policy out."
            )
    return trajectories


def _with_picture(reviewer: Reviewer, parts: Parts, picture: Path) -> Callable[[Proposal], Decision]:
    """Ask the person with a map picture at hand, drawn anew only when the routes are others."""
    drawn: Mapping[int, list[str]] | None = None

    def ask(proposal: Proposal) -> Decision:
        nonlocal drawn
        if proposal.routes != drawn:
            lacking = [trip for trip in parts.scenario.agents if trip.agent not in proposal.routes]
            trips = {trip.agent: (trip.start_edge, trip.destination) for trip in lacking}
            draw_map(parts.network, picture, routes=proposal.routes, trips=trips)
            drawn = proposal.routes
        return reviewer(proposal, parts, picture)

    return ask
