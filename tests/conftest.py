"""Every test: one thread, no screen, a store and settings of its own."""

import os

# before NumPy and torch are imported: two cores are shared, and one thread is bit-identical
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ[name] = "1"
os.environ["MPLBACKEND"] = "Agg"

import pytest  # noqa: E402

KEPT = ("STUDY_DATA",)


def pytest_configure():
    """Forget the settings of whoever runs the tests."""
    for name in [n for n in os.environ if n.startswith("STUDY_") and n not in KEPT]:
        del os.environ[name]


@pytest.fixture(scope="session", autouse=True)
def _no_live_store(tmp_path_factory):
    """Keep fixtures of any scope out of the live store."""
    os.environ["STUDY_STORE"] = str(tmp_path_factory.mktemp("session-store"))
    os.environ["STUDY_FIGURES"] = str(tmp_path_factory.mktemp("session-figures"))


@pytest.fixture(autouse=True)
def _own_store(tmp_path, monkeypatch):
    """Give each test an empty store and a folder for figures."""
    monkeypatch.setenv("STUDY_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("STUDY_FIGURES", str(tmp_path / "figures"))


@pytest.fixture
def only_own_data(monkeypatch):
    """A test loads afresh and sees no data but its own."""
    from helpers import data

    monkeypatch.delenv("STUDY_DATA", raising=False)
    data._load.cache_clear()
    yield
    data._load.cache_clear()


@pytest.fixture(scope="session")
def real_data():
    """Folder of the real Parquet copies, looked up before tests unset the variable."""
    folder = os.environ.get("STUDY_DATA")
    for name in ("cifar10", "imdb"):
        if not folder or not os.path.isfile(f"{folder}/{name}/train.parquet"):
            pytest.skip(f"STUDY_DATA does not name a folder with {name}/train.parquet")
    return folder
