"""Where settings come from, and what those of a file may not do."""

from __future__ import annotations

import json
import math
import os
import sys
from itertools import product
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from leed_agentic.errors import UsageError
from leed_agentic.learning.algorithms import algorithms, group_of
from leed_agentic.setting_groups import LARGEST
from leed_agentic.settings import Settings, leaf, load_settings, settings_of


def loaded(tmp_path, text, *assignments, **more):
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    return load_settings(file, assignments, environment={}, **more)


def test_precedence(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("scenario: {agents: 2, departure_window: 7}\nseed: 1")
    variables = {"LEED_SCENARIO__AGENTS": "3", "LEED_SEED": "4", "HOME": "/"}
    found = load_settings(file, ["scenario.agents=5"], {"seed": 6, "map.name": None}, variables)
    assert (found.scenario.agents, found.seed, found.scenario.departure_window) == (5, 6, 7)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["scenario.agent=5"], "did you mean 'agents'"),
        (["agents=5"], "did you mean 'scenario.agents'"),
        (["scenario.agents"], "has no '='"),
        (["seed.x=1"], "Setting seed"),
        (["scenario.agents=0"], "greater than or equal to 1"),
    ],
)
def test_slips_are_named(words, message):
    with pytest.raises(UsageError, match=message):
        load_settings(assignments=words, environment={})


def test_changes_keep_the_rest_and_the_original():
    before = load_settings(assignments=["scenario.agents=4"], environment={})
    after = before.changed({"scenario.departure_window": 9, "seed": 3})
    assert (after.scenario.agents, after.scenario.departure_window, after.seed) == (4, 9, 3)
    assert before == load_settings(assignments=["scenario.agents=4"], environment={})
    with pytest.raises(UsageError, match="Unknown setting"):
        before.changed({"scenario.x": 1})


CODE = "environment: {reward: payload.reward}"


def test_a_file_does_not_run_code_by_itself(tmp_path):
    with pytest.raises(UsageError, match=r"environment\.reward=payload\.reward.*--trust"):
        loaded(tmp_path, CODE)
    assert loaded(tmp_path, CODE, trust=True).environment.reward == "payload.reward"
    assert loaded(tmp_path, CODE, "environment.reward=payload.reward").environment.reward == "payload.reward"
    assert loaded(tmp_path, CODE, "environment.reward=paper").environment.reward == "paper"


@pytest.mark.parametrize(
    "text",
    [
        "learning: {algorithm: payload.Algorithm}",
        "demonstration: {feedback: payload.feedback}",
        "model: {tracing: [payload.handler]}",
    ],
)
def test_every_setting_that_names_code_counts(tmp_path, text):
    with pytest.raises(UsageError, match="names code to run"):
        loaded(tmp_path, text)


def test_the_working_folder_is_importable_only_for_code_named_on_this_call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(tmp_path))])
    loaded(tmp_path, CODE, trust=True)
    assert str(tmp_path) not in sys.path
    load_settings(assignments=["environment.reward=payload.reward"], environment={})
    assert str(tmp_path) in sys.path


def test_an_address_from_a_file_gets_no_key(tmp_path):
    text = "model: {base_url: 'http://elsewhere/v1', send_key: true}"
    assert not loaded(tmp_path, text).model.send_key
    assert loaded(tmp_path, text, "model.base_url=http://elsewhere/v1").model.send_key
    assert loaded(tmp_path, text, trust=True).model.send_key
    assert load_settings(assignments=["model.base_url=http://elsewhere/v1"], environment={}).model.send_key


@pytest.mark.parametrize(
    "text",
    ["a: &a [1]\nb: *a", "- 1", "scenario: {agents: [", "x" * 2_000_000, "\x00", "[" * 5000],
)
def test_hostile_files_are_one_sentence(tmp_path, text):
    with pytest.raises(UsageError, match=r"mine\.yaml"):
        loaded(tmp_path, text)


@pytest.mark.slow
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_whatever_a_run_holds_is_settings_or_one_sentence(data):
    tree = data if isinstance(data, dict) else {"scenario": data}
    sentence = ""
    try:
        json.dumps(settings_of(tree, "run.json").for_file())
    except UsageError as error:
        sentence = str(error)
    assert len(sentence.splitlines()) <= 1


def test_a_pipe_is_no_settings_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(UsageError, match="no plain file"):
        load_settings(tmp_path / "pipe.yaml", environment={})


def _numbers(group, above=""):
    """The dotted names of all settings that may be numbers, those of the algorithms included."""
    for name, field in group.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _numbers(kind, f"{above}{name}.")
        elif {int, float} & {kind, *get_args(kind), *(x for part in get_args(kind) for x in get_args(part))}:
            yield f"{above}{name}"


@pytest.mark.slow
def test_no_number_is_a_traceback():
    names = list(_numbers(Settings))
    for algorithm in algorithms.names():
        kind = algorithms.get(algorithm)
        names += _numbers(kind.Settings, f"learning.{group_of(kind)}.")
    assert len(names) > 80
    texts = ("nan", "inf", "-.inf", "-1", "1" + "0" * 30, "1" + "0" * 5000, "1.0e+300", "a word")
    wrong = []
    for name, text in product(names, texts):
        try:
            value = leaf(load_settings(assignments=[f"{name}={text}"], environment={}).model_dump(), name)
            # In the group of an algorithm a number stays as it was written.
            whole = isinstance(value, int) and name.count(".") < 2
            sound = abs(value) <= LARGEST if whole else not isinstance(value, float) or math.isfinite(value)
        except UsageError as error:
            sound = f"Setting {name}: " in str(error) and len(str(error)) < 400
        if not sound:
            wrong.append((name, text))
    assert not wrong
