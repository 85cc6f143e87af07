"""Every solver answers in the same words."""

import numpy as np
import pytest

from helpers.selection import exact, geda, iqp, matching, search

FIELDS = {
    *("indices", "objective", "bound", "gap", "iterations", "seconds"),
    *("status", "message", "success"),
}
RNG = np.random.default_rng(0)
FEATURES, UTILITY, NORMS = RNG.normal(size=(9, 3)), RNG.random(9), RNG.random(9)
SIMILARITY = iqp.gaussian_similarity(FEATURES)
K = 4
SOLVERS = {
    "iqp": lambda: iqp.solve(UTILITY, FEATURES, K),
    "iqp-fourier": lambda: iqp.solve(UTILITY, FEATURES, K, method="fourier"),
    "vanished": lambda: iqp.solve(UTILITY, 1e9 * FEATURES, K),
    "power": lambda: iqp.power_steps(UTILITY, SIMILARITY, np.arange(K)),
    "lp-highs": lambda: exact.solve_lp_as_written(UTILITY, SIMILARITY, K),
    "lp-cbc": lambda: exact.solve_lp_as_written(UTILITY, SIMILARITY, K, solver="cbc"),
    "milp-highs": lambda: exact.exact_milp(UTILITY, SIMILARITY, K),
    "swap": lambda: search.swap_search(UTILITY, SIMILARITY, np.arange(K)),
    "geda": lambda: geda.solve(NORMS, K),
    "geda-milp": lambda: exact.solve_milp_as_written(NORMS, K),
    "wasserstein": lambda: geda.wasserstein(NORMS, K),
    "match": lambda: matching.match(FEATURES, K),
}


@pytest.mark.parametrize("solve", SOLVERS.values(), ids=SOLVERS)
@pytest.mark.filterwarnings("ignore:the Gaussian kernel vanishes")
def test_every_solver_reports_the_same_fields(solve):
    found = solve()
    assert set(found) >= FIELDS
    assert found.indices.dtype == np.int64
    assert 1 <= len(set(found.indices.tolist())) == len(found.indices) <= K
    assert found.status in ("optimal", "local", "feasible")
    assert found.success == (found.status != "feasible")
    assert found.seconds > 0
    assert found.message
    assert (found.gap is None) == (found.bound is None)
    if found.status == "optimal":
        assert found.gap <= 1e-9
