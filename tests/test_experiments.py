"""Which runs answer which question, and the table of what they gave."""

import dataclasses

import pytest

from helpers import (
    StudyError,
    data,
    experiments as ex,
    measurements,
    models,
    profiles,
    recipes,
    results,
    samplers,
    specs,
)
from helpers.experiments import Cell, Config
from helpers.results import Missing, packs
from helpers.selection.registry import METHODS
from helpers.specs import Measure, Select

COLUMNS = [
    *("question", "method", "label", "budget", "share", "kept", "seed", "data"),
    *("model", "selector", "selector_epochs", "n_selectors", "options", "epochs", "test_error"),
    *("seconds", "select_seconds", "total_seconds", "forward", "backward", "alone"),
]
PROFILES = profiles.profiles(profiles.Folders().notebooks / "profiles.yml")
# Every parameter that keys hang on, so that other defaults change no test.
SCALE = Config(
    dataset="digits", models=("resnet8-w8", "resnet14-w8", "resnet20-w8"), proxy="resnet8-w8",
    target="resnet14-w8", recipe="digits", epochs=6, n_seeds=3, budgets=(0.1, 0.25, 0.5),
    label_budgets=(0.1, 0.2, 0.3), initial_share=0.02, start_share=0.1, stops=(2,),
)  # fmt: skip
LARGE = SCALE.replace(
    n_seeds=2, first_seed=10, more_proxies=("resnet20-w8",), recipe="svp", own_batch=64,
    table_two=("digits",),
)  # fmt: skip
# A cell a protocol -> how its run's key began when results were published.
PINNED = {
    Cell("entropy", 0.1): "64c98271b38de440",
    Cell("k-centers", 0.2, by="target", protocol="active"): "0ccf1552e22a67a1",
    Cell("iqp", 0.1, model="proxy", protocol="budgeted"): "723ba8b5d55fe47a",
    Cell("adonis", model="proxy", protocol="online", options=(("eta", 1),)): "f5387d131e37eb74",
}
SLIDES = {"random", "entropy"}
# Question -> what is true of each run of `SCALE` or `LARGE`.
ASKED = {
    "depths": lambda r: r.subset is None and r.sampler is None,
    "families": lambda r: r.subset is None and r.record_at,
    "stepped": lambda r: (r.model, r.epochs) == (SCALE.proxy, 30),
    "core-set": lambda r: r.subset.budget in SCALE.budgets and r.model == SCALE.target,
    "by target": lambda r: r.subset.of[0].model == SCALE.target,
    "more proxies": lambda r: r.subset.of[0].model == "resnet20-w8",
    "extra": lambda r: r.subset.budget in (0.1, 0.5, 0.7),
    "single": lambda r: len(r.subset.of) <= 1,
    "brief": lambda r: dict(r.subset.options)["after"] == 2,
    "ensembles": lambda r: len(r.subset.of) in (2, 3),
    "slides": lambda r: r.subset.budget in (0.4, 0.6) and r.subset.method in SLIDES,
    "metrics": lambda r: r.subset.method in ("least-confidence", "margin", "entropy"),
    "replicated": lambda r: r.recipe == "svp-slides",
    "active": lambda r: r.model == SCALE.target,
    "opponents": lambda r: r.epochs > 6 or r.sampler or r.subset.method == "random",
    "dial": lambda r: r.subset.method in SCALE.dial_methods,
    "own batch": lambda r: r.subset.method == "least-confidence",
    "budgeted": lambda r: r.init.keep_weights and r.subset.start == r.init.subset,
    "extractors": lambda r: r.sampler.of[0].record_at,
    "panel": lambda r: r.subset is None and r.record_at,
    "weights": lambda r: {"weight", "diversity"} <= set(dict(r.subset.options)),
    "ablations": lambda r: r.subset.start == r.init.subset and r.subset.dataset == r.dataset,
    "table two": lambda r: r.subset is None or r.init.subset.budget == 0.01,
    "ages": lambda r: r.dataset == f"utkface~draw{r.seed}",
    "ladder": lambda r: r.model == SCALE.proxy,
    "peers": lambda r: r.subset is None or r.subset.of[0].epochs != r.epochs,
    "reselected": lambda r: r.sampler is None or r.sampler.name == "grad-match",
    "nodes": lambda r: dict(r.subset.options)["n_nodes"],
    "variants": lambda r: r.subset.method == "geda",
    "online": lambda r: r.model == SCALE.proxy,
    "sweeps": lambda r: r.sampler.name == "adonis",
    "online sweeps": lambda r: r.model == SCALE.proxy,
}


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


def test_all_has_a_list_for_each_notebook_and_every_question_a_notebook():
    assert list(ex.ALL) == ["01", "02", "03", "04", "05", "06"]
    assert all(of(SCALE) for of in ex.ALL.values())
    assert {name for names in ex.OF_NOTEBOOK.values() for name in names} == set(ex.QUESTIONS)
    assert set(ASKED) >= set(ex.QUESTIONS)


@pytest.mark.parametrize("name", ex.QUESTIONS)
def test_every_question_asks_valid_runs_of_its_kind_for_each_seed(name):
    other = SCALE.replace(dataset="cifar10")
    learnt = SCALE.replace(proxy="pretrained:efficientnet-lite0/0")
    studies = (LARGE, SCALE, other, learnt)
    asked = next(filter(None, (ex.asked(study, name) for study in studies)))
    own = {*range(ex.seeded(SCALE, name).n_seeds)}
    assert {spec.seed for spec in asked} in ({10, 11}, own)
    assert len(set(map(specs.key, asked))) == len(asked)  # nothing twice
    assert all(map(ASKED[name], asked + ex.asked(SCALE, name)))
    for spec in everything(asked):
        assert spec.dataset.startswith(("digits", "cifar10", "utkface"))
        if isinstance(spec, Select):
            assert spec.method in METHODS
            assert 0 < spec.budget <= 1
            assert bool(spec.of) == bool(METHODS[spec.method].needs)
            for run in spec.of:  # GEDA and gradients read the untrained network
                assert run.record_at[0] == 0
                assert run.record_at[-1] in (0, run.epochs)
            continue
        if not spec.model.startswith("pretrained:"):  # weights may not be here
            models.build(spec.model, 10, 1)
        recipes.get(spec.recipe, spec.epochs, model=spec.model)
        assert spec.sampler is None or spec.sampler.name in samplers.SAMPLERS
        assert set(spec.record_at) <= set(range(spec.epochs + 1))
        assert spec.init is None or spec.init.keep_weights


def test_a_panel_may_be_of_other_data_sets():
    two = SCALE.replace(panel_data=("digits@200+100", "digits@300+100"))
    asked = ex.asked(two, "budgeted")
    assert len(asked) == 2 * len(ex.asked(SCALE, "budgeted"))
    assert {run.dataset for run in asked} == {run.init.dataset for run in asked} == set(
        two.panel_data)  # fmt: skip
    assert ex.run(two, Cell(), 0).dataset == ex.run(SCALE, Cell(), 0).dataset == SCALE.dataset
    read = {option for run in asked for option in run.subset.options if option[0] == "diversity"}
    assert read == {("diversity", "distance")}  # beside the kernel as printed, which has no option


def test_panels_of_digits_start_from_networks_that_learnt_the_other_half():
    halves = f"{SCALE.dataset}~0-4", f"{SCALE.dataset}~5-9"
    assert SCALE.panels == (">".join(halves),)
    for spec in (ex.asked(SCALE, "budgeted")[0].init, ex.asked(SCALE, "panel")[0]):
        assert (spec.init.dataset, spec.dataset) == halves
        assert spec.init.keep_weights
        assert spec.init.init is None
    cell = Cell("iqp", 0.5, model="vgg3-w8/1", protocol="budgeted", data="cifar100>cifar10")
    start = ex.start_run(SCALE, cell, 0)
    assert (start.model, start.init.model) == ("vgg3-w8/1", "vgg3-w8")
    assert SCALE.replace(dataset="fashionmnist").panels == ("",)


def test_measurements_asked_for_exist():
    found = [m for number in ex.ALL for m in ex.measures(SCALE, number) if isinstance(m, Measure)]
    assert len(found) > 10
    assert {m.name for m in found} <= set(measurements.MEASUREMENTS)


def test_keys_are_those_of_published_results():
    for cell, key in PINNED.items():
        assert specs.key(ex.run(SCALE, cell, 0)).startswith(key), cell
    pack, scale = (
        packs.read(packs.path_of("amazon-small")),
        profiles.profile("amazon-small").config(),
    )
    for cell in (Cell(), Cell("entropy", 0.4), Cell("random", 0.3, protocol="active")):
        assert specs.key(ex.run(scale, cell, 0)) in pack


def test_published_packs_of_texts_and_photographs_are_what_is_asked_for():
    for name in ("amazon-small", "amazon-ratings-small", "imagenette-small"):
        profile, pack = profiles.profile(name), packs.read(packs.path_of(name))
        asked = [s for n in profile.only for s in ex.ALL[n](profile.config(number=n))]
        assert set(pack) <= set(map(specs.key, everything(asked)))


def test_roles_name_networks_and_other_names_are_networks():
    scale = SCALE.replace(more_proxies=("resnet20-w8",))
    assert [ex.named(scale, role) for role in ("proxy", "target", "shallowest", "deepest")] == [
        "resnet8-w8", "resnet14-w8", "resnet8-w8", "resnet20-w8",
    ]  # fmt: skip
    assert ex.named(scale, "between") == "resnet20-w8"
    assert ex.named(scale, "vgg11-w8") == "vgg11-w8"
    assert ex.selectors(scale) == ["resnet8-w8", "resnet20-w8", "resnet14-w8"]
    again = SCALE.replace(more_proxies=("resnet14-w8", "resnet8-w8"))
    assert ex.selectors(again) == ["resnet8-w8", "resnet14-w8"]
    assert ex.proxy_budgets(Config(budgets=[0.5, 0.1, 0.3], n_proxy_budgets=2)) == [0.1, 0.3]


@pytest.mark.parametrize(
    "cell",
    [
        Cell("entropy", 0.1, by="between"),
        Cell("entropy", 0.1, together=4),
        Cell("entropy", 0.1, after=6),
        Cell("random", 0.15, protocol="active"),
    ],
)
def test_what_a_study_lacks_is_missing(cell):
    with pytest.raises(Missing):
        ex.run(SCALE, cell, 0)


def test_cells_that_cannot_be_are_refused():
    with pytest.raises(StudyError, match=r"after must be a recorded epoch, got 3"):
        ex.run(SCALE, Cell("entropy", 0.1, after=3), 0)
    with pytest.raises(StudyError, match="protocol must be one of"):
        Cell(protocol="nonsense")
    with pytest.raises(StudyError, match="chooses no rows before"):
        ex.chosen(SCALE, Cell(), 0)
    with pytest.raises(StudyError, match="unknown question 'nonsense'"):
        ex.asked(SCALE, "nonsense")


def test_a_grid_is_the_product_of_its_lists():
    found = ex.grid(method=["random", "entropy"], share=[0.1, 0.2], options=(("a", 1),))
    assert [(c.method, c.share) for c in found] == [
        ("random", 0.1), ("random", 0.2), ("entropy", 0.1), ("entropy", 0.2),
    ]  # fmt: skip
    assert {c.options for c in found} == {(("a", 1),)}


def test_compared_methods_meet_at_every_budget():
    cells = {(run.subset.method, run.subset.budget) for run in ex.asked(SCALE, "core-set")}
    methods = ex.compared_methods(SCALE)
    assert len(cells) == len(methods) * len(SCALE.budgets)
    assert {"random", "entropy", "forgetting", "k-centers", "iqp"} <= set(methods)
    assert {"geda", "ids"} <= set(ex.compared_methods(SCALE.replace(methods=["all"])))


def test_ensembles_train_nothing_that_depths_do_not():
    trained = set(ex.asked(SCALE, "depths"))
    for run in ex.asked(SCALE, "ensembles"):
        assert set(run.subset.of) <= trained
        assert len(set(run.subset.of)) == len(run.subset.of)
        assert run.subset.of[0].seed == run.seed


def test_stopped_proxies_and_the_slides_follow_the_parameters():
    assert ex.asked(SCALE.replace(epochs=2), "brief") == []
    stops = {
        dict(run.subset.options)["after"] for run in ex.asked(SCALE.replace(stops=(4, 2)), "brief")
    }
    assert stops == {2, 4}
    assert ex.asked(SCALE.replace(slide_shares=()), "slides") == []
    six = SCALE.replace(stops=(4, 2, 1))  # the first, and what is nearest to 50 of 181 epochs
    after = {dict(run.subset.options).get("after") for run in ex.asked(six, "slides")}
    assert after == {None, 1, 2}
    house = ex.asked(SCALE.replace(dataset="svhn"), "slides")
    assert {r.subset.method for r in house if ("correct_only", True) in r.subset.options} == {
        "least-confidence"
    }


def test_variants_are_runs_of_their_own():
    found = ex.asked(SCALE, "variants")
    assert not set(found) & set(ex.asked(SCALE, "ladder", "nodes"))
    assert {run.subset.budget for run in found} == {min(SCALE.percentages)}


def test_recorded_epochs_double_and_long_runs_add_where_svp_stops_its_proxies():
    for epochs in (1, 2, 6, 8, 13, 100, 181):
        found = ex.recorded(epochs)
        assert (found[0], found[-1]) == (0, epochs)
        assert list(found) == sorted(set(found))
    assert ex.recorded(6) == (0, 1, 2, 4, 6)  # stored runs hang on it
    assert ex.recorded(12) == (0, 1, 2, 4, 8, 12)
    assert {50, 100} <= set(ex.recorded(181))
    assert ex.recorded(6, (3, 6)) == (0, 1, 2, 3, 4, 6)


def test_every_profile_has_runs_for_its_notebooks():
    for profile in PROFILES.values():
        for number in profile.only or ex.ALL:
            assert ex.ALL[number](profile.config(number=number))


def test_config_gives_lists_and_numbers_the_types_specs_are_hashed_with():
    loose = Config(budgets=[1, 0.5], etas=[1, 3], keep=1, models=["resnet8-w8"])
    strict = Config(budgets=(1.0, 0.5), etas=(1, 3), keep=1.0, models=("resnet8-w8",))
    assert repr(loose) == repr(strict)
    assert hash(loose) == hash(strict)
    for of in ex.ALL.values():
        assert list(map(specs.key, of(loose))) == list(map(specs.key, of(strict)))
    assert loose.replace(keep=0.5) == strict.replace(keep=0.5) != strict


def test_config_refuses_other_types_and_impossible_values_in_one_line_that_names_them():
    for name, values in {
        "models": ("resnet8-w8", [], [1], ["x"] * 101), "etas": ([1.5], [0], 3), "dataset": (3,),
        "epochs": (2.5, True, 0, 10**23, "3"), "n_seeds": ("3", 0, 10**9), "keep": (None, 0, 1.1),
        "budgets": (["0.1"], [float("nan")], [True], [0.0]), "percentages": ([],), "stops": ([0],),
        "label_budgets": ([0.3, 0.1], [0.1, 0.1], [0.5, 1.5]), "initial_share": (0.1, 0.0),
        "more_proxies": ([1],), "n_proxy_budgets": (0,), "own_batch": (1, 32, -2),
        "methods": (["nope"],), "panel_methods": (["all"],),
        "recipe": ("nope",), "nonsense": (1,), "first_seed": (-1,), "thetas": ([float("inf")],),
    }.items():  # fmt: skip
        for value in values:
            with pytest.raises(StudyError) as caught:
                Config(**{name: value})
            assert name.removeprefix("panel_").rstrip("s") in str(caught.value)
            assert len(str(caught.value)) < 400
            assert "\n" not in str(caught.value)


def test_what_only_larger_scales_ask_for_is_not_asked_on_the_digits():
    assert ex.asked(SCALE, "own batch", "replicated", "more proxies") == []
    own = ex.asked(SCALE.replace(own_batch=128, budgets=(0.5, 0.25)), "own batch")
    assert {(run.subset.budget, run.recipe) for run in own} == {(0.25, "digits")}
    assert [run.subset.of[0].recipe for run in own] == ["digits", "digits-b128"] * 3


def test_the_replication_changes_the_recipe_and_nothing_else():
    upright = SCALE.replace(recipe="svp-upright-float32-b64")
    found, plain = ex.asked(upright, "replicated"), ex.runs(upright, [Cell()])
    assert {run.recipe for run in found} == {"svp-slides-upright-float32"}
    assert [dataclasses.replace(run, recipe=upright.recipe) for run in found] == plain


def test_data_name_follows_the_copy_on_disk(monkeypatch, tmp_path):
    monkeypatch.setattr(data, "resolve", lambda name: name.replace("cifar10", "cifar10-exact"))
    scale = Config(dataset="cifar10@100+20")
    assert scale.data_name == "cifar10-exact@100+20"
    assert ex.asked(scale, "depths")[0].dataset == "cifar10-exact@100+20"


@pytest.fixture(scope="module")
def tiny():
    return Config(dataset="digits@200+50", epochs=1, n_seeds=1, first_seed=4)


def test_frame_holds_one_tidy_row_a_run(tiny):
    settings = ex.online_settings(tiny)
    asked = [
        ex.depth_run(tiny, tiny.proxy, 4),
        ex.run(tiny, Cell("entropy", 0.25, model="proxy"), 4),
        ex.run(tiny, settings["ADONIS, eta 1"], 4),
    ]
    found = results.compute(asked, device="cpu")
    frame = ex.frame(asked, found, "what for")
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
    asked = ex.asked(scale, "own batch")
    frame = ex.frame(asked, results.compute(asked, device="cpu"))
    assert frame["options"].tolist() == ["", "recipe=digits-b64"]
    assert set(frame["selector"]) == {tiny.proxy}
    assert set(frame["method"]) == {"least-confidence"}


def test_frame_wants_a_result_for_each_spec(tiny):
    with pytest.raises(ValueError, match="shorter"):
        ex.frame([ex.depth_run(tiny, tiny.proxy, 4)], [])


def test_frame_counts_the_run_that_a_sampler_embeds_with(tiny):
    asked = [
        ex.run(tiny, Cell("ids", model="proxy", protocol="online"), 4),
        ex.run(tiny, Cell("repeated-random", 0.25, model="proxy", protocol="online"), 4),
    ]
    frame = ex.frame(asked, results.compute(asked, device="cpu"))
    (embedded,) = results.compute([ex.depth_run(tiny, tiny.proxy, 4)], device="cpu")
    assert frame["select_seconds"].tolist() == [embedded.metrics["seconds"], 0.0]
    assert frame["label"].tolist() == ["IDS", "Random, new every epoch"]
    assert frame["budget"].tolist() == [1.0, 0.25]
    assert frame["kept"][1] == frame["backward"][1] == 50


def test_frame_wants_what_a_run_was_chosen_by(tiny, tmp_path, monkeypatch):
    asked = [ex.run(tiny, Cell("random", 0.25, model="proxy"), 4)]
    found = results.compute(asked, device="cpu")
    monkeypatch.setenv("STUDY_STORE", str(tmp_path / "another"))
    with pytest.raises(StudyError, match="select random 0.25"):
        ex.frame(asked, found)


def test_random_rows_are_always_compared():
    found = ex.compared_methods(Config(methods=("moderate", "forgetting")))
    assert found == ["random", "forgetting", "moderate"]
