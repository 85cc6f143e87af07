"""The command line: help, one-line errors, exit codes, the store's commands, the README."""

import dataclasses
import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbformat import v4

from helpers import StudyError, config, experiments, overview, profiles, specs
from helpers.__main__ import COMMANDS, main
from helpers.claims import ledger, pages
from helpers.claims.verdicts import Verdict
from helpers.config import Config
from helpers.experiments import partial
from helpers.profiles import ROOT, Folders
from helpers.results import packs
from helpers.results.store import Store
from helpers.specs import Measure, Select, Train

RUN = Measure("lp-time", 0)
README = (ROOT / "README.md").read_text(encoding="utf-8")


def said(capsys):
    captured = capsys.readouterr()
    return captured.out, captured.err.rstrip()


def refused(capsys, naming, argv, folders=None):
    """Require exit code 2 and one clear line that names what is wrong."""
    assert main(argv, folders) == 2
    error = said(capsys)[1]
    assert error.startswith("error: ")
    assert "\n" not in error
    assert naming in error


def test_no_command_prints_help_and_an_unknown_one_the_valid_ones(capsys):
    assert main([]) == 0
    assert "study" in said(capsys)[0]
    assert main(["studdy"]) == 2
    out, error = said(capsys)
    assert "usage" in out
    assert (
        error == "error: no command studdy; commands: study, figures, claims, results, select, site"
    )


def test_the_site_names_the_extra_that_it_needs(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sphinx.application", None)
    assert main(["site"]) == 2
    assert said(capsys)[1] == "error: the site needs packages: pip install -e '.[site]'"


def test_wrong_use_is_one_line_and_exit_code_2(capsys):
    for naming, argv in (
        ("profiles: digits, digits-ten, digits-fresh, smoke", ["study", "--profile", "digit"]),
        ("cuda:N, mps", ["study", "--device", "gpu"]),
        ("got 0", ["study", "--workers", "0"]),
        ("--fast", ["study", "--fast"]),
        ("'n'", ["study", "-p", "n"]),
        ("action", ["results"]),
        ("nowhere", ["results", "import", "nowhere"]),
    ):
        refused(capsys, naming, argv)


def test_user_errors_show_no_traceback_and_interrupts_are_130(capsys, monkeypatch):
    raised = []

    def fail():
        raise raised[-1]

    monkeypatch.setattr(overview, "list_results", fail)
    for error, naming in (
        (StudyError("two\nlines"), "error: two lines"),
        (FileNotFoundError(2, "No such file or directory", "a.npy"), "directory: a.npy"),
        (OSError(28, "No space left on device"), "error: No space left on device"),
    ):
        raised.append(error)
        refused(capsys, naming, ["results", "list"])
        monkeypatch.setenv("STUDY_DEBUG", "1")
        with pytest.raises(type(error)):
            main(["results", "list"])
        monkeypatch.delenv("STUDY_DEBUG")
    raised.append(KeyboardInterrupt())
    assert main(["results", "list"]) == 130
    assert "finished runs are stored" in said(capsys)[1]


def test_list_and_verify_report_what_is_stored(capsys):
    store = Store()
    key = store.write(RUN, {"seconds": 1.0}, {})
    store.write(Train("digits@40+10", "resnet8", "digits", 2, 0), {}, {})
    assert main(["results", "list"]) == 0
    listed = said(capsys)[0]
    assert re.search(rf"{key[:12]}  20.* KiB  measure lp-time seed 0  \(.*cores\)", listed)
    assert "KiB  train resnet8 seed 0, 2 epochs, digits@40+10" in listed
    store.prune({key})
    assert main(["results", "verify"]) == 0
    store.path_of(key).write_bytes(b"{}")
    assert main(["results", "verify"]) == 1
    assert "1 results checked, 1 damaged" in said(capsys)[0]


def test_a_profile_that_judges_no_claim_says_so_in_one_line(capsys):
    assert main(["claims", "--profile", "imagenette-small"]) == 0
    (line,) = said(capsys)[0].splitlines()
    n = len(ledger.load_ledger())
    assert line == f"profile imagenette-small judges none of the {n} claims (regime none)"


def test_prune_counts_first_and_export_goes_with_import(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(overview, "wanted", lambda *_: {"01": [RUN]})
    store = Store()
    kept = store.write(RUN, {"seconds": 1.0}, {})
    store.write(Measure("other", 1), {}, {})
    store.write(Select("folder:/photos", "random", 0.1), {}, {})
    assert main(["results", "prune"]) == 0
    told = said(capsys)[0]
    assert told.startswith("2 results")
    assert "1 of them proxies and selections of your own files" in told
    assert len(store.keys()) == 3
    assert main(["results", "prune", "--yes"]) == 0
    assert store.keys() == [kept]
    pack = str(tmp_path / "pack")
    assert main(["results", "export", pack]) == 0
    monkeypatch.setenv("STUDY_STORE", str(tmp_path / "elsewhere"))
    assert main(["results", "import", pack]) == 0
    assert Store().keys() == [kept]
    assert "1 results imported" in said(capsys)[0]


def test_export_names_data_as_the_published_pack_does(capsys, tmp_path, monkeypatch):
    """Without the copy of the data at hand, too; it once replaced 417 results by 18."""
    monkeypatch.delenv("STUDY_DATA", raising=False)
    folder = tmp_path / "packs" / "cifar10-hour"
    monkeypatch.setattr(packs, "path_of", lambda profile: folder.parent / profile)
    jpeg = Select("cifar10-jpeg", "random", 0.3, 0)
    asked = {"06": lambda s: [Select(s.data_name, "random", 0.3, 0)]}
    monkeypatch.setattr("helpers.experiments.ALL", asked)
    store = Store()
    store.write(jpeg, {}, {"indices": np.arange(3)})
    other = store.write(Measure("other", 1), {}, {})
    packs.export(store.list(), folder)
    command = ["results", "export", "--profile", "cifar10-hour"]
    refused(capsys, "holds 2 results, this one would hold 1", command)
    assert len(packs.read(folder)) == 2
    assert main([*command, "--shrink"]) == 0
    assert set(packs.read(folder)) == {specs.key(jpeg)}
    assert main(["results", "prune", "--yes"]) == 0  # nor may it delete them
    assert store.keys() == [specs.key(jpeg)] != [other]


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A repository whose one notebook shows its settings and asks for a measurement a share."""
    made = Folders(tmp_path / "repo")
    made.notebooks.mkdir(parents=True)
    (made.notebooks / "profiles.yml").write_text("digits: {regime: digits}\nsmoke: {}")
    source = "import os\nprint(sorted(n for n in os.environ if n.startswith('STUDY_')))"
    declared = "first_seed: int = 2\nbudgets: list = [0.1, 0.3]"
    cells = [v4.new_code_cell(declared, metadata={"tags": ["parameters"]})]
    cells.append(v4.new_code_cell(source))
    nbformat.write(v4.new_notebook(cells=cells), made.notebooks / "01-one.ipynb")
    claim = ledger.load_ledger()[0]

    def decided(_, config, document=""):
        answer = Verdict("holds", float(config.first_seed), -math.inf, 9.5, 3, "points")
        return [ledger.Row(claim, answer, {})] if document in ("", "svp") else []

    monkeypatch.setattr("helpers.claims.pages.decided", decided)
    runs = {"01": lambda s: [measure(s.first_seed, share) for share in s.budgets]}
    monkeypatch.setattr("helpers.experiments.ALL", runs)
    return made


def measure(seed, share):
    return Measure("lp-time", seed, (("share", share),))


def test_figures_runs_offline_then_prints_claims_and_places(capsys, fake, monkeypatch):
    monkeypatch.chdir(fake.root)
    refused(capsys, "first_seed", ["study", "-p", "first_seed=two"], fake)
    assert not fake.executed("digits").exists()
    assert main(["figures"], fake) == 0
    out = said(capsys)[0].splitlines()
    assert "1 claims, profile digits: 1 holds; 0 interval tests" in out
    table = pd.read_csv(fake.figures("digits") / "claims.csv", skiprows=2)
    assert table["id"].tolist() == ["svp-01"]
    assert out[-2:] == ["notebooks: notebooks/executed/digits", "figures:   figures/digits"]
    assert "STUDY_OFFLINE" in (fake.executed("digits") / "01-one.ipynb").read_text()


def test_a_sweep_has_a_folder_a_value_and_one_table(capsys, fake, monkeypatch):
    monkeypatch.chdir(fake.root)
    for naming, text in (("two values", "n=3"), ("each once", "first_seed=3,3"),
                         ("parameter seeds", "seeds=1,2"), ("YAML", "n=[1")):  # fmt: skip
        refused(capsys, naming, ["study", "--sweep", text], fake)
    assert main(["study", "--only", "one", "--sweep", "first_seed=2,11"], fake) == 0
    out = said(capsys)[0]
    assert re.search(r"svp-01 +holds 2 .*, n = 3 +holds 11 .*, n = 3\n", out)
    assert {p.name[6:] for p in fake.executed("x").parent.iterdir()} == {"", "+first_seed=11"}
    table = fake.figures("digits+sweep+first_seed=2,11") / "sweep.csv"
    assert out.splitlines()[-1] == f"table: {table.relative_to(fake.root)}"
    found = pd.read_csv(table, skiprows=2)
    assert found["first_seed"].tolist() == found["value"].tolist() == [2, 11]


def test_claims_as_json_and_output_that_a_terminal_cannot_show(capsys, fake, monkeypatch):
    assert main(["claims", "--json"], fake) == 0
    (claim,) = json.loads(said(capsys)[0])
    assert [claim[n] for n in ("id", "value", "low", "n")] == ["svp-01", 0.0, None, 3]
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "ascii"))
    assert main(["figures"], fake) == 0
    sys.stdout.flush()
    assert b"01-one ? cell 0/2" in sys.stdout.buffer.getvalue()


def test_dry_run_counts_what_is_missing(capsys, fake):
    asked = ["study", "--dry-run", "-p", "first_seed=5", "-p", "budgets=[0.1, 0.25, 0.5]"]
    assert main(asked, fake) == 0
    out = said(capsys)[0].splitlines()
    assert out[0] == "  01  measure lp-time seed 5"
    assert [line.split()[:4] for line in out[5:7]] == [
        ["01-one", "3", "3", "0.00"], ["in", "all", "3", "3"],
    ]  # fmt: skip
    Store().write(measure(5, 0.1), {"wall_s": 3600.0}, {})
    assert main(asked, fake) == 0  # the others take as long
    row, _, told = said(capsys)[0].splitlines()[-3:]
    assert row.split()[:4] == ["01-one", "3", "2", "2.00"]
    assert "2 of the 2 missing runs" in told
    assert main([*asked, "--fresh"], fake) == 0
    assert said(capsys)[0].splitlines()[-3].split()[:3] == ["01-one", "3", "3"]
    assert not fake.executed("digits").exists()


def test_hours_are_those_of_stored_runs_of_the_same_network_and_data(capsys):
    half = Select("digits@40+10", "random", 0.5)
    full = Train("digits@40+10", "resnet8", "digits", 2, 0)
    known = [(full, 2.0), (dataclasses.replace(full, subset=half), 1.0), (half, 0.5)]
    for spec, seconds in known:
        Store().write(spec, {"wall_s": seconds}, {})
    past = partial.past_seconds(Store().list())
    assert past(dataclasses.replace(full, seed=4, epochs=10)) == pytest.approx(10.0)
    assert past(dataclasses.replace(full, subset=half, seed=4)) == pytest.approx(1.0)
    assert past(dataclasses.replace(half, seed=7)) == pytest.approx(0.5)
    assert past(dataclasses.replace(full, model="resnet14")) is None
    assert past(dataclasses.replace(full, dataset="digits")) is None


def test_hours_of_networks_without_a_stored_run_go_by_multiply_adds(capsys, fake, monkeypatch):
    full = Train("digits@300+100", "resnet8-w8", "digits", 2, 0)
    long = dataclasses.replace(full, dataset="digits@600+100", epochs=1)
    half = dataclasses.replace(long, subset=Select(long.dataset, "random", 0.5))
    asked = [long, half, measure(0, 0.1)]
    monkeypatch.setattr("helpers.experiments.ALL", {"01": lambda _: asked})
    Store().write(full, {"seconds": 3600.0, "device": "cpu"}, {})
    Store().write(dataclasses.replace(full, seed=1), {"seconds": 1.0, "device": "a GPU"}, {})
    assert main(["study", "--dry-run", "--device", "cpu"], fake) == 0
    row, _, told = said(capsys)[0].splitlines()[-3:]
    assert row.split()[:4] == ["01-one", "3", "4", "1.50"]  # 600 and 300 rows, 300 twice took 1 h
    assert re.match(r"hours of this machine's cpu: 0 of the 4 missing .* 2 by multiply-adds", told)


def test_values_no_run_could_use_are_refused_before_a_kernel_starts(capsys, tmp_path):
    for given, naming in (
        ("percentages=[1.7]", "percentages"),
        ("percentages=[0.1, 0.2, 0.1]", "percentages must hold each value once, got [0.1, 0.2"),
        ("recipe=nope", "unknown recipe 'nope'"),
        ("dataset=nosuch", "unknown data set 'nosuch'"),
        ("dataset=folder:nowhere", "there is no "),
        ("dataset=digits@5000+100", "5000 + 100 rows"),
        ("proxy=fasttext", "proxy: fasttext is for texts, the data set digits holds images"),
        ("recipe=text-b64", "recipe: text-b64 is for texts"),
        ("own_batch=1348", "own_batch must be at most 1347"),
        ("proxy=resnt8", "proxy: unknown model 'resnt8'"),
        ("panel_models=[resnet8-w8, alexnt]", "panel_models: unknown model 'alexnt'"),
        (
            "panel_models=['pretrained:vgg19_bn/0']",
            "panel_models: pretrained:vgg19_bn has no weights",
        ),
    ):
        number = {"panel_models": "03", "own_batch": "06"}.get(given.partition("=")[0], "04")
        refused(capsys, naming, ["study", "--only", number, "-p", given])
    rows = "".join(f"{i % 2},review {i}\n" for i in range(40))
    (tmp_path / "r.csv").write_text("label,text\n" + rows)
    asked = ["study", "--dry-run", "--only", "02", "-p", f"dataset=text:{tmp_path / 'r.csv'}"]
    refused(capsys, "models: vgg3-w8 is for images, the data set text:", asked)
    asked += ["-p", "models=[fasttext]", "-p", "recipe=text", "-p", "families=[vgg11-w8]"]
    refused(capsys, "families: vgg11-w8 is for images", asked)


def test_every_profile_has_the_networks_and_recipes_that_its_data_ask_for():
    from helpers import models, recipes

    for one in profiles.profiles(Folders().notebooks / "profiles.yml").values():
        for number in one.only or experiments.ALL:
            one.config(number=number).check_networks(number, Config.model_fields)
    for name in ("fasttext-b10", "vdcnn9", "resnet8", "vgg11", "sprint"):
        reads = getattr(models.build(name, 10, 1), "reads_text", False)
        assert name.startswith(config.OF_TEXTS) == bool(reads), name
    named = {name for name in recipes.RECIPES if name.startswith(config.OF_TEXTS)}
    crops = {name for name, one in recipes.RECIPES.items() if one.pad or one.crop or one.flip}
    assert named.isdisjoint({*crops, "digits"})
    assert named >= {other for one in recipes.RECIPES.values() for _, other in one.instead}


def test_needs_are_gathered_once():
    proxy = Train("digits", "resnet8", "digits", 2, 0)
    chosen = Select("digits", "entropy", 0.3, of=(proxy,))
    target = Train("digits", "resnet14", "digits", 2, 0, subset=chosen)
    assert set(overview.with_needs([target, proxy]).values()) == {proxy, chosen, target}


# --- the command's own name


@pytest.mark.slow
def test_the_command_works_where_another_helpers_lies(tmp_path):
    (tmp_path / "helpers.py").write_text("raise SystemExit('a stranger')")
    script = shutil.which("data-selection", path=str(Path(sys.executable).parent))
    if script is None:
        pytest.skip("not installed: pip install -e .")
    told = subprocess.run([script, "study", "--dry-run", "--only", "02"], cwd=tmp_path,
                          capture_output=True, text=True, timeout=60)  # fmt: skip
    assert told.returncode == 0, told.stderr
    assert "02-ranking-correlations" in told.stdout


# --- the README


def test_findings_headlines_and_counts_stand_in_the_readme(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "PROFILES", ("digits", "digits-ten"))
    readme = tmp_path / "README.md"
    readme.write_text("nothing here")
    with pytest.raises(StudyError, match="needs the lines"):
        overview.refresh_readme(Folders(tmp_path), profiles.profile("digits"))
    other = "| `other` | `svp` | 1 | 1 |\n| `other` | `digits` | 1 |\n`other`: 7 interval tests"
    old = {"findings": "stale", "headlines": "stale"}
    old["documents"] = "\n".join(
        ["| key |", *(f"| `{d}` | a title | 7 |" for d in ledger.DOCUMENTS)]
    )
    old["verdicts"] = f"| `digits` | stale |\n{other}"
    blocks = [f"<!-- {name} -->\n{text}\n<!-- /{name} -->" for name, text in old.items()]
    readme.write_text("\n".join(["above", *blocks, "below"]))
    for name in ("digits", "imagenette-small"):  # the second judges no claim
        overview.refresh_readme(Folders(tmp_path), profiles.profile(name))
    text = readme.read_text()
    assert (text.split("\n")[0], text.split("\n")[-1]) == ("above", "below")
    new = {
        name: text.split(f"<!-- {name} -->\n")[1].split(f"\n<!-- /{name} -->")[0].split("\n")
        for name in old
    }
    assert len(new["headlines"]) == 2 + sum(bool(c.headline) for c in ledger.load_ledger())
    assert len({row.count("|") for row in new["headlines"]}) == 1
    findings = [claim for claim in ledger.load_ledger() if claim.kind == "finding"]
    fates = [[one.strip() for one in row.split("|")[1:-1]] for row in new["documents"][2:]]
    assert [row[:2] for row in fates] == [[f"`{d}`", "a title"] for d in ledger.DOCUMENTS]
    assert sum(int(row[2]) for row in fates) == len(findings)
    assert all(sum(map(int, row[3:])) == int(row[2]) for row in fates)
    assert any("`digits-ten`" in row and "best of" in row for row in new["findings"])
    table = new["verdicts"]
    cells = [[one.strip(" `") for one in row.split("|")[1:-1]] for row in table if row[:3] == "| `"]
    asked = [[p, name] for p in ("digits", "digits-ten") for name in ledger.DOCUMENTS]
    others = [["other", "svp"], ["other", "digits"]]
    assert [row[:2] for row in cells] == [*asked[:5], *others, *asked[5:]]
    assert sum(int(row[2]) for row in cells[:5]) == len(findings)
    for row in [*cells[:5], *cells[7:]]:
        assert sum(map(int, row[3:-2])) == int(row[2])
    of = ["`digits`:", "`other`:", "`digits-ten`:"]
    assert [line.split()[0] for line in table[-3:]] == of
    assert int(table[-3].split()[1]) > 0  # read from the published pack


@pytest.mark.slow
def test_the_readme_says_what_the_packs_give(tmp_path):
    (tmp_path / "README.md").write_text(README)
    (tmp_path / "figures").symlink_to(ROOT / "figures")
    overview.refresh_readme(Folders(tmp_path), profiles.profile("digits"))
    assert (tmp_path / "README.md").read_text() == README


def test_commands_targets_pictures_and_links_of_the_readme_exist():
    named = set(re.findall(r"(?:python -m helpers|data-selection) (\w+)", README))
    assert named
    assert named <= set(COMMANDS)
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"(?:^|`)make (\w+)", README, re.M)) <= targets
    for path in re.findall(r"\]\(((?:figures|notebooks|data)/[^)#]+)\)", README):
        assert (ROOT / path).exists(), path


def test_the_readme_lists_every_variable():
    sources = "".join(path.read_text() for path in (ROOT / "helpers").rglob("*.py"))
    used = sorted(set(re.findall(r"STUDY_[A-Z]+", sources)))
    assert sorted(re.findall(r"^\| `(STUDY_[A-Z]+)` \|", README, re.M)) == used


# Commands of the README that a test does not run: they install, or take long.
LONG = r"make |venv|conda|amazon-small --workers|--decide|--data|study --profile digits$"


@pytest.mark.slow
def test_every_other_command_of_the_readme_runs_in_a_fresh_clone(tmp_path):
    clone, x = tmp_path / "clone", np.random.default_rng(0).random((9000, 3))
    subprocess.run(["git", "clone", "-q", ROOT, clone], check=True)
    for name, rows in (("x", x), ("u", x[:, 0]), ("g", x[:60]), ("y", np.arange(60) % 2)):
        np.save(clone / f"{name}.npy", rows)
    pd.DataFrame({"embedding": list(x)}).to_parquet(clone / "x.parquet")
    blocks = "".join(re.findall(r"```bash\n(.*?)```", README, re.S)).replace("/tmp", str(tmp_path))
    commands = [one for one in re.sub(r"\\\n *", "", blocks).splitlines() if one.strip(" #")]
    used = {name: v for name, v in os.environ.items() if name[:6] != "STUDY_"}
    used |= {"PATH": f"{Path(sys.executable).parent}:{used['PATH']}", "PYTHONPATH": str(clone)}
    for command in (one for one in commands if not re.search(LONG, one)):
        done = subprocess.run(["bash", "-c", command], cwd=clone, env=used, capture_output=True)
        assert done.returncode == 0, f"{command}\n{done.stderr.decode()[-2000:]}"
    assert (clone / "figures" / "digits+n_seeds=5+percentages=0.1,0.3").exists()
