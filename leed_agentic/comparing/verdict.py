"""Which of two is better: differences on the same scenarios, tested, corrected for how many questions, in words."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from scipy.special import ndtri

from leed_agentic.experiments.statistics import BOOTSTRAP_SEED, REPETITIONS, Estimate

LEVEL = 0.05
"""Chance that any verdict of a comparison is wrong where nothing differs."""
POWER = 0.8
"""Chance of a verdict with the scenarios that an undecided sentence asks for, if the difference is as it says."""
RESAMPLES = 65_536
"""Sign flips: all there are with up to 16 scenarios that differ, so many random ones with more."""
MOST = 10_000
"""Scenarios; to ask for more would help nobody."""

Outcome = Literal["better", "worse", "same", "undecided"]
Scenarios = Mapping[int, Sequence[Mapping[str, Any]]]
"""Scenario seed to the figures of each of its samples."""


@dataclass(frozen=True)
class Measure:
    """A figure that decides."""

    title: str
    """As tables head it."""
    noun: str
    """As sentences have it."""
    sign: int
    """1: more is better; -1: less is."""
    worth: float
    """The smallest difference that anybody would change a model for; below it two are as good."""
    share: bool = False

    def text(self, value: float, signed: bool = False) -> str:
        """A difference: of shares in percentage points."""
        scale, digits, unit = (100.0, 1, " points") if self.share else (1.0, 3, "")
        return f"{scale * value:{'+' if signed else ''}.{digits}f}{unit}"

    def interval(self, low: float, high: float) -> str:
        scale, digits = (100.0, 1) if self.share else (1.0, 3)
        return f"[{scale * low:.{digits}f}, {scale * high:.{digits}f}]"


TIME = "travel_time_ratio"
MEASURES = {
    "validity_before": Measure("valid at first", "routes valid at first", 1, 0.05, share=True),
    "validity": Measure("valid", "valid routes", 1, 0.05, share=True),
    TIME: Measure("time against shortest path", "time against shortest path", -1, 0.05),
}


@dataclass(frozen=True)
class Verdict:
    """Two arms on the same scenarios, by one measure: all places together, or one of them alone."""

    first: str
    second: str
    measure: str
    place: str | None
    """None: all places, as strata of one question; one alone has no outcome."""
    scenarios: int
    difference: Estimate
    """First less second, with the 95 % interval of a bootstrap within places."""
    deviation: float
    """Standard deviation of the differences."""
    wins: int
    """Scenarios in which the first is better; likewise below."""
    ties: int
    losses: int
    p_sign: float
    """Of the exact sign test."""
    p: float
    """Of the permutation (sign flip) test of the mean difference: exact with up to 16 scenarios that differ."""
    p_corrected: float | None = None
    """After Holm, over all questions of the comparison."""
    outcome: Outcome | None = None
    more: int | None = None
    """Further scenarios that would tell `told`; only where undecided."""
    told: float | None = None

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "difference": vars(self.difference)}


@dataclass(frozen=True)
class Pair:
    """What is said of two arms."""

    first: str
    second: str
    verdicts: Sequence[Verdict]
    """All measures over all places, then each place alone where there are several."""
    sentence: str


def judge(
    arms: Mapping[str, Mapping[str, Scenarios]], price: Mapping[str, tuple[str, float]] | None = None
) -> list[Pair]:
    """The verdict of every pair of arms; with more than four arms, of the first against each other one.

    Args:
        arms: label to place (map and agents) to its scenarios. Those that only one of two has are left out.
        price: label to what it takes per trial (`cost` or `tokens`, and how much); where it is known.
    """
    labels = list(arms)
    pairs = list(itertools.combinations(labels, 2))
    if len(labels) > 4:
        pairs = [pair for pair in pairs if labels[0] in pair]
    measures = list(MEASURES)
    stages = [s for places in arms.values() for seeds in places.values() for samples in seeds.values() for s in samples]
    if all(stage["validity_before"] == stage["validity"] for stage in stages):
        # Where nothing was refined, one question is not asked twice.
        measures.remove("validity_before")
    found = [(pair, _paired(measures, *pair, arms[pair[0]], arms[pair[1]])) for pair in pairs]
    pooled = [verdict for _, verdicts in found for verdict in verdicts if verdict.place is None]
    decided = dict(zip(map(id, pooled), _decided(pooled), strict=True))
    told = []
    for (first, second), verdicts in found:
        final = [decided.get(id(verdict), verdict) for verdict in verdicts]
        told.append(Pair(first, second, final, _sentence(first, second, final, price or {})))
    return told


def _paired(
    measures: Sequence[str], first: str, second: str, one: Mapping[str, Scenarios], other: Mapping[str, Scenarios]
) -> list[Verdict]:
    verdicts = []
    for measure in measures:
        by_place = {place: _differences(measure, one[place], other.get(place, {})) for place in one}
        by_place = {place: differences for place, differences in by_place.items() if len(differences)}
        if not by_place:
            continue
        groups: list[tuple[str | None, list[np.ndarray]]] = [(None, list(by_place.values()))]
        groups += [(place, [d]) for place, d in by_place.items()] if len(by_place) > 1 else []
        verdicts += [_tested(first, second, measure, place, strata) for place, strata in groups]
    return verdicts


def _differences(measure: str, one: Scenarios, other: Scenarios) -> np.ndarray:
    """One per scenario that both have: the mean over what both have a figure of."""
    found = []
    for seed in one.keys() & other.keys():
        ours, theirs = _figures(measure, one[seed]), _figures(measure, other[seed])
        if both := ours.keys() & theirs.keys():
            found.append(float(np.mean([ours[key] - theirs[key] for key in sorted(both)])))
    return np.array(found, dtype=np.float64)


def _figures(measure: str, samples: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Means over a scenario's samples: of times by agent, as who has no valid route has none; else one alone."""
    by_key: dict[str, list[float]] = {}
    for stage in samples:
        figures = stage["ratios"] if measure == TIME else {"": stage[measure]}
        for key, value in figures.items():
            by_key.setdefault(str(key), []).append(float(value))
    return {key: float(np.mean(values)) for key, values in by_key.items()}


def _tested(first: str, second: str, measure: str, place: str | None, strata: Sequence[np.ndarray]) -> Verdict:
    # It takes 0.7 s of processor time to import.
    from scipy.stats import binomtest

    # A rounding error of the last bit is no win.
    differences = np.where(np.abs(d := np.concatenate(strata)) < 1e-9, 0.0, d)
    better = MEASURES[measure].sign * differences
    wins, losses = int((better > 0).sum()), int((better < 0).sum())
    p_sign = float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0
    estimate = difference_and_interval(strata)
    deviation = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    counts = wins, len(differences) - wins - losses, losses
    p = permutation_p(differences)
    return Verdict(first, second, measure, place, len(differences), estimate, deviation, *counts, p_sign, p)


def difference_and_interval(strata: Sequence[np.ndarray], level: float = 0.95) -> Estimate:
    """Mean of all differences, with the percentile interval of a bootstrap that draws anew within each stratum.

    It lies inside what is possible, as every resampled mean does.
    """
    pooled = np.concatenate(strata)
    if len(pooled) < 2:
        return Estimate(float(pooled.mean()), None, None)
    generator = np.random.default_rng(BOOTSTRAP_SEED)
    sums = sum(d[generator.integers(0, len(d), (REPETITIONS, len(d)))].sum(axis=1) for d in strata)
    low, high = np.quantile(sums / len(pooled), ((1 - level) / 2, (1 + level) / 2))
    return Estimate(float(pooled.mean()), float(low), float(high))


def permutation_p(differences: np.ndarray) -> float:
    """Two-sided p of the mean: how often so large a one comes when each scenario's sign is drawn by a coin."""
    told = differences[differences != 0]
    if len(told) < 2:
        return 1.0
    from scipy.stats import permutation_test

    found = permutation_test(
        (told,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=8192,
        random_state=np.random.default_rng(BOOTSTRAP_SEED),
    )
    return float(min(found.pvalue, 1.0))


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction: any verdict at all is wrong in at most `LEVEL` of comparisons."""
    order = np.argsort(p)
    scaled = np.asarray(p, dtype=np.float64)[order] * np.arange(len(p), 0, -1)
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(value) for value in corrected]


def _decided(pooled: Sequence[Verdict]) -> list[Verdict]:
    corrected = holm([verdict.p for verdict in pooled])
    return [_with_outcome(verdict, p, len(pooled)) for verdict, p in zip(pooled, corrected, strict=True)]


def _with_outcome(verdict: Verdict, p: float, questions: int) -> Verdict:
    measure, found = MEASURES[verdict.measure], verdict.difference
    # So many must all differ the same way for the smallest p there is to be small enough.
    least = math.ceil(1 + math.log2(questions / LEVEL))
    if p <= LEVEL:
        outcome: Outcome = "better" if found.mean * measure.sign > 0 else "worse"
        return replace(verdict, p_corrected=p, outcome=outcome)
    inside = found.low is not None and found.high is not None and max(-found.low, found.high) < measure.worth
    if inside and verdict.scenarios >= least:
        return replace(verdict, p_corrected=p, outcome="same")
    told = max(abs(found.mean), measure.worth)
    # Where no two scenarios differ in their difference, nothing is known of how much others would.
    deviation = verdict.deviation or told
    quantiles = float(ndtri(1 - LEVEL / questions / 2) + ndtri(POWER))
    needed = max(math.ceil((quantiles * deviation / told) ** 2), least)
    more = max(needed - verdict.scenarios, 1)
    return replace(verdict, p_corrected=p, outcome="undecided", more=more, told=told)


def _sentence(first: str, second: str, verdicts: Sequence[Verdict], price: Mapping[str, tuple[str, float]]) -> str:
    pooled = [verdict for verdict in verdicts if verdict.place is None]
    if not pooled:
        return f"{first} and {second} have no scenario in common."
    phrases = []
    for name, other, outcome in ((first, second, "better"), (second, first, "worse")):
        won = [_by(v) for v in pooled if v.outcome == outcome]
        if won:
            phrases.append(f"{name} is better than {other} in {' and '.join(won)}{_at(name, other, price)}")
    same = [f"{MEASURES[v.measure].noun} (within {_worth(v)})" for v in pooled if v.outcome == "same"]
    if same:
        phrases.append(f"{first} and {second} are as good in {' and '.join(same)}")
    undecided = [v for v in pooled if v.outcome == "undecided"]
    if undecided:
        told = "; ".join(f"{MEASURES[v.measure].noun}: {_more(v)}" for v in undecided)
        phrases.append(f"{'' if phrases else f'{first} and {second}: '}not decided: {told}")
    return "; ".join(phrases) + "."


def _by(verdict: Verdict) -> str:
    measure, found = MEASURES[verdict.measure], verdict.difference
    low, high = found.low or 0.0, found.high or 0.0
    ends = (low, high) if found.mean > 0 else (-high, -low)
    return f"{measure.noun} by {measure.text(abs(found.mean))} {measure.interval(*ends)}"


def _at(name: str, other: str, price: Mapping[str, tuple[str, float]]) -> str:
    """What the better one takes, in multiples of the other."""
    mine, theirs = price.get(name), price.get(other)
    if not mine or not theirs or mine[0] != theirs[0] or min(mine[1], theirs[1]) <= 0:
        return ""
    times = mine[1] / theirs[1]
    return f" at {'the same' if abs(times - 1) < 0.005 else f'{times:.3g} times the'} {mine[0]}"


def _worth(verdict: Verdict) -> str:
    return MEASURES[verdict.measure].text(MEASURES[verdict.measure].worth)


def _more(verdict: Verdict) -> str:
    told = MEASURES[verdict.measure].text(verdict.told or 0.0)
    count = f"more than {MOST:,}" if (verdict.more or 0) > MOST else f"{verdict.more}"
    plural = "scenario" if verdict.more == 1 else "scenarios"
    return f"{count} more {plural} would tell a difference of {told}"
