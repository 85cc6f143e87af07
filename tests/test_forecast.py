"""What runs will cost: by like runs, by the nearest network, by arithmetic."""

import pytest

from helpers import experiments, forecast, profiles, specs
from helpers.forecast import GUESSED, HOW, LIKE, SCALED
from helpers.models.work import multiply_adds
from helpers.overview import _how
from helpers.specs import Measure, Sampler, Select, Train
from helpers.store import Store

DATA, OTHER = "digits@200+50", "cifar10@1000+100"
SMALL, LARGE = "resnet8-w8", "resnet20-w8"
RUN = Train(DATA, SMALL, "digits", 2, 0)


def stored(spec, wall_s, **more):
    Store().write(spec, {"wall_s": wall_s, **more}, {})


def told(*todo):
    return forecast.forecast(todo, forecast.past())


def test_nothing_missing_costs_nothing():
    cost = told()
    assert (cost.n, cost.seconds, cost.size) == (0, 0.0, 0)
    assert _how(cost) == "hours are estimates: nothing is missing"


def test_runs_like_stored_ones_take_as_long_for_their_passes():
    stored(RUN, 2.2)  # two epochs on all rows, each with a tenth for tests: one second a pass
    half = Select(DATA, "random", 0.5)
    again = Select(DATA, "margin", 0.5, 0, (RUN,), half)  # half of the other half: 3/4 in all
    asked = {
        Train(DATA, SMALL, "digits", 10, 1): 11.0,
        Train(DATA, SMALL, "digits", 10, 1, subset=half): 6.0,
        Train(DATA, SMALL, "digits", 10, 1, subset=again): 8.5,
        Train(DATA, SMALL, "digits", 10, 1, subset=Select(DATA, "random", 50)): 3.5,
        Train(DATA, SMALL, "digits", 10, 1,
              sampler=Sampler("repeated-random", options=(("keep", 0.2),))): 3.0,
    }  # fmt: skip
    for spec, seconds in asked.items():
        assert told(spec).seconds == pytest.approx(seconds)
    cost = told(*asked)
    assert cost.seconds == pytest.approx(sum(asked.values()))
    assert cost.how == {LIKE: 5}
    assert cost.size == 5 * Store().size(specs.key(RUN))


def net(seconds):
    return seconds - forecast.LEAST_S


def test_a_larger_view_takes_longer_by_its_area():
    plain, crops = (Train(OTHER, SMALL, recipe, 2, 0) for recipe in ("small", "imagenet-small"))
    assert net(told(crops).seconds) == pytest.approx(4 * net(told(plain).seconds))
    digits = Train("digits@1000+100", SMALL, "small", 2, 0)
    assert net(told(plain).seconds) == pytest.approx(16 * net(told(digits).seconds))


def test_a_network_never_stored_is_scaled_from_the_nearest_on_its_data():
    stored(RUN, 2.2)
    stored(Train(DATA, "resnet14-w8", "digits", 2, 0), 6.6)
    stored(Train(OTHER, LARGE, "small", 2, 0), 500.0)
    ratio = multiply_adds(LARGE) / multiply_adds("resnet14-w8")
    cost = told(Train(DATA, LARGE, "digits", 2, 0))
    assert cost.seconds == pytest.approx(6.6 * ratio)
    assert cost.how == {SCALED: 1}


def test_other_data_tell_nothing():
    asked = Train(OTHER, SMALL, "small", 4, 0)
    alone = told(asked).seconds
    stored(RUN, 2.2)
    cost = told(asked)
    assert cost.seconds == alone
    assert cost.how == {GUESSED: 1}
    assert HOW[GUESSED] in _how(cost)


def test_rows_that_a_name_does_not_tell_come_from_a_stored_run_or_the_original_files():
    assert forecast.past().n_rows("cifar10-jpeg") == 50_000
    stored(Train("folder:/x", SMALL, "small", 1, 0), 1.1, n_train=500)
    assert forecast.past().n_rows("folder:/x") == 500
    assert forecast.past().n_rows("folder:/y") == forecast.ROWS


def test_without_any_run_the_arithmetic_tells():
    short, long = Train(OTHER, SMALL, "small", 1, 0), Train(OTHER, SMALL, "small", 8, 0)
    assert net(told(long).seconds) == pytest.approx(8 * net(told(short).seconds))
    large = told(Train(OTHER, LARGE, "small", 1, 0))
    ratio = multiply_adds(LARGE) / multiply_adds(SMALL)
    assert net(large.seconds) == pytest.approx(ratio * net(told(short).seconds))
    assert large.how == {GUESSED: 1}
    assert "20 billion multiply-adds" in _how(large)
    assert large.size == forecast.GUESS_BYTES


def test_what_trains_nothing_is_as_its_kind_was():
    asked = [Select(DATA, "random", 0.1, 1), Measure("lp-time")]
    assert told(*asked).how == {GUESSED: 2}
    stored(Select(DATA, "random", 0.3, 0), 0.25)
    assert told(*asked).how == {LIKE: 1, GUESSED: 1}
    assert told(asked[0]).seconds == 0.25


def test_a_network_that_cannot_be_built_here_still_has_a_guess():
    cost = told(Train(DATA, "removed-since", "digits", 1, 0))
    assert cost.seconds > 0
    assert cost.how == {GUESSED: 1}


def test_the_hour_profile_is_an_hours_work_and_says_its_epochs_and_seeds():
    profile = profiles.profile("cifar10-hour")
    asked, known = {}, forecast.Past([], Store())

    def visit(spec):
        if specs.key(spec) not in asked:
            asked[specs.key(spec)] = spec
            for need in specs.needs(spec):
                visit(need)

    for number, of in experiments.ALL.items():
        for spec in of(profiles.scale_for(profile, notebook=number)):
            visit(spec)
    runs = [spec for spec in asked.values() if isinstance(spec, Train)]
    passed = [known.passes(run) * known.n_rows(run.dataset) for run in runs]
    adds = [forecast.arithmetic(run.model) for run in runs]
    work = 2 * forecast.STEP * sum(p * a for p, a in zip(passed, adds, strict=True))
    assert 0.5 < work / (25e12 * 3600) < 0.8  # at 25 TFLOP/s, with time to start and to select
    scale = profiles.scale_for(profile)
    assert f"{scale.epochs} epochs, {scale.n_seeds} seeds" in profile.about
