"""Verdicts: a planted difference is found, what is the same gets none, and the tests are those of the textbook."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leed_agentic.comparing.verdict import Scenarios, difference_and_interval, holm, judge, permutation_p

AGENTS = 5


def scenarios(chance: np.random.Generator, valid: float, slower: float = 0.0, count: int = 30) -> Scenarios:
    """Scenarios of an arm whose routes are valid with this probability, and so much slower than the others'."""
    found = {}
    for seed in range(count):
        routes = chance.random(AGENTS) < valid
        # How hard a scenario is, both arms share.
        hard = 1.0 + 0.3 * np.random.default_rng(seed).random(AGENTS)
        ratios = {k: hard[k] + slower + 0.05 * chance.normal() for k in range(AGENTS) if routes[k]}
        found[seed] = [{"validity": routes.mean(), "validity_before": 0.99 * routes.mean(), "ratios": ratios}]
    return found


def outcomes(pair):
    return {verdict.measure: verdict.outcome for verdict in pair.verdicts if verdict.place is None}


@pytest.mark.slow
def test_a_planted_difference_is_found_and_said():
    chance = np.random.default_rng(1)
    arms = {"mine": {"a": scenarios(chance, 0.9)}, "default": {"a": scenarios(chance, 0.6, slower=0.2)}}
    (pair,) = judge(arms, {"mine": ("cost", 1.4), "default": ("cost", 1.0)})
    assert set(outcomes(pair).values()) == {"better"}
    assert pair.sentence.startswith("mine is better than default in routes valid at first by ")
    assert pair.sentence.endswith("at 1.4 times the cost.")
    validity, time = pair.verdicts[1].difference, pair.verdicts[2].difference
    assert validity.low <= 0.3 <= validity.high
    assert time.low <= -0.2 <= time.high
    turned = judge(dict(reversed(arms.items())))[0]
    assert set(outcomes(turned).values()) == {"worse"}
    assert turned.sentence.startswith("mine is better than default in routes valid at first by ")


@pytest.mark.long
def test_twenty_comparisons_of_a_prompt_with_itself_give_at_most_two_verdicts():
    wrong = 0
    for seed in range(20):
        chance = np.random.default_rng(seed)
        (pair,) = judge({"one": {"a": scenarios(chance, 0.7)}, "other": {"a": scenarios(chance, 0.7)}})
        wrong += bool({"better", "worse"} & set(outcomes(pair).values()))
    assert wrong <= 2


@pytest.mark.slow
def test_the_very_same_is_as_good_and_few_scenarios_decide_nothing():
    same = scenarios(np.random.default_rng(0), 0.8)
    (pair,) = judge({"one": {"a": same}, "other": {"a": same}})
    assert set(outcomes(pair).values()) == {"same"}
    few = scenarios(np.random.default_rng(0), 0.8, count=3)
    (pair,) = judge({"one": {"a": few}, "other": {"a": few}})
    assert set(outcomes(pair).values()) == {"undecided"}
    assert "8 more scenarios would tell a difference of 5.0 points" in pair.sentence


@pytest.mark.long
def test_so_many_more_scenarios_as_are_asked_for_do_tell():
    chance = np.random.default_rng(5)
    worse = 0.1
    arms = {"one": {"a": scenarios(chance, 0.85, count=12)}, "other": {"a": scenarios(chance, 0.85 - worse, count=12)}}
    verdict = judge(arms)[0].verdicts[1]
    assert verdict.outcome == "undecided"
    count = 12 + verdict.more
    found = 0
    for seed in range(3):
        chance = np.random.default_rng(seed)
        one, other = scenarios(chance, 0.85, count=count), scenarios(chance, 0.85 - verdict.told, count=count)
        found += judge({"one": {"a": one}, "other": {"a": other}})[0].verdicts[1].outcome == "better"
    assert found >= 2


def test_maps_are_pooled_as_strata_and_told_apart():
    chance = np.random.default_rng(2)
    one = {"a": scenarios(chance, 0.9, count=10), "b": scenarios(chance, 0.9, count=10)}
    other = {"a": scenarios(chance, 0.5, count=10), "b": scenarios(chance, 0.5, count=10)}
    verdicts = judge({"one": one, "other": other})[0].verdicts
    assert [(v.place, v.scenarios) for v in verdicts[:3]] == [(None, 20), ("a", 10), ("b", 10)]
    assert verdicts[0].outcome == "better"
    assert verdicts[1].outcome is None
    # Among more than four arms all are judged against the first.
    assert len(judge({str(k): {"a": scenarios(chance, 0.5, count=8)} for k in range(5)})) == 4


def test_where_nothing_was_refined_valid_is_asked_once():
    chance = np.random.default_rng(0)
    arms = {name: {"a": scenarios(chance, 0.8, count=8)} for name in ("one", "other")}
    stages = [stage for places in arms.values() for samples in places["a"].values() for stage in samples]
    for stage in stages:
        stage["validity_before"] = stage["validity"]
    assert [v.measure for v in judge(arms)[0].verdicts] == ["validity", "travel_time_ratio"]


def test_nothing_in_common_is_said():
    chance = np.random.default_rng(0)
    (pair,) = judge({"one": {"a": scenarios(chance, 1.0)}, "other": {"b": scenarios(chance, 1.0)}})
    assert pair.sentence == "one and other have no scenario in common."


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=8))
def test_the_permutation_test_counts_every_sign(values):
    differences = np.array(values, dtype=float)
    told = differences[differences != 0]
    p = permutation_p(differences)
    if len(told) < 2:
        assert p == 1.0
        return
    means = [abs(np.mean(told * signs)) for signs in product((-1, 1), repeat=len(told))]
    assert p == pytest.approx(np.mean(np.array(means) >= abs(told.mean()) - 1e-12))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_holm_lies_between_the_raw_p_and_bonferroni(p):
    corrected = holm(p)
    assert all(raw <= c <= min(1.0, raw * len(p)) + 1e-12 for raw, c in zip(p, corrected, strict=True))
    order = np.argsort(p)
    assert list(np.array(corrected)[order]) == sorted(corrected)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=20))
def test_an_interval_stays_inside_what_is_possible(values):
    found = difference_and_interval([np.array(values)])
    assert -1 <= found.low <= found.high <= 1
    assert min(values) - 1e-9 <= found.low
