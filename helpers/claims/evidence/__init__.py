"""What claims judge that is no difference or ratio of two cells: one function a question.

Each takes the study's parameters and returns `verdicts.Evidence`, or a whole `Verdict` where the
rule is its own; it raises `Missing` where results are missing and `Unfit` where they cannot answer.
"""

# ruff: noqa: F401 - the ledger finds them here by name

from helpers.claims.evidence.adonis import (
    adonis_average,
    adonis_balance,
    adonis_baseline,
    adonis_flipped,
    adonis_front,
    adonis_history,
    adonis_neighbours,
    adonis_preparing,
    adonis_preprocessing,
    adonis_raised,
    adonis_shrunk,
    adonis_to_five,
    adonis_without_bin,
)
from helpers.claims.evidence.budgeted import (
    cells_won,
    greedy_slowest,
    growth,
    kernel_share,
    rival_ratio,
    selection_seconds,
)
from helpers.claims.evidence.geda import cells_led, epoch_seconds, solving_share, variant_gains
from helpers.claims.evidence.measurements import counted, measured
from helpers.claims.evidence.slides import (
    slides_cheapness,
    slides_combined,
    slides_depth,
    slides_halves,
)
from helpers.claims.evidence.svp import (
    counted_distances,
    depth_blocks,
    family_contrast,
    late_gain,
    metric_correlations,
    settled,
    settled_later,
    start_matters,
)
