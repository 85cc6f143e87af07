"""Which runs answer which question, and the table of what they gave."""

import pytest

from helpers import (
    StudyError,
    data,
    experiments,
    measurements,
    models,
    profiles,
    recipes,
    results,
    samplers,
    specs,
)
from helpers.experiments import Config, bills
from helpers.selection.registry import METHODS
from helpers.specs import Measure, Select, Train

COLUMNS = [
    *("question", "method", "label", "budget", "share", "kept", "seed", "model"),
    *("selector", "selector_epochs", "n_selectors", "options", "epochs", "test_error"),
    *("seconds", "select_seconds", "total_seconds", "forward", "backward", "alone"),
]
PROFILES = profiles.profiles(profiles.Folders().notebooks / "profiles.yml")
QUESTIONS = sorted(n for n in vars(experiments) if n.endswith(("_runs", "_measures")))


def everything(wanted):
    """The specs and all they need, each once."""
    found = {}

    def visit(spec):
        if specs.key(spec) not in found:
            found[specs.key(spec)] = spec
            for need in specs.needs(spec):
                visit(need)

    for spec in wanted:
        visit(spec)
    return list(found.values())


def test_all_has_a_list_for_each_notebook():
    assert list(experiments.ALL) == ["01", "02", "03", "04", "05", "06"]
    assert all(of(Config()) for of in experiments.ALL.values())


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_question_asks_valid_runs_and_each_seed(name):
    scale = Config(n_seeds=2, first_seed=10, more_proxies=("resnet20-w8",), recipe="svp",
                  own_batch=64, paid_share=0.6, quick_proxy="sprint-w8")  # fmt: skip
    asked = getattr(experiments, name)(scale)
    assert asked
    if name not in ("extra_runs", "online_runs", "sweep_runs"):
        assert len({specs.key(spec) for spec in asked}) == len(asked)  # nothing twice
    seeds = {spec.seed for spec in asked if isinstance(spec, Train)}
    assert seeds in (set(), {10, 11})
    for spec in everything(asked):
        if isinstance(spec, Measure):
            assert spec.name in measurements.MEASUREMENTS
            continue
        assert spec.dataset == "digits"
        if isinstance(spec, Select):
            assert spec.method in METHODS
            assert 0 < spec.budget <= 1
            assert bool(spec.of) == bool(METHODS[spec.method].needs)
            continue
        models.build(spec.model, 10, 1)
        recipes.get(spec.recipe, spec.epochs)
        assert spec.sampler is None or spec.sampler.name in samplers.SAMPLERS
        assert set(spec.record_at) <= set(range(spec.epochs + 1))
        if spec.init is not None:
            assert spec.init.keep_weights
        if spec.sampler is not None and spec.sampler.of:
            assert spec.sampler.of[0].record_at


def test_questions_are_the_same_lists_in_each_call():
    for of in experiments.ALL.values():
        assert list(map(specs.key, of(Config()))) == list(map(specs.key, of(Config())))


def test_runs_that_select_keep_what_methods_read():
    for spec in everything(s for of in experiments.ALL.values() for s in of(Config())):
        if isinstance(spec, Select):
            for run in spec.of:
                assert run.record_at[0] == 0  # GEDA reads the norms of the untrained network
                # peers of GEDA choose by the untrained network, all others by the finished one
                assert run.record_at[-1] == run.epochs or run.record_at == (0,)


def test_compared_methods_meet_at_every_budget():
    scale = Config()
    asked = experiments.core_set_runs(scale)
    cells = {(run.subset.method, run.subset.budget, run.seed) for run in asked}
    methods = experiments.compared_methods(Config())
    assert len(cells) == len(asked) == len(methods) * len(scale.budgets) * scale.n_seeds
    assert {"random", "entropy", "forgetting", "k-centers", "iqp", "geda", "ids"} <= set(methods)


def test_the_ladder_climbs_from_random_to_geda():
    rungs = experiments.ladder()
    assert rungs[0] == "random"
    assert rungs[-1] == "geda-random"
    assert len(rungs) == 5


def test_recorded_epochs_double_and_long_runs_add_where_svp_stops_its_proxies():
    for epochs in (1, 2, 6, 8, 13, 100, 181):
        found = experiments.recorded(epochs)
        assert (found[0], found[-1]) == (0, epochs)
        assert list(found) == sorted(set(found))
    assert experiments.recorded(6) == (0, 1, 2, 4, 6)  # stored runs hang on it
    assert experiments.recorded(12) == (0, 1, 2, 4, 8, 12)
    assert {50, 100} <= set(experiments.recorded(181))
    assert experiments.recorded(6, (3, 6)) == (0, 1, 2, 3, 4, 6)


def test_every_profile_has_runs_for_its_notebooks():
    for profile in PROFILES.values():
        for number in profile.only or experiments.ALL:
            assert experiments.ALL[number](profile.config(number=number))


def test_config_gives_lists_and_numbers_the_types_specs_are_hashed_with():
    loose = Config(budgets=[1, 0.5], etas=[1, 3], keep=1, models=["resnet8-w8"])
    strict = Config(budgets=(1.0, 0.5), etas=(1, 3), keep=1.0, models=("resnet8-w8",))
    assert repr(loose) == repr(strict)
    assert hash(loose) == hash(strict)
    for of in experiments.ALL.values():
        assert list(map(specs.key, of(loose))) == list(map(specs.key, of(strict)))
    assert loose.replace(keep=0.5) == strict.replace(keep=0.5) != strict


def test_config_refuses_other_types_and_impossible_values_in_one_line_that_names_them():
    for name, values in {
        "models": ("resnet8-w8", [], [1], ["x"] * 101), "etas": ([1.5], [0], 3), "dataset": (3,),
        "epochs": (2.5, True, 0, 10**23, "3"), "n_seeds": ("3", 0, 10**9), "keep": (None, 0, 1.1),
        "budgets": (["0.1"], [float("nan")], [True], [0.0]), "percentages": ([],), "stops": ([0],),
        "label_budgets": ([0.3, 0.1], [0.1, 0.1], [0.5, 1.5]), "initial_share": (0.1, 0.0),
        "more_proxies": ([1],), "n_proxy_budgets": (0,), "own_batch": (1, 32, -2),
        "paid_share": (1.0, -0.1), "methods": (["nope"],), "panel_methods": (["all"],),
        "recipe": ("nope",), "nonsense": (1,), "first_seed": (-1,), "thetas": ([float("inf")],),
    }.items():  # fmt: skip
        for value in values:
            with pytest.raises(StudyError) as caught:
                Config(**{name: value})
            assert name.removeprefix("panel_").rstrip("s") in str(caught.value)
            assert len(str(caught.value)) < 400
            assert "\n" not in str(caught.value)


def test_what_only_larger_scales_ask_for_is_not_asked_on_the_digits():
    plain = Config()
    larger = (experiments.own_batch_runs, experiments.paid_runs, experiments.replicated_runs,
              experiments.quick_runs)  # fmt: skip
    for of in larger:
        assert of(plain) == []
    asked = experiments.own_batch_runs(Config(own_batch=128, budgets=(0.5, 0.25)))
    assert {run.subset.budget for run in asked} == {0.25}
    assert {run.recipe for run in asked} == {"digits"}  # the target keeps its batch
    assert [run.subset.of[0].recipe for run in asked] == ["digits", "digits-b128"] * 3
    assert {run.subset.of[0].seed for run in asked} == {0, 1, 2}
    paid = experiments.paid_runs(Config(paid_share=0.6))
    assert [len(run.subset.of) for run in paid] == [1, 3] * 3
    assert {run.subset.budget for run in paid} == {0.6}
    assert len(experiments.paid_runs(Config(paid_share=0.6, n_seeds=2))) == 2
    quick = experiments.quick_runs(Config(quick_proxy="sprint-w8", n_proxy_budgets=2))
    assert [run.subset.budget for run in quick] == [0.1, 0.25] * 3
    (proxy,) = quick[0].subset.of
    assert (proxy.model, proxy.recipe, proxy.epochs) == ("sprint-w8", "sprint", 8)
    assert {(run.recipe, run.epochs, run.model) for run in quick} == {("digits", 6, "resnet14-w8")}


def test_the_replication_changes_the_recipe_and_nothing_else():
    upright = Config(recipe="svp-upright-float32-b64")
    assert experiments.replicated_run(Config(recipe="svp"), 0).recipe == "svp-slides"
    assert {run.recipe for run in experiments.replicated_runs(upright)} == {
        "svp-slides-upright-float32"
    }


def test_data_name_follows_the_copy_on_disk(monkeypatch, tmp_path):
    monkeypatch.setattr(data, "resolve", lambda name: name.replace("cifar10", "cifar10-exact"))
    scale = Config(dataset="cifar10@100+20")
    assert scale.data_name == "cifar10-exact@100+20"
    assert experiments.depth_runs(scale)[0].dataset == "cifar10-exact@100+20"


@pytest.fixture(scope="module")
def tiny():
    return Config(dataset="digits@200+50", epochs=1, n_seeds=1, first_seed=4)


def test_frame_holds_one_tidy_row_a_run(tiny):
    settings = experiments.online_settings(tiny)
    asked = [
        experiments.depth_run(tiny, tiny.proxy, 4),
        experiments.subset_run(tiny, tiny.proxy, experiments.choice(tiny, "entropy", 0.25, 4)),
        settings["ADONIS, eta 1"](4),
    ]
    found = results.compute(asked, device="cpu")
    frame = experiments.frame(asked, found, "what for")
    assert list(frame.columns) == COLUMNS
    assert frame["method"].tolist() == ["full", "entropy", "adonis"]
    assert frame["label"].tolist() == ["Full set", METHODS["entropy"].label, "ADONIS"]
    assert frame["budget"].tolist() == [1.0, 0.25, 1.0]
    assert frame["kept"].tolist() == [200, 50, 200]
    assert frame["selector"].tolist() == ["", tiny.proxy, ""]
    assert set(frame["question"]) == {"what for"}
    assert set(frame["seed"]) == {4}
    assert frame["test_error"].between(0, 100).all()
    assert frame["test_error"][0] == pytest.approx(100 - 100 * found[0].metrics["test_acc"])
    assert frame["select_seconds"][1] > found[0].metrics["seconds"]  # the proxy is paid for
    assert frame["select_seconds"][0] == 0
    assert frame["selector_epochs"].tolist() == [0, 1, 0]
    assert frame["n_selectors"].tolist() == [0, 1, 0]
    assert frame["total_seconds"].tolist() == pytest.approx(
        (frame["seconds"] + frame["select_seconds"]).tolist()
    )
    assert (frame["forward"] >= frame["backward"]).all()
    assert frame["backward"].tolist() == [200, 50, 200]


def test_frame_tells_a_selector_with_another_batch(tiny):
    scale = tiny.replace(own_batch=64)
    asked = experiments.own_batch_runs(scale)
    frame = experiments.frame(asked, results.compute(asked, device="cpu"))
    assert frame["options"].tolist() == ["", "recipe=digits-b64"]
    assert set(frame["selector"]) == {tiny.proxy}
    assert set(frame["method"]) == {"least-confidence"}


def test_frame_and_bill_of_a_proxy_made_for_speed(tiny):
    scale = tiny.replace(quick_proxy="sprint-w8")
    asked = experiments.quick_runs(scale)
    frame = experiments.frame(asked, results.compute(asked, device="cpu"))
    assert frame["options"].tolist() == ["recipe=sprint"]
    assert frame["selector"].tolist() == ["sprint-w8"]
    assert frame["selector_epochs"].tolist() == [8]
    charged, _ = bills.charged(scale, frame, asked)
    # eight epochs of the proxy on all 200 rows, and one pass over them to score
    passed = experiments.costs.weight(scale, "sprint-w8") * (8 + 1 / 3) * 200
    assert charged["work"][0] == pytest.approx(passed + frame["backward"][0], rel=0.01)


def test_frame_wants_a_result_for_each_spec(tiny):
    with pytest.raises(ValueError, match="shorter"):
        experiments.frame([experiments.depth_run(tiny, tiny.proxy, 4)], [])


def test_frame_counts_the_run_that_a_sampler_embeds_with(tiny):
    asked = [experiments.online_run(tiny, "ids", 4), experiments.repeated_run(tiny, 0.25, 4)]
    frame = experiments.frame(asked, results.compute(asked, device="cpu"))
    (embedded,) = results.compute([experiments.depth_run(tiny, tiny.proxy, 4)], device="cpu")
    assert frame["select_seconds"].tolist() == [embedded.metrics["seconds"], 0.0]
    assert frame["label"].tolist() == ["IDS", "Random, new every epoch"]
    assert frame["budget"].tolist() == [1.0, 0.25]
    assert frame["kept"][1] == frame["backward"][1] == 50


def test_frame_wants_what_a_run_was_chosen_by(tiny, tmp_path, monkeypatch):
    asked = [experiments.subset_run(tiny, tiny.proxy, experiments.choice(tiny, "random", 0.25, 4))]
    found = results.compute(asked, device="cpu")
    monkeypatch.setenv("STUDY_STORE", str(tmp_path / "another"))
    with pytest.raises(StudyError, match="select random 0.25"):
        experiments.frame(asked, found)
