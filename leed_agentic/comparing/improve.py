"""Templates that get better: a reflective search (gepa) on training scenarios, judged on others.

Every try is a folder of templates with its scores. Trials and rewriting are recorded: the same search again goes on
where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from leed_agentic.comparing.compare import Compared
from leed_agentic.comparing.compare import compare as make_comparison
from leed_agentic.comparing.comparison import Combination, Comparison, Wanted, plan_comparison
from leed_agentic.comparing.rewriting import chosen, feedback, request, score, template_in
from leed_agentic.demonstrations.parts import made_with
from leed_agentic.demonstrations.prompts import PromptSet, problems_of, template_folder
from leed_agentic.errors import UsageError, check_count
from leed_agentic.experiments.backends import Submit, processes
from leed_agentic.experiments.task import CALLS, read_stages
from leed_agentic.models.caller import ModelCaller
from leed_agentic.models.recording import ReplyCache
from leed_agentic.roads.catalogue import open_map
from leed_agentic.runs.files import write_json, write_text
from leed_agentic.runs.lock import alone
from leed_agentic.setting_groups import ModelSettings
from leed_agentic.settings import load_settings
from leed_agentic.traffic.demand import scenario_for

TRIES = "tries"
TRIALS = "trials"
TEMPLATES = "templates"
"""Folder of the best templates, for --prompts."""
HELD_OUT = "held_out"
"""Folder of the comparison on scenarios that the search did not see."""
RECORD = "record.json"
MINIBATCH = 3
"""Scenarios that a rewritten template is tried on before the others."""
Texts = Mapping[str, str]


@dataclass(frozen=True)
class Search:
    """What is to be improved, and how much may be tried."""

    wanted: Wanted
    """One model, prompts, way of planning, map and number of agents; its trials are the training scenarios."""
    budget: int
    """Scenarios planned and templates rewritten in the search, together."""
    held_out: int = 30
    templates: tuple[str, ...] = ()
    """To rewrite; empty: the one that the way of planning goes by."""
    rewriter: str | None = None
    """Model that rewrites; None: the one that plans."""

    @property
    def round(self) -> int:
        """The least budget: all scenarios before, one rewriting, all scenarios after it."""
        return 2 * self.wanted.trials + 1


@dataclass
class Try:
    """A set of templates that was tried."""

    number: int
    texts: Texts
    """Of the templates that are being improved."""
    problems: list[str]
    """Why no run would take it; it is given no trial then."""
    scores: dict[int, float] = field(default_factory=dict)
    """Training scenario's seed to its score."""
    notes: dict[int, dict[str, str]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        mean = sum(self.scores.values()) / len(self.scores) if self.scores else None
        return {"try": self.number, "score": mean, "scores": self.scores, "problems": self.problems}


@dataclass(frozen=True)
class Improved:
    """What came of it."""

    folder: Path
    before: float
    """Mean score in training; likewise below."""
    after: float
    best: int
    """Number of the try; 0: the templates stay as they were."""
    tries: int
    used: int
    """Of the budget."""
    calls: int
    """Asked of models in the search, recorded ones included."""
    tokens: int | None
    judged: Compared | None
    """On the held-out scenarios; None where nothing was better."""

    @property
    def sentences(self) -> list[str]:
        said = f"{self.tries} tries, {self.used} of the budget used, {self.calls} calls"
        said += f", {self.tokens:,} tokens" if self.tokens is not None else ""
        if self.judged is None:
            return [f"No try was better than the templates as they are ({self.before:.2f} in training; {said})."]
        found = f"In training from {self.before:.2f} to {self.after:.2f} ({said})."
        return [*(f"On held-out scenarios: {pair.sentence}" for pair in self.judged.pairs), found]


def improve(
    search: Search,
    out: Path,
    jobs: int,
    command: str = "",
    on_try: Callable[[str], Any] = lambda line: None,
    status: Callable[[str], Any] = lambda line: None,
) -> Improved:
    """Search, keep every try, and compare the best with the templates as they were on scenarios of their own.

    Raises:
        UsageError: a wrong name or setting, a budget below one round, or gepa is not installed.
        UnavailableError: SUMO or a model cannot be used; what is recorded is kept.
    """
    gepa = _gepa()
    check_count("--train", search.wanted.trials)
    if search.budget < search.round:
        raise UsageError(
            f"--budget {search.budget} is below one round of {search.round} ({search.wanted.trials} scenarios before, "
            "a rewriting, as many after); give more, or fewer --train scenarios."
        )
    check_count("--held-out", search.held_out, least=0)
    if search.held_out < 2:
        raise UsageError(f"--held-out must be 2 or more, not {search.held_out}: one scenario cannot tell two apart.")
    comparison = plan_comparison(search.wanted, status)
    (base,) = comparison.combinations
    names = chosen(base.labels["planning"], search.templates)
    given = template_folder(Path(search.wanted.prompts[0]))
    # Before the first call: a try stands on everything else of the folder.
    start = {name: base.prompts.texts[name].strip() for name in names}
    with alone(out), closing(_rewriter(search, base, out)) as caller:
        with processes(jobs) as submit:
            tried = _Trials(search, comparison, base, start, given, out, submit, on_try, status)

            def rewrite(prompt: str | Sequence[Mapping[str, Any]]) -> str:
                status(f"rewriting a template ({tried.used} of {search.budget} used)")
                tried.rewritings += 1
                reply = caller.ask([{"role": "user", "content": str(prompt)}], purpose="rewriting")
                return template_in(reply.text)

            seeds = list(comparison.seeds)
            gepa.optimize(
                seed_candidate=start,
                trainset=seeds,
                valset=seeds,
                adapter=tried,
                reflection_lm=rewrite,
                reflection_prompt_template={name: request(name) for name in names},
                reflection_minibatch_size=min(MINIBATCH, len(seeds)),
                stop_callbacks=tried.spent,
                logger=_Silent(),
                seed=comparison.combinations[0].settings.seed,
            )
        best = tried.best()
        for file in _files(tried.folder(best.number)):
            write_text(out / TEMPLATES / file.name, file.read_text(encoding="utf-8"))
        tried.note(command, None)
        judged = _judged(search, comparison, out, jobs, command, status) if best.number else None
        tried.note(command, judged)
        calls, tokens = tried.totals(caller)
    before, after = (_mean(one.scores) for one in (tried.tries[0], best))
    return Improved(out, before, after, best.number, len(tried.tries), tried.used, calls, tokens, judged)


class _Trials:
    """gepa's adapter: a candidate is a try, an example a scenario's seed."""

    propose_new_texts = None

    def __init__(
        self,
        search: Search,
        comparison: Comparison,
        base: Combination,
        start: Texts,
        given: Path,
        out: Path,
        submit: Submit,
        on_try: Callable[[str], Any],
        status: Callable[[str], Any],
    ) -> None:
        self.search, self.comparison, self.base, self.start, self.given = search, comparison, base, start, given
        self.out, self.submit, self.on_try, self.status = out, submit, on_try, status
        self.tries: list[Try] = []
        self.rewritings = 0
        self._calls = 0
        self._tokens: int | None = 0

    @property
    def used(self) -> int:
        return self.rewritings + sum(len(one.scores) for one in self.tries if not one.problems)

    def spent(self, state: Any) -> bool:
        """Whether another round could go beyond the budget, or nothing is left to gain."""
        perfect = any(_mean(one.scores) >= 1.0 for one in self.tries if self._whole(one))
        # What is perfect on its few scenarios is not rewritten, which costs nothing and could go on for ever.
        return (
            perfect or self.used + len(self.comparison.seeds) + 1 > self.search.budget or state.i > self.search.budget
        )

    def evaluate(self, batch: list[int], candidate: dict[str, str], capture_traces: bool = False) -> Any:
        """gepa's protocol: scores and notes of these scenarios."""
        from gepa import EvaluationBatch

        one = self._known(candidate)
        missing = [seed for seed in batch if seed not in one.scores]
        if one.problems:
            for seed in missing:
                one.scores[seed], one.notes[seed] = 0.0, {"Feedback": " ".join(one.problems)}
        elif missing:
            self._plan(one, missing)
        scores = [one.scores[seed] for seed in batch]
        return EvaluationBatch(list(scores), scores, [one.notes[seed] for seed in batch] if capture_traces else None)

    def make_reflective_dataset(self, candidate: dict[str, str], found: Any, names: list[str]) -> dict[str, Any]:
        """gepa's protocol: the notes of the scenarios, for every template."""
        return {name: list(found.trajectories) for name in names}

    def best(self) -> Try:
        """Of those tried on all training scenarios; the earlier one where two are equal."""
        return max((one for one in self.tries if self._whole(one)), key=lambda one: (_mean(one.scores), -one.number))

    def folder(self, number: int) -> Path:
        return self.out / TRIES / f"{number:03d}"

    def totals(self, caller: ModelCaller) -> tuple[int, int | None]:
        """Calls and tokens of the trials and of rewriting."""
        read, written = caller.totals.input_tokens, caller.totals.output_tokens
        known = None if read is None or written is None or self._tokens is None else self._tokens + read + written
        return self._calls + caller.totals.calls, known

    def note(self, command: str, judged: Compared | None) -> None:
        """Write the record as far as it is."""
        whole = any(self._whole(one) for one in self.tries)
        record = {
            "command": command,
            "model": self.base.labels["model"],
            "planning": self.base.labels["planning"],
            "templates": list(self.start),
            "training": {"map": self.base.labels["map"], "seeds": list(self.comparison.seeds)},
            "budget": self.search.budget,
            "used": self.used,
            "best": self.best().number if whole else None,
            "tries": [one.as_json() for one in self.tries],
            "held_out": [pair.sentence for pair in judged.pairs] if judged else None,
        }
        write_json(self.out / RECORD, record)

    def _whole(self, one: Try) -> bool:
        return len(one.scores) == len(self.comparison.seeds) and not one.problems

    def _known(self, candidate: Texts) -> Try:
        candidate = {name: text.strip() for name, text in candidate.items()}
        found = next((one for one in self.tries if one.texts == candidate), None)
        if found is None:
            found = Try(len(self.tries), candidate, [])
            folder = self.folder(found.number)
            for file in _files(self.given):
                if file.stem not in candidate:
                    write_text(folder / file.name, file.read_text(encoding="utf-8"))
            for name, text in candidate.items():
                write_text(folder / f"{name}.md", f"{text}\n")
            # No run takes it: that is its score, and what the next rewriting is told.
            found.problems.extend(problem.replace(str(folder) + "/", "") for problem in problems_of(folder))
            self.tries.append(found)
        return found

    def _plan(self, one: Try, seeds: Sequence[int]) -> None:
        """Plan these scenarios with these templates.

        Raises:
            LeedError: a trial failed, as another would.
        """
        folder = self.folder(one.number)
        settings = self.base.settings.changed({"demonstration.prompts": folder})
        combination = Combination(self.base.labels, settings, PromptSet.load(folder))
        tasks = {seed: self.comparison.task(combination, seed) for seed in seeds}
        parent = self.out / TRIALS
        self.status(f"try {one.number}: planning {len(tasks)} scenarios ({self.used} of {self.search.budget} used)")
        waiting = [
            self.submit(task.work, task.settings.model_dump_json(), str(parent / task.folder), dict(task.extras))
            for task in tasks.values()
            if not task.done(parent)
        ]
        for future in waiting:
            if failure := future.result():
                raise failure.error(f"Try {one.number}: ")
        for seed, task in tasks.items():
            made = read_stages(parent / task.folder / task.files[0])
            stage = made["stages"][-1]
            one.scores[seed] = score(stage, made["agents"])
            one.notes[seed] = feedback(stage, made["agents"], parent / task.folder)
            self._calls += stage["calls"]
            tokens = stage["input_tokens"], stage["output_tokens"]
            self._tokens = None if None in tokens or self._tokens is None else self._tokens + sum(tokens)
        self.on_try(
            f"Try {one.number}: {_mean(one.scores):.2f} on {len(one.scores)} of {len(self.comparison.seeds)} scenarios "
            f"({self.used} of {self.search.budget} used)"
        )
        self.note("", None)


class _Silent:
    """gepa's messages are for its developers; ours are told by try."""

    def log(self, message: str) -> None:
        pass


def _gepa() -> Any:
    try:
        import gepa
    except ImportError as error:
        raise UsageError('Improving prompts needs gepa: pip install "leed-agentic[improve]".') from error
    return gepa


def _rewriter(search: Search, base: Combination, out: Path) -> ModelCaller:
    """Its calls are recorded in `out`, and not asked again."""
    model: ModelSettings = base.settings.model
    if search.rewriter:
        given = {"model.name": search.rewriter}
        model = load_settings(None, search.wanted.assignments, given, trust=search.wanted.trust).model
    settings = base.settings.model_copy(update={"model": model})
    scenario = scenario_for(open_map(settings.map.name, settings.map), settings)
    file = out / CALLS
    return ModelCaller(model, file, made_with(settings, scenario), ReplyCache(file))


def _judged(
    search: Search, training: Comparison, out: Path, jobs: int, command: str, status: Callable[[str], Any]
) -> Compared:
    """The best templates against those given, on the scenarios behind the training's."""
    wanted = replace(
        search.wanted,
        prompts=(str(out / TEMPLATES), search.wanted.prompts[0]),
        trials=search.held_out,
        assignments=(*search.wanted.assignments, f"seed={max(training.seeds) + 1}"),
    )
    comparison = plan_comparison(wanted, status)
    return make_comparison(comparison, out / HELD_OUT, jobs, command, lambda progress: status(progress.counts), status)


def _files(folder: Path) -> list[Path]:
    """The templates of a folder."""
    found = []
    with suppress(OSError):
        found = sorted(file for file in folder.glob("*.md") if file.name != "README.md" and file.is_file())
    return found


def _mean(scores: Mapping[int, float]) -> float:
    return sum(scores.values()) / len(scores) if scores else 0.0


def as_json_of(improved: Improved) -> dict[str, Any]:
    """The object that --json prints."""
    judged = improved.judged
    return {
        "folder": str(improved.folder),
        "templates": str(improved.folder / TEMPLATES),
        "best": improved.best,
        "before": improved.before,
        "after": improved.after,
        "tries": improved.tries,
        "used": improved.used,
        "calls": improved.calls,
        "tokens": improved.tokens,
        "held_out": [pair.sentence for pair in judged.pairs] if judged else None,
    }
