"""The fairness dial: the same subsets for equal passes, equal steps and an equal bill."""

import pytest

from helpers import StudyError
from helpers.config import Config
from helpers.experiments import EQUAL_BILL, EQUAL_STEPS, Cell, asked, run
from helpers.models import multiply_adds

CONFIG = Config(epochs=12, budgets=(0.3, 0.5), cost_ratio=8.0, n_seeds=2,
                dial_methods=("random", "forgetting", "k-centers"))  # fmt: skip


def epochs(method, share, how, config=CONFIG):
    return run(config, Cell(method, share, epochs=how), 0).epochs


def test_equal_steps_are_the_full_sets_whoever_chooses():
    for method in ("random", "forgetting"):
        assert epochs(method, 0.5, EQUAL_STEPS) == 24
        assert epochs(method, 0.3, EQUAL_STEPS) == 40
        assert epochs(method, 0.3, 0) == 12


def test_an_equal_bill_takes_the_proxy_from_the_training():
    assert epochs("random", 0.5, EQUAL_BILL) == 24  # pays nothing
    assert epochs("forgetting", 0.5, EQUAL_BILL) == round((12 - (12 + 1 / 3) / 8) / 0.5)
    assert epochs("geda", 0.5, EQUAL_BILL) == round((12 - 1 / 8) / 0.5)  # one epoch of the proxy
    dear = CONFIG.replace(cost_ratio=0.5)  # a proxy dearer than the target leaves one epoch
    assert epochs("forgetting", 0.5, EQUAL_BILL, dear) == 1
    ratio = multiply_adds(CONFIG.target) / multiply_adds(CONFIG.proxy)
    by_work = epochs("forgetting", 0.5, EQUAL_BILL, CONFIG.replace(cost_ratio=0.0))
    assert by_work == round((12 - (12 + 1 / 3) / ratio) / 0.5)


def test_the_dial_asks_each_run_once_and_nothing_where_it_has_no_methods():
    found = asked(CONFIG, "dial")
    assert len(found) == len(set(found)) == 2 * 2 * (2 + 3 + 3)  # random pays the same twice
    assert not asked(CONFIG.replace(dial_methods=()), "dial")
    with pytest.raises(StudyError, match="no-such"):
        Config(dial_methods=("no-such",))
