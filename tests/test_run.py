"""The runner on tiny notebooks built here: checks, order, failures, clean copies."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

from helpers import kernels, parameters, profiles, progress, run
from helpers.__main__ import main
from helpers.profiles import Folders, Profile

FIRST = "n: int = 2  # repeats\nkeep: float = 0.3\ndataset: str = 'digits'"
SECOND = "n: int = 2\nseeds: list[int] = [1, 2]\nfast: bool = False\nempty: list = []"
PROFILES = """
digits: {about: plain}
small: {scale: digits, parameters: {n: 1}, notebooks: {"02": {seeds: [5]}}}
smoke: {parameters: {n: 1}}
wrong: {parameters: {nn: 1}}
typed: {parameters: {n: one}}
"""


def write(folder, name, *sources):
    found = [v4.new_code_cell(source) for source in sources]
    found[0].metadata["tags"] = ["parameters"]
    nbformat.write(v4.new_notebook(cells=found), folder / name)


@pytest.fixture
def folders(tmp_path):
    """A repository with two notebooks; braces and a space in its path on purpose."""
    made = Folders(tmp_path / "a {repo}")
    made.notebooks.mkdir(parents=True)
    (made.notebooks / "profiles.yml").write_text(PROFILES)
    write(made.notebooks, "01-one.ipynb", FIRST, "print('n is', n)")
    write(made.notebooks, "02-two.ipynb", SECOND, "print(seeds, fast)")
    return made


def output(path):
    cells = nbformat.read(path, as_version=4).cells
    return "".join(o.text for c in cells if c.cell_type == "code" for o in c.outputs if "text" in o)


def plan(folders, **asked):
    return run.plan(run.Options(**asked), folders)


# --- parameters and profiles


def test_defaults_are_read_in_order(folders):
    found = run.parameters_of(folders.notebooks / "01-one.ipynb")
    assert list(found.items()) == [("n", 2), ("keep", 0.3), ("dataset", "digits")]


def test_profile_then_notebook_then_command_line(folders):
    what = plan(folders, profile="small", parameters={"fast": True})
    assert what.parameters == {"01": {"n": 1}, "02": {"n": 1, "seeds": [5], "fast": True}}
    assert plan(folders, profile="small", parameters={"n": 7}).parameters["01"] == {"n": 7}


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"profile": "tiny"}, "unknown profile tiny; profiles: digits, small, smoke, wrong, typed"),
        ({"profile": "wrong"}, "profile wrong: unknown parameter nn; valid: dataset, empty, fast"),
        ({"profile": "typed"}, "parameter n takes a whole number, got 'one'"),
        ({"parameters": {"sedes": [1]}}, "-p: unknown parameter sedes; valid: dataset, empty"),
        ({"parameters": {"keep": 0.1}, "only": ("2",)}, "unknown parameter keep; valid: empty"),
        ({"parameters": {"n": True}}, "parameter n takes a whole number, got True"),
        ({"parameters": {"n": 1.0}}, "parameter n takes a whole number, got 1.0"),
        ({"parameters": {"keep": "much"}}, "parameter keep takes a number, got 'much'"),
        ({"parameters": {"keep": False}}, "parameter keep takes a number, got False"),
        ({"parameters": {"fast": 1}}, "parameter fast takes true or false, got 1"),
        ({"parameters": {"dataset": 7}}, "parameter dataset takes text"),
        ({"parameters": {"dataset": None}}, "parameter dataset takes text"),
        ({"parameters": {"seeds": "3,4"}}, "a YAML list such as [1, 2] of int values, got '3,4'"),
        ({"parameters": {"seeds": [1, "a"]}}, "parameter seeds takes a YAML list"),
        ({"only": ("7",)}, "no notebook 7; notebooks: 01-one, 02-two"),
        ({"profile": "smoke", "publish": True}, "is not published"),
    ],
)
def test_what_does_not_exist_is_refused_in_one_line(folders, asked, says):
    with pytest.raises(ValueError, match=".") as caught:
        plan(folders, **asked)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_values_are_taken_as_the_parameter_means_them(folders):
    typed = {"keep": 1, "seeds": [], "empty": ["any", 1]}
    what = plan(folders, parameters=typed)
    assert what.parameters["01"]["keep"] == 1.0
    assert isinstance(what.parameters["01"]["keep"], float)
    # YAML 1.1 takes 1e-3 for text
    assert (
        plan(folders, parameters=parameters.given(["keep=1e-3"])).parameters["01"]["keep"] == 1e-3
    )


def test_command_line_values_are_yaml_and_paths_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = parameters.given(["a=[1, 2]", "b=true", "c=x=y", "d=folder:pics@10+2", "e='7'"])
    assert found == {
        "a": [1, 2],
        "b": True,
        "c": "x=y",
        "d": f"folder:{tmp_path / 'pics@10+2'}",
        "e": "7",
    }
    for bad in ("no-equals", "x=[1", "=3"):
        with pytest.raises(ValueError, match="-p"):
            parameters.given([bad])


def test_profile_block_with_an_unknown_key_is_refused(tmp_path):
    path = tmp_path / "profiles.yml"
    path.write_text("digits: {paramters: {}}")
    with pytest.raises(ValueError, match="unknown key paramters; keys: scale, about"):
        profiles.profiles(path)


def test_default_that_is_no_literal_is_refused(folders):
    write(folders.notebooks, "03-bad.ipynb", "n: int = len('x')")
    with pytest.raises(ValueError, match="03-bad.ipynb: default of parameter n"):
        plan(folders)


def test_scale_takes_lists_as_tuples():
    experiments = pytest.importorskip("helpers.experiments")
    lists = [n for n, v in vars(experiments.Scale()).items() if isinstance(v, tuple) and v]
    first = lists[0]
    value = list(getattr(experiments.Scale(), first))[:1]
    assert getattr(run.scale_for(Profile("p", parameters={first: value})), first) == tuple(value)


@pytest.mark.parametrize("only", [("2",), ("02",), ("02-two",), ("02-two.ipynb",), ("2,02",)])
def test_only_takes_numbers_and_stems(folders, only):
    assert list(plan(folders, only=only).notebooks) == ["02"]


def test_a_profile_names_the_notebooks_that_run_unless_others_are_asked_for(folders):
    profiles_of(folders, 'part: {only: ["02"], parameters: {n: 1}}')
    what = plan(folders, profile="part")
    assert list(what.notebooks) == ["02"]
    assert what.whole  # all that the profile has: the claims follow
    assert list(plan(folders, profile="part", only=("1", "2")).notebooks) == ["01", "02"]
    assert not plan(folders, profile="part", only=("2",)).whole


@pytest.mark.parametrize(
    ("only", "says"),
    [
        ('"02"', "profile part: only must be a list such as"),
        ('["02", "09"]', "profile part, only: unknown parameter 09; valid: 01, 02"),
        ('["02"], claims: svp-01', "profile part: claims must be a list such as [svp-01]"),
        (
            '["02"], parameters: {n: 1, keep: 0.1}',
            "profile part, only: 02: no notebook reads parameter keep",
        ),
    ],
)
def test_a_profile_cannot_name_what_there_is_not(folders, only, says):
    profiles_of(folders, f"part: {{only: {only}}}")
    with pytest.raises(ValueError, match=".") as caught:
        plan(folders, profile="part")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def profiles_of(folders, text):
    (folders.notebooks / "profiles.yml").write_text(text)


def test_only_must_name_a_notebook(folders):
    with pytest.raises(ValueError, match="--only names no notebook"):
        plan(folders, only=("",))


# --- what a run tells its kernels


def test_kernel_settings(folders, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STUDY_DATA", "some/data")
    what = plan(folders, device="cpu", workers=2, fresh=True, offline=True)
    found = run.environment(what, tmp_path / "p.jsonl", 12.5)
    assert found["STUDY_DATA"] == str(tmp_path / "some" / "data")
    assert found["STUDY_FIGURES"] == str(folders.figures("digits"))
    assert found["STUDY_FRESH"].startswith("12.5")
    assert (found["STUDY_DEVICE"], found["STUDY_WORKERS"]) == ("cpu", "2")
    assert found["STUDY_OFFLINE"] == "1"
    assert "STUDY_FRESH" not in run.environment(what)


# --- runs


def test_copies_are_moved_into_place_and_equal_runs_differ_in_nothing(folders, capsys):
    source = (
        "import os, sys\nprint(n, sys.executable, os.path.basename(os.getcwd()))\nimport helpers"
    )
    plot = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"
    write(folders.notebooks, "01-one.ipynb", FIRST, source, plot)
    asked = run.Options(parameters={"n": 9}, only=("1",))
    run.study(asked, folders)
    copy = folders.executed("digits") / "01-one.ipynb"
    first = copy.read_bytes()
    assert output(copy).splitlines()[0] == f"9 {sys.executable} notebooks"
    assert b"image/png" in first
    assert b"papermill" not in first
    run.study(asked, folders)
    assert copy.read_bytes() == first
    assert [p.name for p in copy.parent.iterdir()] == ["01-one.ipynb"]
    assert "[1/1] 01-one done" in capsys.readouterr().out


def test_failing_cell_stops_the_study_with_its_error_last(folders, capsys):
    write(folders.notebooks, "01-one.ipynb", FIRST, "x = 1", "raise KeyError('k is missing')")
    assert main(["study", "-p", "n=3"], folders) == 1
    said = capsys.readouterr().err.rstrip().splitlines()
    assert said[0].startswith("01-one.ipynb, cell 3 failed")
    assert said[-1] == "KeyError: 'k is missing'"
    assert "\x1b" not in "".join(said)
    kept = folders.executed("digits")
    assert [p.name for p in kept.iterdir()] == ["01-one.failed.ipynb"]


def test_a_notebook_that_lacks_results_says_so_and_keeps_the_places_of_its_figures(folders, capsys):
    early = 'plots.save(plots.empty_place("here"), "01-early")'
    asked = "from helpers import results\nfrom helpers.specs import Measure\n"
    asked += "results.compute([Measure('lp-time')])"
    late = 'fig = None\nplots.save(fig, "01-late")'
    write(
        folders.notebooks, "01-one.ipynb", FIRST, "from helpers import plots\n" + early, asked, late
    )
    assert main(["figures", "--only", "1,2"], folders) == 0
    said = capsys.readouterr().out
    assert "[1/2] 01-one 1 of 1 results are neither stored nor published" in said
    assert "[2/2] 02-two done" in said
    assert sorted(path.name for path in folders.figures("digits").iterdir()) == [
        "01-early.png", "01-late.png",
    ]  # fmt: skip
    copies = folders.executed("digits")
    assert sorted(path.name for path in copies.iterdir()) == ["01-one.ipynb", "02-two.ipynb"]
    assert "Traceback" not in (copies / "01-one.ipynb").read_text()
    assert main(["figures", "--only", "1", "--publish"], folders) == 1  # half a copy is no copy
    assert not folders.published("notebooks", "digits").exists()


def test_failed_copy_goes_when_the_notebook_passes_and_killed_kernels_are_named(folders, capsys):
    write(folders.notebooks, "01-one.ipynb", FIRST, "import os\nos.kill(os.getpid(), 9)")
    assert main(["study", "--only", "1"], folders) == 1
    said = capsys.readouterr().err.rstrip().splitlines()
    assert said[0].startswith("01-one.ipynb, cell 2 failed")
    assert said[-1] == "the kernel died (killed, or out of memory?)"
    write(folders.notebooks, "01-one.ipynb", FIRST, "print('fine')")
    assert main(["study", "--only", "1"], folders) == 0
    assert [p.name for p in folders.executed("digits").iterdir()] == ["01-one.ipynb"]


def test_publish_copies_what_ran_and_drops_stale_figures(folders):
    source = "import os\nopen(os.environ['STUDY_FIGURES'] + '/01-new.png', 'w').write('png')"
    write(folders.notebooks, "01-one.ipynb", FIRST, source)
    drawn = folders.published("figures", "digits")
    drawn.mkdir(parents=True)
    for name in ("01-stale.png", "02-other.png"):
        (drawn / name).write_text("old")
    run.study(run.Options(only=("1",), publish=True), folders)
    assert sorted(p.name for p in drawn.iterdir()) == ["01-new.png", "02-other.png"]
    copies = folders.published("notebooks", "digits")
    assert [p.name for p in copies.iterdir()] == ["01-one.ipynb"]


def test_interrupt_ends_the_kernel_and_exits_130(folders, tmp_path):
    marker = tmp_path / "pid"
    write(
        folders.notebooks,
        "01-one.ipynb",
        FIRST,
        f"import os, time\nopen({str(marker)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)",
    )
    code = (
        "import sys; from pathlib import Path; from helpers.__main__ import main;"
        "from helpers.profiles import Folders;"
        "sys.exit(main(['study', '--only', '1'], Folders(Path(sys.argv[1]))))"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(folders.root)],
        env={**os.environ, "PYTHONPATH": str(profiles.ROOT)},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        # a shell's background jobs ignore Ctrl-C, and so would their children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    end = time.monotonic() + 60
    while not (marker.exists() and marker.read_text()) and time.monotonic() < end:
        time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=20)
    assert child.returncode == 130
    assert said.rstrip().splitlines()[-1].startswith("interrupted; finished runs are stored")
    assert not list(folders.executed("digits").iterdir())
    assert not _alive(int(marker.read_text()))


def _alive(pid):
    status = Path(f"/proc/{pid}/stat")
    if status.exists():  # a killed orphan may wait as a zombie where nobody reaps
        return status.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_own_python3_kernel_wins_over_a_users(folders, tmp_path, monkeypatch):
    spec = tmp_path / "jupyter" / "kernels" / "python3"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text(
        '{"argv": ["false"], "display_name": "x", "language": "python"}'
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    run.study(run.Options(only=("2",)), folders)
    assert output(folders.executed("digits") / "02-two.ipynb") == "[1, 2] False\n"


def test_smoke_writes_to_a_temporary_folder(folders):
    what = plan(folders, profile="smoke")
    assert folders.root not in what.executed.parents
    assert folders.root not in what.figures.parents


# --- progress


def test_progress_lines_reach_the_runner_and_the_summary_is_the_same_warm(
    tmp_path, monkeypatch, capsys
):
    path = tmp_path / "p.jsonl"
    monkeypatch.setenv(progress.PROGRESS_ENV, str(path))
    with progress.report(2, "runs", stored=5) as step:
        step("resnet8 seed 0")
        state = run.last_state(path)
        step("resnet8 seed 1")
    with progress.report(0, "runs", stored=5):
        pass
    assert (state["done"], state["total"], state["run"]) == (1, 2, "resnet8 seed 0")
    assert set(state) == {"done", "total", "what", "run", "elapsed_s", "left_s"}
    assert capsys.readouterr().out == "runs: 5 results ready\n" * 2


def test_progress_says_where_it_stopped(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(progress.PROGRESS_ENV, str(tmp_path / "p.jsonl"))
    with contextlib.suppress(KeyboardInterrupt), progress.report(3, "runs") as step:
        step("a")
        raise KeyboardInterrupt
    assert capsys.readouterr().out == "runs: stopped after 1 of 3\n"


def test_progress_is_silent_in_plain_python(capsys):
    with progress.report(1, "runs") as step:
        step("a")
    assert capsys.readouterr() == ("", "")


def test_half_written_progress_line_is_skipped(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text('{"done": 1}\n{"done": 2')
    assert run.last_state(path) == {"done": 1}
    assert run.last_state(tmp_path / "absent") is None


STATE = {"done": 1, "total": 4, "what": "runs", "run": "a", "elapsed_s": 5, "left_s": 15}


def test_screen_redraws_on_a_terminal_only():
    terminal, file = io.StringIO(), io.StringIO()
    terminal.isatty = lambda: True
    for stream in (terminal, file):
        with progress.Screen(stream) as screen:
            for second in range(3):
                screen.show("[1/6] 01-one", "cell 3/9", STATE, second)
            screen.say("[1/6] 01-one done in 3 s")
    assert terminal.getvalue().count("\r\x1b[K[1/6] 01-one · runs") == 3
    assert file.getvalue().splitlines() == [
        "[1/6] 01-one · runs █████░░░░░░░░░░░░░░░ 1/4 · 5 s, 15 s left · a",
        "[1/6] 01-one done in 3 s",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "?"), (3.6, "4 s"), (187, "3:07 min"), (7500, "2:05 h")]
)
def test_duration(seconds, text):
    assert progress.duration(seconds) == text


def test_error_cells_and_widgets_leave_no_random_ids():
    cell = v4.new_code_cell("n = 1", metadata={"tags": ["injected-parameters"], "papermill": {}})
    made = v4.new_notebook(cells=[cell], metadata={"widgets": {}, "papermill": {}})
    cleaned = kernels.clean(made)
    assert cleaned.cells[0].id == "injected-parameters-0"
    assert "papermill" not in cleaned.cells[0].metadata
    assert not cleaned.metadata
