"""The runner on tiny notebooks built here: parameters, order, failures, clean copies, signals."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat import v4
from PIL import Image

from helpers import StudyError, profiles, progress, run, runner
from helpers.__main__ import main
from helpers.profiles import Folders

FIRST = "n: int = 2  # repeats\nkeep: float = 0.3\ndataset: str = 'digits'"
SECOND = "n: int = 2\nseeds: list[int] = [1, 2]\nfast: bool = False\nempty: list = []"
PROFILES = """
digits: {about: plain}
small: {regime: digits, parameters: {n: 1}, notebooks: {2: {seeds: [5]}}}
part: {only: [2], parameters: {n: 1}}
smoke: {parameters: {n: 1}}
wrong: {parameters: {nn: 1}}
typed: {parameters: {n: one}}
own: {notebooks: {"02": {keep: 0.1}}}
far: {notebooks: {"09": {keep: 0.1}}}
unread: {only: ["02"], parameters: {keep: 0.1}}
"""


def write(folder, name, *sources):
    found = [v4.new_code_cell(source) for source in sources]
    found[0].metadata["tags"] = ["parameters"]
    nbformat.write(v4.new_notebook(cells=found), folder / name)


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """A repository with two notebooks; braces and a space in its path on purpose."""
    monkeypatch.setattr("helpers.claims.pages.decided", lambda *_: [])  # these decide no claim
    made = Folders(tmp_path / "a {repo}")
    made.notebooks.mkdir(parents=True)
    (made.notebooks / "profiles.yml").write_text(PROFILES)
    write(made.notebooks, "01-one.ipynb", FIRST, "print('n is', n)")
    write(made.notebooks, "02-two.ipynb", SECOND, "print(seeds, fast)")
    write(made.notebooks, "07-own.ipynb", "n: int = 2", "1 / 0")  # of no study unless asked for
    return made


def output(path):
    cells = nbformat.read(path, as_version=4).cells
    return "".join(o.text for c in cells if c.cell_type == "code" for o in c.outputs if "text" in o)


def plan(folders, **asked):
    return run.plan(run.Options(**asked), folders)


def refused(naming, call, *args, **kwargs):
    """Require one clear line that names what is wrong."""
    with pytest.raises(StudyError) as caught:
        call(*args, **kwargs)
    assert naming in str(caught.value)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


# --- parameters and profiles


def test_profile_then_notebook_then_command_line(folders):
    found = profiles.declared(folders.notebooks / "01-one.ipynb")
    assert list(found.items()) == [("n", (int, 2)), ("keep", (float, 0.3)),
                                   ("dataset", (str, "digits"))]  # fmt: skip
    what = plan(folders, profile="small", parameters={"fast": True, "keep": 1})
    passed = {number: one.passed for number, one in what.settings.items()}
    assert passed == {"01": {"n": 1, "keep": 1.0}, "02": {"n": 1, "seeds": [5], "fast": True}}
    assert isinstance(passed["01"]["keep"], float)
    assert what.settings["01"].config.keep == what.config.keep == 1.0
    assert plan(folders, profile="small", parameters={"n": 7}).settings["01"].passed == {"n": 7}
    empty = {"seeds": [], "empty": ["any", 1]}
    assert plan(folders, parameters=empty).settings["02"].passed == empty


def test_what_does_not_exist_is_refused_in_one_line(folders):
    for asked, naming in (
        ({"profile": "tiny"}, "unknown profile tiny; profiles: digits, small"),
        ({"profile": "wrong"}, "unknown parameter nn; valid: dataset, empty, fast"),
        ({"profile": "typed"}, "n: input should be a valid integer, got 'one'"),
        ({"profile": "own"}, "notebook 02: unknown parameter keep"),
        ({"profile": "far"}, "unknown notebook 09"),
        ({"profile": "unread"}, "keep"),
        ({"parameters": {"keep": 0.1}, "only": ("2",)}, "unknown parameter keep; valid: empty"),
        ({"parameters": {"keep": float("nan")}}, "keep"),
        ({"only": ("7", "8")}, "no notebooks fit 8; notebooks: 01-one, 02-two, 07-own"),
        ({"only": ("",)}, "--only names no notebook"),
        ({"only": ("o",)}, "3 notebooks fit o; notebooks: 01-one, 02-two, 07-own"),
        ({"publish": True, "parameters": {"n": 3}}, "the profile's own values of n"),
        ({"out": folders.root}, "holds the clean notebooks"),
        ({"profile": "smoke", "publish": True}, "is not published"),
    ):
        refused(naming, plan, folders, **asked)
    assert list(plan(folders, only=("svp",)).notebooks) == ["01", "02"]
    wrong = {"n": (True, 1.0, "2"), "keep": ("much",), "fast": (1,), "dataset": (7,),
             "seeds": ("3,4", [1, "a"])}  # fmt: skip
    for name, values in wrong.items():
        for value in values:
            refused(name, plan, folders, parameters={name: value})


def test_command_line_values_are_yaml_and_paths_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pairs = ["a=[1, 2]", "b=true", "c=x=y", "d=folder:pics@10+2", "e='7'", "f=1e-3"]
    path = f"folder:{tmp_path / 'pics@10+2'}"
    assert profiles.given(pairs) == {
        "a": [1, 2], "b": True, "c": "x=y", "d": path, "e": "7", "f": 1e-3,
    }  # fmt: skip
    for bad in ("no-equals", "x=[1", "=3", "x=" + "[" * 3000, "x=" + "9" * 5000, "x=2020-13-45"):
        refused("-p", profiles.given, [bad])


def test_hostile_profiles_are_refused_in_one_line(tmp_path):
    path = tmp_path / "profiles.yml"
    laughs = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    laughs += [f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]" for a, b in zip("abcdefgh", "bcdefghi")]
    for text in (
        "[1, 2]", "text", "7", "digits: [1]", "digits: text", "digits: {paramters: {}}",
        "digits: {notebooks: [1]}", "digits: {notebooks: {3: [1]}}", "digits: {parameters: [1]}",
        "digits: {regime: 7}", "digits: {regime: [x]}", "digits: {about: 3}",
        "digits: {only: '02'}", "digits: {claims: svp-01}", "digits: {claims: [1]}",
        "../evil: {}", "a/b: {}", ".hidden: {}", "'': {}", "'a\nb': {}", "? [1, 2]\n: {}",
        "digits: &a {parameters: *a}", "a: &a [*a]", "digits: {parameters: {x: &b [*b, *b]}}",
        "{" * 20_000, "a: " + "[" * 20_000, "\n".join(laughs), "a: {name: b}", "a: !!python/name:x",
        "digits: {parameters: {n: " + "9" * 5000 + "}}", "a: [", "\t",
    ):  # fmt: skip
        path.write_text(text)
        with pytest.raises(StudyError) as caught:
            profiles.profiles(path)
        assert "\n" not in str(caught.value), text[:40]
        assert len(str(caught.value)) < 400


def test_default_that_is_no_literal_is_refused(folders):
    for line in ("n: int = len('x')", "n = 3", "n: thing = 3", "import os"):
        write(folders.notebooks, "03-bad.ipynb", line)
        refused("03-bad.ipynb", plan, folders)


def test_notebooks_that_run(folders):
    for only in ("2", "02", "02-two", "02-two.ipynb", "2,02", "tw", "Two,2"):
        assert list(plan(folders, only=(only,)).notebooks) == ["02"]
    assert list(plan(folders).notebooks) == ["01", "02"]
    assert list(plan(folders, only=("7",)).notebooks) == ["07"]
    assert list(plan(folders, profile="part").notebooks) == ["02"]
    assert list(plan(folders, profile="part", only=("1", "2")).notebooks) == ["01", "02"]
    smoke = plan(folders, profile="smoke")
    assert folders.root not in {*smoke.executed.parents, *smoke.figures.parents}


def test_other_parameters_write_to_a_folder_of_their_own(folders):
    def written(profile="digits", **parameters):
        return plan(folders, profile=profile, parameters=parameters).figures.name

    assert written(n=2, seeds=[1, 2]) == "digits"  # the defaults
    assert written(n=3, keep=0.1) == "digits+keep=0.1+n=3"
    assert written("small", n=1) == "small"  # what the profile sets
    assert written("small", n=2, seeds=[1, 2]) == "small+n=2+seeds=1,2"
    long = {written(seeds=[*range(40), last]) for last in (1, 2)} | {written(empty=["a/b:c d"])}
    assert sum(bool(re.fullmatch(r"digits\+[\w=,.-]{1,82}", name)) for name in long) == 3


def test_kernel_settings(folders, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STUDY_DATA", "some/data")
    what = plan(folders, device="cpu", workers=2, fresh=True, offline=True)
    found = run.environment(what)
    assert found["STUDY_DATA"] == str(tmp_path / "some" / "data")
    assert found["STUDY_FIGURES"] == str(folders.figures("digits"))
    assert (found["STUDY_DEVICE"], found["STUDY_WORKERS"]) == ("cpu", "2")
    assert found["STUDY_OFFLINE"] == "1"
    assert len(found["STUDY_FRESH"]) == 32  # one token a study, another the next time
    assert run.environment(what)["STUDY_FRESH"] == found["STUDY_FRESH"]
    assert plan(folders, fresh=True, offline=True).fresh != what.fresh
    assert "STUDY_FRESH" not in run.environment(plan(folders, offline=True))


# --- runs


def test_copies_are_moved_into_place_and_equal_runs_differ_in_nothing(
    folders, capsys, tmp_path, monkeypatch
):
    for folder in (tmp_path, folders.notebooks):
        (folder / "helpers.py").write_text("raise SystemExit('a stranger')")
    monkeypatch.chdir(tmp_path)
    spec = tmp_path / "jupyter" / "kernels" / "python3"  # a user's kernel of that name
    spec.mkdir(parents=True)
    other = {"argv": ["false"], "display_name": "x", "language": "python"}
    (spec / "kernel.json").write_text(json.dumps(other))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    source = "import os, sys, helpers\nprint(n, sys.executable, os.path.basename(os.getcwd()))"
    plot = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"
    write(folders.notebooks, "01-one.ipynb", FIRST, source, plot)
    copy = folders.executed("digits+n=9") / "01-one.ipynb"
    copy.parent.mkdir(parents=True)
    gone = subprocess.Popen(["true"])
    gone.wait()
    (copy.parent / f".running-{gone.pid}-01-one").mkdir()  # what a kill -9 left
    asked = run.Options(parameters={"n": 9}, only=("1",))
    run.study(asked, folders)
    first = copy.read_bytes()
    assert output(copy).splitlines()[0] == f"9 {sys.executable} notebooks"
    assert b"image/png" in first
    assert b"papermill" not in first
    run.study(asked, folders)
    assert copy.read_bytes() == first
    assert [p.name for p in copy.parent.iterdir()] == ["01-one.ipynb"]
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("[1/1] 01-one · cell 0/3")
    assert said[1].startswith("[1/1] 01-one done")


def test_failures_stop_the_study_with_their_error_last(folders, capsys):
    kept = folders.executed("digits+n=3")
    for source, last in (
        ("raise KeyError('k is missing')", "KeyError: 'k is missing'"),
        ("import os\nos.kill(os.getpid(), 9)", "the kernel died (killed, or out of memory?)"),
        ("raise OSError(28, 'No space left', 'a.png')", "OSError: [Errno 28] No space left: 'a."),
    ):
        write(folders.notebooks, "01-one.ipynb", FIRST, "x = 1", source)
        assert main(["study", "-p", "n=3"], folders) == 1
        said = capsys.readouterr().err.rstrip().splitlines()
        assert said[0] == "not run: 02-two"
        assert said[1].startswith("01-one.ipynb, cell 3 failed")
        assert said[-1].startswith(last)
        assert "\x1b" not in "".join(said)
        assert len(said) == 3 or "KeyError" in last
        assert [p.name for p in kept.iterdir()] == ["01-one.failed.ipynb"]
    write(folders.notebooks, "01-one.ipynb", FIRST, "print('fine')")
    assert main(["study", "--only", "1", "-p", "n=3"], folders) == 0
    assert [p.name for p in kept.iterdir()] == ["01-one.ipynb"]


def test_going_on_runs_the_others_and_ends_with_1(folders, capsys, monkeypatch):
    monkeypatch.setattr("helpers.overview.judged", lambda *_, **__: ["a row"])
    monkeypatch.setattr("helpers.overview.claims", lambda *_, **__: "the claims")
    for name in ("01-one.ipynb", "03-three.ipynb"):
        write(folders.notebooks, name, FIRST, f"raise KeyError('{name[:2]}')")
    assert main(["study", "--only", "1,2,3", "--keep-going"], folders) == 1
    printed, said = capsys.readouterr()
    assert said.index("KeyError: '01'") < said.index("KeyError: '03'")
    assert printed.endswith("the claims\n")
    kept = {p.stem for p in folders.executed("digits").iterdir()}
    assert kept == {"01-one.failed", "02-two", "03-three.failed"}


def test_with_out_and_store_elsewhere_nothing_is_written_to_the_checkout(folders, tmp_path):
    draw = "from helpers import plots\nfig = plots.empty_place('here')\n"
    draw += "import pandas as pd\nplots.save(fig, '01-x', table=pd.DataFrame({'a': [1]}))"
    write(folders.notebooks, "01-one.ipynb", FIRST, draw)
    before = sorted(folders.root.rglob("*"))
    for command in ("study", "figures"):
        out = tmp_path / command
        assert main([command, "--only", "1", "--out", str(out), "-p", "n=3"], folders) == 0
        assert {p.name for p in out.glob("*/0*")} == {"01-x.png", "01-x.csv", "01-one.ipynb"}
    assert sorted(folders.root.rglob("*")) == before
    told = r"# profile digits, other parameters: .*\n# commit .*, numpy \S+, torch .*\na\n1\n"
    assert re.fullmatch(told, (out / "figures" / "01-x.csv").read_text())


def test_a_notebook_that_lacks_results_says_so_and_keeps_the_places_of_its_figures(folders, capsys):
    early = 'from helpers import plots\nplots.save(plots.empty_place("here"), "01-early")'
    asked = "from helpers import results\nfrom helpers.specs import Measure\n"
    asked += "results.compute([Measure('lp-time', 99)])"
    late = 'fig = None\nplots.save(fig, "01-early")\nplots.save(fig, "01-late")'
    write(folders.notebooks, "01-one.ipynb", FIRST, early, asked, late.replace("early", "new"))
    figures = folders.figures("digits")
    figures.mkdir(parents=True)
    (figures / "01-new.png").write_text("of another run")
    assert main(["figures", "--only", "1,2"], folders) == 0
    said = capsys.readouterr().out
    assert "[1/2] 01-one 1 of 1 results are neither stored nor published" in said
    assert "[2/2] 02-two done" in said
    names = ["01-early.png", "01-late.png", "01-new.png"]
    assert sorted(path.name for path in figures.iterdir()) == names
    sizes = {Image.open(figures / name).size for name in names}
    assert len(sizes) == 1  # three empty places
    copies = folders.executed("digits")
    assert sorted(path.name for path in copies.iterdir()) == ["01-one.ipynb", "02-two.ipynb"]
    assert "Traceback" not in (copies / "01-one.ipynb").read_text()
    assert main(["figures", "--only", "1", "--publish"], folders) == 1  # half a copy is no copy
    assert not folders.published("notebooks", "digits").exists()


def test_publish_copies_what_changed_and_drops_stale_figures(folders):
    draw = "from helpers import plots\nfig = plots.empty_place('here')\nfig"
    write(folders.notebooks, "01-one.ipynb", FIRST, draw, 'plots.save(fig, "01-new")')
    drawn = folders.published("figures", "digits")
    drawn.mkdir(parents=True)
    for name in ("01-stale.png", "02-other.png"):
        (drawn / name).write_text("old")
    asked = run.Options(only=("1",), publish=True)
    run.study(asked, folders)
    assert sorted(p.name for p in drawn.iterdir()) == ["01-new.png", "02-other.png"]
    (copy,) = folders.published("notebooks", "digits").iterdir()
    made, before = (
        Image.open(drawn / "01-new.png"),
        Image.open(folders.figures("digits") / "01-new.png"),
    )
    assert made.mode == "P"
    apart = np.asarray(made.convert("RGB")).astype(int) - np.asarray(before.convert("RGB"))
    assert np.abs(apart).max() <= 2
    assert len(copy.read_bytes()) < len((folders.executed("digits") / copy.name).read_bytes())
    nbformat.validate(nbformat.read(copy, as_version=4))
    copy.write_text(copy.read_text().replace('"language_info"', '"language_once"'))
    picture, before = (drawn / "01-new.png").read_bytes(), copy.read_bytes()
    run.study(asked, folders)
    assert (drawn / "01-new.png").read_bytes() == picture
    assert copy.read_bytes() == before  # it shows the same
    write(folders.notebooks, "01-one.ipynb", FIRST, draw + "  # new", 'plots.save(fig, "01-new")')
    run.study(asked, folders)
    assert b"# new" in copy.read_bytes()


# --- signals and full disks

STUDY = (
    "import sys; from pathlib import Path; from helpers.__main__ import main;"
    "from helpers.profiles import Folders;"
    "sys.exit(main(['study', '--only', '1'], Folders(Path(sys.argv[1]))))"
)


def child(folders, tmp_path, before=None):
    return subprocess.Popen(
        [sys.executable, "-c", STUDY, str(folders.root)],
        env={**os.environ, "PYTHONPATH": str(profiles.ROOT), "TMPDIR": str(tmp_path / "tmp")},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        preexec_fn=before,
    )


@pytest.mark.slow
def test_signals_end_the_kernel_and_its_workers_and_leave_no_file(folders, tmp_path):
    pytest.importorskip("distributed")
    marker = tmp_path / "pids"
    source = (
        "import os, time\nfrom distributed import Client, LocalCluster\n"
        "cluster = LocalCluster(n_workers=1, dashboard_address=None)\n"
        "pids = [os.getpid(), *Client(cluster).run(os.getpid).values()]\n"
        "open(os.environ['STUDY_FIGURES'] + f'/01-x.{os.getpid()}.tmp', 'w')\n"
        f"open({str(tmp_path / 'new')!r}, 'w').write(' '.join(map(str, pids)))\n"
        f"os.replace({str(tmp_path / 'new')!r}, {str(marker)!r})\ntime.sleep(60)"
    )
    write(folders.notebooks, "01-one.ipynb", FIRST, source)
    (tmp_path / "tmp").mkdir()
    usual = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731
    # SIGHUP is caught however the tests were started: nohup ignores it
    hup = lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL)  # noqa: E731
    ignored = lambda: (signal.signal(signal.SIGINT, signal.SIG_IGN), hup())  # noqa: E731
    for sent, before, code in (
        (signal.SIGINT, usual, 130),
        (signal.SIGTERM, ignored, 143),
        (signal.SIGHUP, ignored, 129),
    ):
        running = child(folders, tmp_path, before)
        end = time.monotonic() + 120
        while not marker.exists() and time.monotonic() < end:
            time.sleep(0.1)
        running.send_signal(sent)
        running.send_signal(sent)
        _, said = running.communicate(timeout=180)
        assert running.returncode == code
        assert said.rstrip().splitlines()[-1].startswith("interrupted; finished runs are stored")
        for folder in (folders.executed("digits"), folders.figures("digits"), tmp_path / "tmp"):
            assert not list(folder.iterdir())
        pids = [int(pid) for pid in marker.read_text().split()]
        assert len(pids) == 2
        assert not any(map(_alive, pids))
        marker.unlink()


def _alive(pid):
    status = Path(f"/proc/{pid}/stat")
    if status.exists():  # a killed orphan may wait as a zombie where nobody reaps
        return status.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return runner._alive(pid)


@pytest.mark.slow
def test_a_copy_or_figure_that_cannot_be_written_is_named_in_one_line(folders, tmp_path):
    resource = pytest.importorskip("resource")
    (tmp_path / "tmp").mkdir()
    write(folders.notebooks, "01-one.ipynb", FIRST, "print('x' * 100_000)")
    limit = (50_000, resource.RLIM_INFINITY)
    ended = child(folders, tmp_path, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
    _, said = ended.communicate(timeout=120)
    assert ended.returncode == 2
    assert said.rstrip().splitlines()[-1].startswith("error: File too large: ")
    assert said.rstrip().endswith("executed/digits/01-one.ipynb")
    assert len(said.rstrip().splitlines()) == 1
    assert not list(folders.executed("digits").iterdir())
    draw = "import matplotlib.pyplot as plt\nimport numpy as np\nfrom helpers import plots\n"
    draw += "fig = plots.empty_place('')\nplt.close(fig)\n"
    draw += "fig.figimage(np.random.default_rng(0).random((280, 900)))\nplots.save(fig, '01-x')"
    write(folders.notebooks, "01-one.ipynb", FIRST, draw)
    ended = child(folders, tmp_path, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
    _, said = ended.communicate(timeout=120)
    assert ended.returncode == 1
    assert re.search(
        r"\nOSError: \[Errno \d+\] File too large: '.*figures/digits/01-x.png'\n$", said
    )
    assert not list(folders.figures("digits").iterdir())


# --- progress


def test_progress_reaches_the_runner_and_the_summary_is_the_same_warm(
    tmp_path, monkeypatch, capsys
):
    path = tmp_path / "progress"
    monkeypatch.setenv(progress.PROGRESS_ENV, str(path))
    with progress.report(2, "runs", stored=5) as step:
        step("resnet8 seed 0")
        said = path.read_text()
        step("resnet8 seed 1")
    with progress.report(0, "runs", stored=5):
        pass
    assert said.startswith("runs ████     1/2, ")
    assert "resnet8 seed 0" in said
    assert path.read_text() == ""
    with contextlib.suppress(KeyboardInterrupt), progress.report(3, "runs") as step:
        step("a")
        raise KeyboardInterrupt
    told = "runs: 5 results ready\n" * 2 + "runs: stopped after 1 of 3\n"
    assert capsys.readouterr().out == told
