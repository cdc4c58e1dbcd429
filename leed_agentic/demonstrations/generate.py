"""One run of the demonstration graph, from settings to a folder full of results."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leed_agentic.demonstrations.graph import steps
from leed_agentic.demonstrations.nodes import summary_of
from leed_agentic.demonstrations.parts import Parts, check_budget, open_parts, unasked
from leed_agentic.demonstrations.planning import planner_of
from leed_agentic.demonstrations.prompts import PromptSet
from leed_agentic.demonstrations.replay import resolved
from leed_agentic.demonstrations.review import Decision, Proposal, edited_in
from leed_agentic.demonstrations.rules import Reading, Rules, read_brief
from leed_agentic.demonstrations.rules.brief import rules_json
from leed_agentic.demonstrations.state import Best, Context, State
from leed_agentic.errors import LeedError, UnwritableError, UsageError
from leed_agentic.models.tokens import prompt_tokens
from leed_agentic.resumption import settings_to_go_on
from leed_agentic.roads.catalogue import open_map
from leed_agentic.roads.picture import draw_map, image_html
from leed_agentic.runs.files import read_json, write_json, write_text
from leed_agentic.runs.folder import check_links, create_run_folder
from leed_agentic.runs.lock import alone
from leed_agentic.runs.trackers import Trackers, check_trackers
from leed_agentic.settings import Settings
from leed_agentic.traffic.demand import scenario_for
from leed_agentic.traffic.demonstration import DemonstrationSet
from leed_agentic.traffic.export import measure_run
from leed_agentic.traffic.measures import FleetFigures, average
from leed_agentic.traffic.run_files import write_sumo_run
from leed_agentic.traffic.scenario import Scenario
from leed_agentic.traffic.trajectory import Trajectory, load_trajectories, save_trajectories
from leed_agentic.versions import package_versions

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
TRAFFIC = "traffic.json"
Reviewer = Callable[[Proposal, Parts, Path], Decision]
"""Asks a person about a proposal, given the parts of the run and where its map picture is."""


@dataclass
class Generated:
    """What a run gave."""

    folder: Path
    demonstrations: DemonstrationSet
    summary: dict[str, Any]
    """The object that --json prints."""

    def _repr_html_(self) -> str:
        """The routes on the map, in a notebook."""
        title = f"{len(self.demonstrations.routes)} routes on {self.summary['map']}"
        return image_html(self.folder / "routes.png", title)


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
                # A wrong model, key or recording leaves nothing behind.
                with suppress(OSError):
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


def finished(folder: Path) -> Generated | None:
    """What a run gave that came to its end; None when there is something left to ask."""
    if not (folder / "summary.json").is_file():
        return None
    summary = read_json(folder / "summary.json", "the summary of a run")
    if summary.get("stopped"):
        return None
    return Generated(folder, DemonstrationSet.load(folder / "demonstrations.json"), summary)


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


def provenance_of(parts: Parts) -> dict[str, Any]:
    """How demonstrations came about."""
    return {
        "model": parts.caller.label,
        "planning": parts.settings.demonstration.planning,
        "prompts": parts.prompts.hashes,
        "feedback": parts.settings.demonstration.feedback,
        "seed": parts.settings.seed,
        "attribution": parts.network.attribution,
        "versions": package_versions(),
    }


def write_prompts(settings: Settings, out: Path | None = None, progress: Line = lambda line: None) -> dict[str, Any]:
    """Write the prompts that a run would begin with, as Markdown, and return their sizes; nothing is called.

    Junction planning's later questions depend on the replies; the first of each agent is written.

    Raises:
        UsageError: a wrong setting, map, prompt or folder.
    """
    settings = resolved(settings)
    planning = settings.demonstration.planning or "fleet"
    planner, prompts = planner_of(planning), PromptSet.load(settings.demonstration.prompts)
    network = open_map(settings.map.name, settings.map)
    scenario = scenario_for(network, settings)
    check_budget(settings, prompts, network, scenario)
    request = unasked(settings, prompts, network, scenario)
    written = planner.first_questions(request)
    if not written:
        raise UsageError(f"Planning {planning!r} tells no first questions; leave --dry-run out, or name another way.")
    folder = create_run_folder(out, network.name, "dry-run")
    progress(f"writing to {folder}")
    for name, messages in written.items():
        text = "\n\n".join(f"<!-- {m['role']} -->\n{m['content']}" for m in messages)
        write_text(folder / f"{name}.md", text + "\n")
    characters = {name: sum(len(m["content"]) for m in messages) for name, messages in written.items()}
    tokens = [prompt_tokens(messages) for messages in written.values()]
    summary = {
        "map": network.name,
        "agents": len(request.agents),
        "planning": planning,
        "prompts": len(written),
        "characters": sum(characters.values()),
        "estimated_input_tokens": sum(tokens),
        "largest_prompt_tokens": max(tokens),
        "calls": 0,
        "run": str(folder),
    }
    write_json(folder / "summary.json", {**summary, "characters_per_prompt": characters})
    write_json(folder / SETTINGS, settings.for_file())
    return summary


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


def fleet_figures(folder: Path, parts: Parts, emissions: bool = False) -> FleetFigures | None:
    """Of the agents, from the run's folder driven by plain SUMO; None, said, where that fails: the rest is kept."""
    parts.progress("measuring the drive in plain SUMO")
    try:
        return average([measure_run(folder, emissions)])
    except LeedError as error:
        parts.progress(f"The fleet was not measured: {error}")
        return None


def _draw_losses(parts: Parts, folder: Path, traffic: Mapping[str, Any]) -> None:
    """Where the fleet stood on the fastest paths of empty streets, and where it stands now, on one scale."""
    fleet = parts.fleet
    if fleet is None or not fleet.before:
        return
    took = {"shortest": traffic["baselines"]["shortest"], "kept": traffic["fleet_time"]}
    lost = {"shortest": fleet.before, "kept": fleet.lost()}
    most = max(max(seconds.values(), default=0.0) for seconds in lost.values())
    for name, seconds in lost.items():
        plan = "shortest paths" if name == "shortest" else traffic["kept"]
        title = f"{parts.network.name}, {plan}: {took[name]:.0f} s a car"
        draw_map(parts.network, folder / f"lost_{name}.png", lost=seconds, most_lost=most, title=title)


def write_result(
    parts: Parts,
    folder: Path,
    state: State,
    started: float,
    stopped: str | None,
    measured: Callable[[], FleetFigures | None],
    whole: bool = True,
) -> Generated:
    """What was reached, as files.

    Args:
        started: when it began, by `time.perf_counter`.
        stopped: why it ended early, if it did.
        measured: the fleet's figures, once the drive is written.
        whole: with the run of plain SUMO, what the traffic came to, and a picture.
    """
    best = state.get("best", Best())
    provenance = {**provenance_of(parts), "stopped": stopped}
    if state.get("reviewed"):
        provenance["edited_by_a_person"] = edited_in(state["edited"], best.routes)
    demonstrations = DemonstrationSet(parts.scenario, best.routes, state.get("history", []), provenance)
    demonstrations.save(folder / "demonstrations.json")
    if best.episode:
        save_trajectories(folder / "trajectories.json", best.episode.trajectories, parts.scenario.to_json())
    driven = best.episode.driven if best.episode else None
    if whole:
        if state.get("traffic") and parts.fleet is not None:
            write_json(folder / TRAFFIC, parts.fleet.record())
            _draw_losses(parts, folder, state["traffic"])
        write_sumo_run(folder, parts.network, parts.scenario, best.routes, parts.settings.environment, driven)
        draw_map(parts.network, folder / "routes.png", routes=best.routes, title=None)
    fleet, usage = measured() if driven else None, parts.caller.usage
    summary = {
        **summary_of(state, parts),
        "fleet": fleet,
        "cost": parts.caller.cost,
        "price_as_of": parts.settings.model.price_as_of,
        "retries": usage.retries,
        "replayed_calls": usage.replayed_calls,
        "model_seconds": round(usage.seconds, 3),
        "seconds": round(time.perf_counter() - started, 3),
        "stopped": stopped,
        "run": str(folder),
    }
    write_json(folder / "summary.json", summary)
    return Generated(folder, demonstrations, summary)
