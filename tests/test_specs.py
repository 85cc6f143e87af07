"""Specs: keys that stay, round trips, what a spec needs, bad input."""

import dataclasses
import json

import numpy as np
import pytest

from helpers import StudyError, specs
from helpers.specs import Measure, Sampler, Select, Train

PROXY = Train("digits", "resnet8-w8", "digits", 8, 0, record_at=(0, 8), keep_weights=True)
START = Select("digits", "random-per-class", 0.1, 3)
OPTIONS = (("bandwidth", "median"), ("weight", 0.3))
CHOSEN = Select("digits", "iqp", 0.25, 3, (PROXY,), START, OPTIONS)
ONLINE = Sampler("ids+adonis", (PROXY,), (("eta", 2),))
NESTED = Train("digits", "resnet14-w8", "digits", 8, 3, CHOSEN, ONLINE, PROXY)
EVERY = [PROXY, START, CHOSEN, NESTED, Measure("lp-time", 1, (("sizes", (10, 20)),))]

# If these change, every stored result is lost: raise a REVISION on purpose or undo the change.
GOLDEN = {
    PROXY: "f95a28bdfbf8b9fffd3354f18cbfc4b604287f1a5fcddca99e084952014eec52",
    NESTED: "7021823925fc0758433375b2ffa95080dec719835165fdc924e3d612239784b0",
}


def test_keys_stay_as_they_were():
    assert {spec: specs.key(spec) for spec in GOLDEN} == GOLDEN


def test_json_brings_the_same_spec_back_and_descriptions_are_one_short_line():
    for spec in EVERY:
        back = specs.from_plain(json.loads(json.dumps(specs.to_plain(spec))))
        assert (back, type(back), specs.key(back)) == (spec, type(spec), specs.key(spec))
        assert 5 < len(specs.describe(spec)) < 100
        assert "\n" not in specs.describe(spec)


def test_every_field_counts():
    other = {
        "dataset": "digits@200+50", "model": "resnet14-w8", "recipe": "small", "epochs": 9,
        "seed": 1, "subset": START, "sampler": Sampler("adonis"), "init": PROXY,
        "record_at": (), "keep_weights": False,
    }  # fmt: skip
    assert set(other) == {field.name for field in dataclasses.fields(Train)}
    changed = [dataclasses.replace(PROXY, **{name: value}) for name, value in other.items()]
    assert len({specs.key(spec) for spec in [PROXY, *changed]}) == 11


def test_one_row_is_not_the_whole_pool():
    """1 == 1.0 in Python; as a budget, one is a row and the other everything."""
    rows, share = Select("digits", "random", 1), Select("digits", "random", 1.0)
    assert specs.key(rows) != specs.key(share)
    flags = [Measure("lp-time", 0, (("x", value),)) for value in (True, 1, 1.0)]
    assert len({specs.key(spec) for spec in flags}) == 3
    assert specs.key(rows) == specs.key(Select("digits", "random", 1))


def test_a_raised_revision_changes_the_keys_of_what_holds_it(monkeypatch):
    before = {spec: specs.key(spec) for spec in (START, CHOSEN, NESTED)}
    of_then = dict(specs.REVISION)
    monkeypatch.setitem(specs.REVISION, "Sampler", 99)
    after = {spec: specs.key(spec) for spec in before}
    assert before == {spec: specs.key(spec, of_then) for spec in before}
    assert after[START] == before[START]
    assert after[CHOSEN] == before[CHOSEN]
    assert after[NESTED] != before[NESTED]


def test_needs_name_what_comes_first():
    assert specs.needs(PROXY) == specs.needs(START) == specs.needs(EVERY[-1]) == ()
    assert specs.needs(CHOSEN) == (PROXY, START)
    assert specs.needs(NESTED) == (PROXY, CHOSEN, PROXY)


PLAIN = specs.to_plain(PROXY)


def test_what_is_no_spec_of_ours_is_refused():
    wrong = [
        7,
        None,
        [PLAIN],
        {"kind": "Forest", "seed": 0},
        {"kind": ["Train"]},
        {"kind": "Train"},
    ]
    wrong += [specs.to_plain(Sampler("adonis")), specs.to_plain(START) | {"options": [["a", 1, 2]]}]
    wrong += [PLAIN | change for change in (
        {"subset": 5}, {"dataset": None}, {"epochs": 2.5}, {"seed": True}, {"record_at": ["0"]},
        {"hue": 1}, {"init": {**PLAIN, "model": 3}}, {"subset": PLAIN})]  # fmt: skip
    for plain in wrong:
        with pytest.raises(specs.Unknown) as caught:
            specs.from_plain(plain)
        assert "\n" not in str(caught.value)


def test_only_plain_values_are_hashed():
    for value in (np.int64(3), np.zeros(2), {1, 2}, object()):
        with pytest.raises(StudyError, match="plain values only"):
            specs.to_plain(Measure("lp-time", 0, (("x", value),)))
