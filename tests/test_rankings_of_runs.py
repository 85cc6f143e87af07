import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from helpers import rankings_of_runs as rankings
from helpers.specs import Train
from helpers.store import Result


def a_run(correct, entropy=None, recorded=None):
    """A stored run: correct (epochs, n) bool, always visited."""
    correct = np.asarray(correct, dtype=bool)
    arrays = {
        "correct": np.packbits(correct, axis=1),
        "visited": np.packbits(np.ones_like(correct), axis=1),
    }
    if entropy is not None:
        arrays |= {
            "entropy": np.array(entropy, dtype=np.float16),
            "recorded_epochs": np.array(recorded),
        }
    return Result(Train("digits", "resnet8-w8", "digits", len(correct), 0), "0" * 64, {}, arrays)


RUN = a_run([[1, 0, 0], [0, 1, 0], [1, 0, 0]], [[2, 2, 2], [0.5, 0.25, 1]], [0, 3])


def test_scores_of_a_run():
    assert rankings.entropy_of(RUN).tolist() == [0.5, 0.25, 1]
    assert rankings.entropy_of(RUN, 3).tolist() == [0.5, 0.25, 1]
    assert rankings.entropy_of(RUN, 0).tolist() == [2, 2, 2]
    assert rankings.forgetting(RUN).tolist() == [1, 1, np.inf]
    assert rankings.forgetting(RUN, 1).tolist() == [0, np.inf, np.inf]


def test_scores_that_were_not_recorded():
    with pytest.raises(ValueError, match=r"recorded \[0, 3\]"):
        rankings.entropy_of(RUN, 2)
    for epochs in (0, 4):
        with pytest.raises(ValueError, match=r"1\.\.3"):
            rankings.forgetting(RUN, epochs)
    for ask in (rankings.entropy_of, rankings.forgetting):
        with pytest.raises(ValueError, match="record_at"):
            ask(a_run([[1, 0]]))


def test_similarity_equals_scipy():
    rows = np.random.default_rng(0).integers(0, 6, (4, 50)).astype(float)
    spearman = rankings.similarity_matrix(list(rows))
    np.testing.assert_allclose(spearman, stats.spearmanr(rows.T)[0])
    np.testing.assert_allclose(rankings.similarity_matrix(rows, "pearson"), np.corrcoef(rows))
    with pytest.raises(ValueError, match="kendall"):
        rankings.similarity_matrix(rows, "kendall")


def test_infinite_scores_under_pearson():
    rows = [np.array([0, 1, np.inf]), np.array([0.0, 1, 8])]
    assert rankings.similarity_matrix(rows, "pearson", 8)[0, 1] == pytest.approx(1)
    with pytest.raises(ValueError, match="infinite"):
        rankings.similarity_matrix(rows, "pearson")


def test_rows_initial_in_either_run_are_left_out():
    first = np.array([0, 1, 2, 3, 4, 5])
    second = np.array([5, 1, 2, 3, 4, 0])  # 0 and 5 are initial in one of both
    matrix = rankings.centre_order_matrix([first, second, second[::-1]], 1)
    assert matrix[0, 1] == pytest.approx(1)
    assert matrix[1, 2] == pytest.approx(-1)
    np.testing.assert_allclose(np.diag(matrix), 1)
    with pytest.raises(ValueError, match="leaves 0 rows"):
        rankings.centre_order_matrix([first, second], 6)
    with pytest.raises(ValueError, match="every row number"):
        rankings.centre_order_matrix([first, first[:3] + 1], 1)
    with pytest.raises(ValueError, match="same rows"):
        rankings.centre_order_matrix([first, np.arange(3)], 1)


def test_block_means_leave_self_pairs_out():
    matrix = np.array([[1, 0.2, 0.4], [0.2, 1, 0.6], [0.4, 0.6, 1]])
    means = rankings.block_means(matrix, ["b", "a", "b"])
    assert means[0].tolist() == pytest.approx([0.4, 0.4])
    assert means[1, 0] == pytest.approx(0.4)
    assert np.isnan(means[1, 1])
    apart = rankings.block_means(matrix, ["b", "a", "b"], seeds=[0, 0, 1])
    assert apart[0].tolist() == pytest.approx([0.4, 0.6])
    with pytest.raises(ValueError, match="one a run"):
        rankings.block_means(matrix, ["b", "a", "b"], seeds=[0])
    with pytest.raises(ValueError, match=r"\(2, 2\)"):
        rankings.block_means(matrix, ["a", "b"])


def test_agreement_and_the_epoch_it_settles():
    up = np.arange(5.0)
    found = rankings.agreement([np.zeros(5), -up, up], [up, up**2])
    assert np.isnan(found[0])
    assert found[1:].tolist() == pytest.approx([-1, 1])
    with pytest.raises(ValueError, match="at least one"):
        rankings.agreement([up], [])
    assert rankings.settled_at([0, 1, 2, 4], [np.nan, 0.5, 0.78, 0.8]) == 2
    assert np.isnan(rankings.settled_at([0, 1], [0.5, -0.1]))
    assert np.isnan(rankings.settled_at([0, 1], [0.5, np.nan]))
    with pytest.raises(ValueError, match="shape"):
        rankings.settled_at([0, 1], [0.5])


def test_shared_choice():
    up = np.arange(1000.0)
    assert rankings.shared_choice(up, up**2, 0.3) == 1
    assert rankings.shared_choice(up, -up) == 0
    assert rankings.shared_choice(up, np.r_[up[:-1], np.inf], 1.0) == 1
    ties = rankings.shared_choice(np.zeros(1000), np.zeros(1000), 0.3)
    assert ties == pytest.approx(0.3, abs=0.08)  # chance, not row order
    for share in (0, 1.1):
        with pytest.raises(ValueError, match="share"):
            rankings.shared_choice(up, up, share)
    with pytest.raises(ValueError, match="same length"):
        rankings.shared_choice(up, up[1:])


def test_redrawing_needs_no_torch():
    code = "import sys, helpers.rankings_of_runs; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
