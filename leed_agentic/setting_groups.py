"""The groups of settings: every name, type, bound, default and meaning."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from leed_agentic.credentials import keep_secret, plain_address, secret_fields, secrets_of, without_secret_fields

PAPER_STEPS = 200
LARGEST = 2**53
"""Of whole numbers: JSON keeps no larger one exactly everywhere, and torch, numpy and SUMO take none beyond 2**63."""


class Named:
    """Marks a setting that holds the name of a registered choice, or the dotted path of the user's own code."""


Name = Annotated[str, Named()]
Names = Annotated[tuple[str, ...], Named()]


class Group(BaseModel):
    """Settings that belong together; frozen, and nothing unknown in them."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _of_common_size(cls, value: Any) -> Any:
        if isinstance(value, int) and abs(value) > LARGEST:
            raise PydanticCustomError("too_large", "Input should be at most {largest}", {"largest": LARGEST})
        return value


class MapSettings(Group):
    """Where the streets come from."""

    name: str = Field("braunschweig", description="A named map, a .net.xml(.gz) file or an .osm(.xml)(.gz) file.")
    overpass_url: str = Field(
        "https://overpass-api.de/api/interpreter", description="Overpass server that `leed map download` asks."
    )
    download_timeout: float = Field(180.0, gt=0, description="Seconds to wait for the Overpass server.")
    cache: Path | None = Field(None, description="Folder for built maps; the user's cache folder when unset.")
    lefthand: bool = Field(False, description="Drive on the left; for an .osm file given as the map.")


class ScenarioSettings(Group):
    """Who drives from where to where, and when."""

    agents: int = Field(10, ge=1, le=1_000_000, description="Number of agents n.")
    min_trip_share: float = Field(
        0.3, ge=0, le=1, description="Shortest allowed trip, as a share of the map's longest fastest trip (seconds)."
    )
    departure_window: float = Field(30.0, ge=0, description="Departures are drawn from 0 to this many seconds.")
    departures: Literal["uniform", "peak"] = Field(
        "uniform",
        description="Drawn evenly, or in a peak: most in the middle of departure_window, the background in it too.",
    )
    pattern: Literal["uniform", "hub", "cross"] = Field(
        "uniform", description="Drawn trips: anywhere to anywhere, to the middle of the map, or from west to east."
    )
    redraw: Literal["never", "episode"] | Annotated[int, Field(ge=1)] = Field(
        "never", description="Draw new trips never, for every episode, or every so many episodes."
    )
    background: int = Field(
        0, ge=0, le=1_000_000, description="Other vehicles, drawn likewise, departing within the episode."
    )
    demand: tuple[Path, ...] = Field(
        (), description="Your own trips in place of drawn ones: SUMO, OD matrix with TAZ, CSV, scenario.json."
    )
    fleet: str | None = Field(
        None, description="Who of the demand are the agents: a number, a share as 20%, a file of ids, or a vType."
    )
    background_demand: tuple[Path, ...] = Field((), description="Files of further vehicles, none of them an agent.")
    background_routes: Literal["file", "fastest", "rerouting"] = Field(
        "file", description="The others drive as the files say, on fastest paths, or look for faster ones on the way."
    )
    closures: Path | None = Field(None, description="CSV of streets closed or slowed for a while.")
    incidents: int = Field(
        0,
        ge=0,
        le=100_000,
        description="Streets of the agents' fastest paths, drawn by lot, that turn to walking pace once all have left.",
    )
    drop_unreachable: bool = Field(
        False, description="Leave out trips that cannot be driven, and say how many; else they are refused."
    )

    @field_validator("demand", "background_demand", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | Path) else value

    @field_validator("fleet", mode="before")
    @classmethod
    def _as_word(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class EnvironmentSettings(Group):
    """How SUMO is stepped, what an agent observes and what its reward is."""

    preset: Literal["paper"] | None = Field(
        None, description="paper: sets max_steps to the paper's 200 and score to sumo_travel_time, where not given."
    )
    backend: Literal["libsumo", "process", "traci"] = Field(
        "libsumo",
        description="SUMO in this process (one at a time), in a process of its own, or behind a socket (10x slower).",
    )
    reset: Literal["auto", "fast", "load"] = Field(
        "auto", description="fast clears the streets; load starts SUMO afresh; auto is fast where that is exact."
    )
    step_seconds: int = Field(5, ge=1, le=3600, description="Simulated seconds per environment step.")
    margin_seconds: float = Field(
        5.0, ge=0, description="An agent is asked this much before it could run out of chosen edges within a step."
    )
    max_steps: int | None = Field(
        None, ge=1, description="Steps until truncation; unset: the paper's 200, or as many as the trips need."
    )
    illegal_action: Literal["random", "penalty", "error", "fastest"] = Field(
        "random",
        description="Outside the mask: a random legal action, that and a penalty, an error, or the fastest path.",
    )
    illegal_penalty: float = Field(10.0, ge=0, description="Reward lost per illegal action, with penalty.")
    forced_choices: bool = Field(False, description="Where only one edge follows, take it without asking the agent.")
    observation: Name = Field("table1", description="Observation by name or dotted path.")
    score: Name = Field("travel_time", description="Score of an available edge, by name or dotted path.")
    reward: Name = Field("paper", description="Reward by name or dotted path.")
    distance: Name = Field("straight", description="Distance to the destination used by the reward, by name or path.")
    time_penalty: float = Field(0.1, ge=0, description="Reward lost per simulated second on the way.")
    progress_weight: float = Field(0.1, ge=0, description="Reward per metre (or second) of distance gained.")
    arrival_bonus: float = Field(100.0, ge=0, description="Reward on arrival.")
    arrived: Literal["leave", "keep"] = Field(
        "leave",
        description="keep: whoever arrived stays with its last observation, one action and reward 0; all end together.",
    )
    mask_in_observation: bool = Field(False, description="Give {'observation', 'action_mask'} instead of an array.")
    driver_noise: float | None = Field(
        0.0,
        ge=0,
        le=1,
        description="SUMO's sigma of all drivers, all of one speed; null: as their types say; not 0: load reset.",
    )
    teleport_seconds: float = Field(300.0, description="SUMO moves a vehicle stuck this long; negative: never.")

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("preset") == "paper":
            return {"max_steps": PAPER_STEPS, "score": "sumo_travel_time", **values}
        return values

    @property
    def planned_seconds(self) -> float:
        """Simulated seconds of an episode before its trips are known: within them the drawn background departs."""
        return float((self.max_steps or PAPER_STEPS) * self.step_seconds)


HOW_A_MODEL_IS_REACHED = frozenset(
    {
        *("base_url", "send_key", "timeout_seconds", "retries", "retry_seconds"),
        *("calls_per_minute", "max_concurrent_calls", "concurrent_calls"),
        *("price_input", "price_output", "price_as_of", "tracing"),
    }
)
"""Settings of a model that change no reply."""


class ModelSettings(Group):
    """Which language model answers, and how much it may be asked. Keys come from the environment only."""

    name: Name = Field(
        "replay", description="provider:name, replay, stand-in, or a dotted path to a LangChain chat model of your own."
    )
    base_url: str | None = Field(None, description="An OpenAI-compatible server, such as http://127.0.0.1:8080/v1.")
    send_key: bool = Field(
        True,
        description="Whether base_url gets this machine's key; off where a file named it and the user did not again.",
    )
    temperature: float | None = Field(0.0, ge=0, description="Sampling temperature; null: not sent.")
    seed: int | None = Field(0, description="Sampling seed, where the server honours it; null: not sent.")
    max_output_tokens: int | None = Field(4096, ge=1, description="Longest reply, in tokens; null: not sent.")
    limit_word: Literal["auto", "max_tokens", "max_completion_tokens"] = Field(
        "auto", description="What that limit is called in requests; auto: as OpenAI or other servers know it."
    )
    extra_body: dict[str, Any] = Field(
        {}, description="Further fields of each request to an OpenAI-compatible server, such as {top_k: 1}."
    )
    timeout_seconds: float = Field(120.0, gt=0, description="Longest wait for one reply.")
    retries: int = Field(2, ge=0, description="Further tries after a 429, a 5xx, a timeout or a broken connection.")
    retry_seconds: float = Field(
        1.0, ge=0, description="Pause before the first further try, then doubled; a server's retry-after goes first."
    )
    calls_per_minute: float | None = Field(
        None,
        ge=0.001,
        description="Most calls a minute to this model by all processes of this machine; unset: no limit.",
    )
    max_concurrent_calls: int | None = Field(
        None, ge=1, le=1000, description="Most calls at a time to this model, likewise counted; unset: no limit."
    )
    replay: Path | None = Field(None, description="A calls.jsonl for the replay model; unset: the shipped one.")
    concurrent_calls: int = Field(
        4, ge=1, le=64, description="Calls under way at the same time, in fleet and agent planning."
    )
    max_calls: int = Field(2000, ge=1, description="Calls per run; reaching it ends the run with the best set so far.")
    max_tokens: int = Field(2_000_000, ge=1, description="Input plus output tokens per run, likewise.")
    max_cost: float | None = Field(None, gt=0, description="Cost per run, likewise; needs both prices.")
    price_input: float | None = Field(
        None, ge=0, description="Price of a million input tokens, in any one currency; unset: the cost is unknown."
    )
    price_output: float | None = Field(None, ge=0, description="Price of a million output tokens, likewise.")
    price_as_of: str | None = Field(
        None, max_length=200, description="Currency, day and source of the prices in your words; kept with the cost."
    )
    structured: bool = Field(
        False, description="Ask an OpenAI-compatible server for replies that fit a JSON schema; free text when off."
    )
    tracing: Names = Field(
        (), description="LangChain callbacks that see every step: langsmith, or dotted paths to handlers; none: off."
    )
    stand_in_error_rate: float = Field(
        0.3, ge=0, le=1, description="Share of agents for which the stand-in's first route is wrong on purpose."
    )

    @model_validator(mode="after")
    def _keep_secrets(self) -> ModelSettings:
        """Whatever is shown or written from here on is cleared of them."""
        keep_secret(*(secrets_of(self.base_url) if self.base_url else ()), *secret_fields(self.extra_body))
        return self

    def for_file(self) -> dict[str, Any]:
        """As JSON, fit to be written: no user name, password or query in the address, no secret in `extra_body`."""
        tree = self.model_dump(mode="json")
        tree["base_url"] = plain_address(self.base_url) if self.base_url else None
        tree["extra_body"] = without_secret_fields(tree["extra_body"])
        return tree


class DemonstrationSettings(Group):
    """How routes are planned, judged and refined."""

    planning: Annotated[str | None, Named()] = Field(
        None,
        description="fleet (one prompt for all), agent (one each), junction, alternatives, instructions, tools, or the "
        "dotted path of your own; unset: as recorded, else alternatives where there is traffic, else fleet.",
    )
    rounds: int = Field(5, ge=0, le=100, description="Refinements after the first plan.")
    trackers: Names = Field(
        (), description="Where figures of rounds also go: tensorboard, wandb, mlflow, or the dotted path of your own."
    )
    prompts: Path | None = Field(
        None, description="Templates: default, short (for small models), or a folder of your own."
    )
    feedback: Name = Field("leed", description="Feedback strategy by name or dotted path.")
    junction_distance: Literal["network", "straight"] = Field(
        "network", description="Distance left that junction planning tells the model."
    )
    max_route_edges: int = Field(200, ge=1, description="A longer route is refused; junction planning stops there.")
    accept_ratio: float = Field(
        1.5, ge=1, description="A valid route slower than this many times its shortest path is sent to refinement."
    )
    corridor_paths: int = Field(
        3, ge=0, le=100, description="Fastest routes of an agent whose streets its prompt holds; 0: the whole network."
    )
    corridor_slack: float = Field(
        0.02, ge=0, description="Its prompt also holds the streets of any route slower by at most this share."
    )
    prompt_tokens: int = Field(
        16_000, ge=1, description="Most tokens of one prompt, by an estimate that is rather too large."
    )
    objective: Literal["fleet", "everybody", "reward"] | None = Field(
        None,
        description="What is best in the best plan: mean travel time of the fleet or of everybody, or mean reward; "
        "unset: fleet where there is traffic (a demand, a background, 50 agents), else reward.",
    )
    max_detour: float | None = Field(
        None, ge=1, description="In traffic no agent is sent on more than this many times its fastest way's seconds."
    )
    noise_seeds: int | None = Field(
        None,
        ge=0,
        le=100,
        description="Drives in driver noise that judge each plan in traffic; 0: one calm drive; unset: 2 where the "
        "best baseline jams, else 0.",
    )
    signals: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Whether street costs in traffic know the static lights; auto: where drives show that it pays.",
    )
    share: float = Field(
        0.3, gt=0, le=1, description="Of all vehicles, asked at most in the first refinement in traffic; it adapts."
    )
    rules: Path | None = Field(
        None, description="JSON file of rules that routes and drives are held to, by hand or as --brief wrote them."
    )
    questions: Literal["one", "group"] = Field(
        "one", description="Alternatives: a question per agent, or one for several after the model has shown it can."
    )
    tool_turns: int = Field(8, ge=1, le=100, description="Tools: replies of the model in one round, at most.")
    tool_drives: int = Field(2, ge=0, le=100, description="Tools: sets of commands that a round may try in SUMO.")
    edge_names: Literal["ids", "aliases"] = Field(
        "ids", description="Streets and junctions in fleet and agent prompts by id, or as short aliases e17 and j5."
    )


class AlgorithmSettings(Group):
    """What one algorithm takes besides the settings that all share; its subclasses stand beside the algorithms."""


class LearningSettings(Group):
    """How agents learn. Equation numbers are the paper's; what it leaves open is a setting.

    These are shared by all algorithms; those of one are a group of its name, such as learning.leed.
    """

    # Groups of algorithms come in here; this layer knows none of them.
    model_config = ConfigDict(extra="allow")

    algorithm: Name = Field("leed", description="Algorithm by name or dotted path.")
    source: Name = Field(
        "graph",
        description="Where demonstrations come from: graph (the language model's), file, lights, logit, shortest-path, "
        "none, or a dotted path.",
    )
    demonstrations: Path | None = Field(None, description="The demonstrations.json of source file.")
    logit_temperature: float = Field(
        20.0,
        gt=0,
        description="Source logit: seconds of travel time that make one route e times likelier than another.",
    )
    episodes: int = Field(500, ge=1, description="Episodes K.")
    q: int = Field(5, ge=1, description="Episodes between two questions to the source.")
    learning_rate: float = Field(3e-4, gt=0, description="Adam's step size, for policies and critics.")
    hidden: int = Field(128, ge=1, description="Units in each of the two hidden layers.")
    activation: Literal["relu", "tanh"] = Field("relu", description="Of the hidden layers.")
    encoding: Literal["codes", "places", "onehot", "raw"] = Field(
        "codes",
        description="How junction numbers enter the networks: random unit codes, these and where the junction lies "
        "(places), one-hot, or as one number.",
    )
    code_size: int = Field(16, ge=1, le=4096, description="Length of a junction's code.")
    gamma: float = Field(0.99, ge=0, le=1, description="Discount per decision, in (3) and (4).")
    reward_scale: float = Field(
        0.01, gt=0, description="Rewards are multiplied by this before learning, so that values are of order 1."
    )
    clip: float = Field(0.2, gt=0, lt=1, description="Epsilon of the clipped surrogate (7).")
    epochs: int = Field(4, ge=1, description="Gradient steps per episode, each on the whole episode.")
    beta: float = Field(0.01, ge=0, le=1, description="Entropy weight in (9).")
    dtw: Name = Field(
        "exact", description="DTW by dynamic programming, approximated (fastdtw), or of your own by dotted path."
    )
    greedy_every: int = Field(
        0, ge=0, description="Episodes between two further ones of each policy's likeliest actions, logged; 0: none."
    )
    checkpoint_every: int = Field(50, ge=1, description="Episodes between checkpoints.")
    device: str = Field("cpu", description="Torch device of the update; rollouts always run on the CPU.")
    trackers: Names = Field(
        (), description="Where figures also go: tensorboard, wandb, mlflow, or the dotted path of your own."
    )

    @model_validator(mode="after")
    def _check_groups(self) -> LearningSettings:
        if self.model_extra:
            # By its name, and only when there is a group: an algorithm's file loads torch.
            importlib.import_module("leed_agentic.learning.algorithms").check_groups(self)
        return self
