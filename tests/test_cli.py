"""The command line: help, one-line errors, exit codes, the store's commands."""

import dataclasses
import re
import sys
import types

import nbformat
import numpy as np
import pytest
from nbformat import v4

import helpers
from helpers import StudyError, overview, packs, profiles, specs
from helpers.__main__ import main
from helpers.store import Store

RUN = specs.Measure("lp-time", 0)


def said(capsys):
    captured = capsys.readouterr()
    return captured.out, captured.err.rstrip()


def one_line(error):
    return error.startswith("error: ") and "\n" not in error


def test_no_command_prints_help(capsys):
    assert main([]) == 0
    assert "study" in said(capsys)[0]


def test_unknown_command_names_the_valid_ones(capsys):
    assert main(["studdy"]) == 2
    out, err = said(capsys)
    assert "usage" in out
    assert err == "error: no command studdy; commands: study, figures, claims, results, select"


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["study", "--profile", "digit"], "unknown profile digit; profiles: digits, smoke"),
        (["study", "--device", "gpu"], "gpu is not one of auto, cpu, cuda, cuda:N, mps"),
        (["study", "--workers", "0"], "expected a whole number from 1 upwards, got 0"),
        (["study", "--fast"], "unrecognized arguments: --fast"),
        (["study", "-p", "n"], "-p takes name=value, got 'n'"),
        (["results"], "action"),
        (["results", "import", "nowhere"], "no pack in nowhere"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(capsys, argv, says):
    assert main(argv) == 2
    err = said(capsys)[1]
    assert one_line(err)
    assert says in err


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (StudyError("two\nlines"), "error: two lines"),
        (
            FileNotFoundError(2, "No such file or directory", "a.npy"),
            "No such file or directory: a",
        ),
        (OSError(28, "No space left on device"), "error: No space left on device"),
    ],
)
def test_user_errors_show_no_traceback(capsys, monkeypatch, error, says):
    def fail():
        raise error

    monkeypatch.setattr(overview, "list_results", fail)
    assert main(["results", "list"]) == 2
    err = said(capsys)[1]
    assert one_line(err)
    assert says in err
    monkeypatch.setenv("STUDY_DEBUG", "1")
    with pytest.raises(type(error)):
        main(["results", "list"])


def test_interrupt_is_130(capsys, monkeypatch):
    def stop():
        raise KeyboardInterrupt

    monkeypatch.setattr(overview, "verify", stop)
    assert main(["results", "verify"]) == 130
    assert "finished runs are stored" in said(capsys)[1]


def test_list_and_verify_report_what_is_stored(capsys):
    store = Store()
    key = store.write(RUN, {"seconds": 1.0}, {})
    assert main(["results", "list"]) == 0
    train = specs.Train("digits@40+10", "resnet8", "digits", 2, 0)
    store.write(train, {}, {})
    listed = said(capsys)[0]
    assert re.match(rf"{key[:12]}  20.* KiB  measure lp-time seed 0  \(.*cores\)", listed)
    assert main(["results", "list"]) == 0
    assert "KiB  train resnet8 seed 0, 2 epochs, digits@40+10" in said(capsys)[0]
    store.prune({key})
    assert main(["results", "verify"]) == 0
    store.path_of(key).write_bytes(b"{}")
    assert main(["results", "verify"]) == 1
    assert "1 results checked, 1 damaged" in said(capsys)[0]


def test_a_profile_that_judges_no_claim_says_so_in_one_line(capsys, monkeypatch):
    assert main(["claims", "--profile", "amazon-ratings-small"]) == 0
    *numbers, line = said(capsys)[0].splitlines()
    assert any("Recount" in told for told in numbers)
    assert all(re.search(r"not decidable .* ours: -?[\d.]+ ", told) for told in numbers)
    assert re.match(r"profile amazon-ratings-small: none of the \d+ claims is judged by it", line)
    rows = overview.decided(profiles.profile("digits"))
    answer = dataclasses.replace(rows[0].answer, value=1.5)
    rows[0] = dataclasses.replace(rows[0], answer=answer)
    monkeypatch.setattr(overview, "decided", lambda *_: rows[:2])
    assert main(["claims", "--profile", "amazon-ratings-small"]) == 0
    first, last = said(capsys)[0].splitlines()
    assert "ours: 1.5" in first
    assert last.endswith("1 have a number")


@pytest.fixture
def asked(monkeypatch):
    """Every profile asks for one result."""
    monkeypatch.setattr(overview, "wanted", lambda *_: {"01": [RUN]})


@pytest.mark.usefixtures("asked")
def test_prune_counts_first_and_deletes_with_yes(capsys):
    store = Store()
    kept = store.write(RUN, {}, {})
    store.write(specs.Measure("other", 1), {}, {})
    store.write(specs.Select("folder:/photos", "random", 0.1), {}, {})
    assert main(["results", "prune"]) == 0
    told = said(capsys)[0]
    assert told.startswith("2 results")
    assert "1 of them proxies and selections of your own files" in told
    assert len(store.keys()) == 3
    assert main(["results", "prune", "--yes"]) == 0
    assert store.keys() == [kept]


@pytest.mark.usefixtures("asked")
def test_export_then_import_elsewhere(capsys, tmp_path, monkeypatch):
    key = Store().write(RUN, {"seconds": 1.0}, {})
    pack = str(tmp_path / "pack")
    assert main(["results", "export", pack]) == 0
    monkeypatch.setenv("STUDY_STORE", str(tmp_path / "elsewhere"))
    assert main(["results", "import", pack]) == 0
    assert Store().keys() == [key]
    assert "1 results imported" in said(capsys)[0]


def test_export_names_data_as_the_published_pack_does(capsys, tmp_path, monkeypatch):
    """Without the copy of the data at hand, too; it once replaced 417 results by 18."""
    monkeypatch.delenv("STUDY_DATA", raising=False)
    folder = tmp_path / "packs" / "cifar10-small"
    monkeypatch.setattr(packs, "path_of", lambda profile: folder.parent / profile)
    jpeg = specs.Select("cifar10-jpeg@10000+2000", "random", 0.3, 0)
    asked = {"06": lambda s: [specs.Select(s.data_name, "random", 0.3, 0)]}
    monkeypatch.setattr("helpers.experiments.ALL", asked)
    store = Store()
    store.write(jpeg, {}, {"indices": np.arange(3)})
    other = store.write(specs.Measure("other", 1), {}, {})
    packs.export(store.list(), folder)
    command = ["results", "export", "--profile", "cifar10-small"]
    assert main(command) == 2
    err = said(capsys)[1]
    assert one_line(err)
    assert "holds 2 results, this one would hold 1" in err
    assert len(packs.read(folder)) == 2
    assert main([*command, "--shrink"]) == 0
    assert set(packs.read(folder)) == {specs.key(jpeg)}
    assert main(["results", "prune", "--yes"]) == 0  # nor may it delete them
    assert store.keys() == [specs.key(jpeg)] != [other]


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A repository whose one notebook shows its settings; claims are a fixed text."""
    made = profiles.Folders(tmp_path / "repo")
    made.notebooks.mkdir(parents=True)
    (made.notebooks / "profiles.yml").write_text("digits: {}\nsmoke: {}")
    source = "import os\nprint(sorted(n for n in os.environ if n.startswith('STUDY_')))"
    cells = [v4.new_code_cell("n: int = 2", metadata={"tags": ["parameters"]})]
    cells.append(v4.new_code_cell(source))
    nbformat.write(v4.new_notebook(cells=cells), made.notebooks / "01-one.ipynb")
    monkeypatch.setattr(overview, "claims", lambda *_: "136 claims")
    return made


def test_figures_runs_offline_then_prints_claims_and_places(capsys, fake, monkeypatch):
    monkeypatch.chdir(fake.root)
    assert main(["figures"], fake) == 0
    out = said(capsys)[0].splitlines()
    assert "136 claims" in out
    assert out[-2:] == ["notebooks: notebooks/executed/digits", "figures:   figures/digits"]
    assert "STUDY_OFFLINE" in (fake.executed("digits") / "01-one.ipynb").read_text()


def test_wrong_type_exits_2_before_anything_runs(capsys, fake):
    assert main(["study", "-p", "n=two"], fake) == 2
    assert said(capsys)[1] == "error: parameter n takes a whole number, got 'two'"
    assert not fake.executed("digits").exists()


@dataclasses.dataclass(frozen=True)
class Scale:
    n: int = 2
    shares: tuple[float, ...] = (0.1, 0.3)
    dataset: str = "digits"
    own_batch: int = 0


@pytest.fixture
def experiments(monkeypatch):
    """One question: a measurement a share."""
    made = types.ModuleType("helpers.experiments")
    made.Scale = Scale
    made.ALL = {"01": lambda s: [specs.Measure("lp-time", s.n, (("share", x),)) for x in s.shares]}
    monkeypatch.setitem(sys.modules, "helpers.experiments", made)
    monkeypatch.setattr(helpers, "experiments", made, raising=False)


@pytest.mark.usefixtures("experiments")
def test_dry_run_counts_what_is_missing(capsys, fake):
    assert main(["study", "--dry-run", "-p", "n=5"], fake) == 0
    out = said(capsys)[0].splitlines()
    assert out[0] == "  01  measure lp-time seed 5"
    assert [line.split()[:3] for line in out[4:6]] == [["01-one", "2", "2"], ["in", "all", "2"]]
    for share in Scale.shares:
        Store().write(specs.Measure("lp-time", 5, (("share", share),)), {}, {})
    assert main(["study", "--dry-run", "-p", "n=5"], fake) == 0
    assert said(capsys)[0].splitlines()[1].split()[:3] == ["01-one", "2", "0"]
    assert main(["study", "--dry-run", "--fresh", "-p", "n=5"], fake) == 0
    assert said(capsys)[0].splitlines()[4].split()[:3] == ["01-one", "2", "2"]
    assert not fake.executed("digits").exists()


@pytest.mark.parametrize(
    ("given", "said_of"),
    [
        ("n_seeds=0", "n_seeds must be 1 or more, got 0"),
        ("percentages=[1.7]", "percentages must lie in (0, 1], got 1.7"),
        ("recipe=nope", "unknown recipe 'nope'"),
        ("dataset=nosuch", "unknown data set 'nosuch'"),
        ("dataset=folder:nowhere", "there is no "),
        ("dataset=text:nowhere.csv", "there is no "),
        ("dataset=digits@5000+100", "the slice asks for 5000 + 100 rows, the data set has 1347"),
        ("proxy=fasttext", "proxy: fasttext is for texts, the data set digits holds images"),
        ("recipe=text-b64", "recipe: text-b64 is for texts, the data set digits holds images"),
        ("own_batch=1348", "own_batch must be at most 1347, the training rows, got 1348"),
        ("recipe=digits-b064", "unknown recipe 'digits-b064'"),
        ("proxy=resnt8", "proxy: unknown model 'resnt8'; there are "),
        ("panel_models=[resnet8-w8, alexnt]", "panel_models: unknown model 'alexnt'"),
    ],
)
def test_values_no_run_could_use_are_refused_before_a_kernel_starts(capsys, given, said_of):
    number = {"panel_models": "03", "own_batch": "06"}.get(given.partition("=")[0], "04")
    assert main(["study", "--only", number, "-p", given]) == 2
    error = said(capsys)[1]
    assert said_of in error
    assert len(error.strip().splitlines()) == 1


def test_networks_and_recipes_for_images_are_refused_for_texts(capsys, tmp_path):
    rows = "".join(f"{i % 2},review {i}\n" for i in range(40))
    (tmp_path / "r.csv").write_text("label,text\n" + rows)
    asked = ["study", "--dry-run", "--only", "02", "-p", f"dataset=text:{tmp_path / 'r.csv'}"]
    assert main(asked) == 2
    assert "models: resnet8-w8 is for images, the data set text:" in said(capsys)[1]
    asked += ["-p", "models=[fasttext]", "-p", "recipe=text"]
    assert main([*asked, "-p", "families=[vgg11-w8]"]) == 2
    assert "families: vgg11-w8 is for images" in said(capsys)[1]


def test_every_profile_has_the_networks_and_recipes_that_its_data_ask_for():
    from helpers import experiments, models, preflight, recipes

    known = [field.name for field in dataclasses.fields(experiments.Scale)]
    for one in profiles.profiles(profiles.Folders().notebooks / "profiles.yml").values():
        for number in one.only or experiments.ALL:
            preflight.check_kinds(profiles.scale_for(one, None, number), number, known)
    for name in ("fasttext-b10", "vdcnn9", "resnet8", "vgg11", "sprint"):
        reads = getattr(models.build(name, 10, 1), "reads_text", False)
        assert name.startswith(preflight.OF_TEXTS) == bool(reads), name
    named = {name for name in recipes.RECIPES if name.startswith(preflight.OF_TEXTS)}
    crops = {name for name, one in recipes.RECIPES.items() if one.pad or one.crop or one.flip}
    assert named.isdisjoint({*crops, "digits"})
    assert named >= {other for one in recipes.RECIPES.values() for _, other in one.instead}


@pytest.mark.usefixtures("experiments")
def test_scale_takes_the_profile_the_notebook_and_overrides():
    chosen = profiles.Profile("p", parameters={"shares": [1], "x": 0}, notebooks={"03": {"n": 7}})
    assert profiles.scale_for(chosen) == Scale(2, (1.0,))
    assert profiles.scale_for(chosen, {"n": 4, "y": 1}) == Scale(4, (1.0,))
    assert profiles.scale_for(chosen, None, "03") == Scale(7, (1.0,))


def test_needs_are_gathered_once():
    proxy = specs.Train("digits", "resnet8", "digits", 2, 0)
    chosen = specs.Select("digits", "entropy", 0.3, of=(proxy,))
    target = specs.Train("digits", "resnet14", "digits", 2, 0, subset=chosen)
    assert set(overview.with_needs([target, proxy]).values()) == {proxy, chosen, target}


def test_dry_run_lists_missing_runs(capsys):
    pytest.importorskip("helpers.experiments")
    if not list(profiles.Folders().notebooks.glob("01-*.ipynb")):
        pytest.skip("the notebooks are not written yet")
    assert main(["study", "--dry-run", "--only", "01"]) == 0
    out = said(capsys)[0].splitlines()
    assert out[-2].startswith("in all")
    assert not Store().keys()
