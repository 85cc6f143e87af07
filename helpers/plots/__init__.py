"""Figures: one function a figure kind, one colour a method everywhere; nothing from the store.

Every function takes plain arrays or the tidy runs of `helpers.experiments.frame` and returns a
matplotlib Figure; `save` writes it. Nothing to draw, a missing column or arrays that do not fit
together raise StudyError. Figures are made of the parts in `helpers.plots.panels`.
"""

# ruff: noqa: F401

from helpers.plots.base import (
    COLOURS,
    LABELS,
    VERDICT_COLOURS,
    colour_of,
    figure_path,
    label_of,
    save,
    style,
)
from helpers.plots.budgets import (
    accuracy_against_budget,
    accuracy_panels,
    difference_to_random,
    error_by_family,
    label_curves,
    paired_differences,
)
from helpers.plots.costs import (
    cheapest_front,
    selection_time_against_budget,
    selection_times_beside,
    solver_times,
    worth_of_choosing,
)
from helpers.plots.heatmaps import gap_heatmap, means_by_kind, spearman_heatmaps
from helpers.plots.panels import direct_labels, empty_place, keep_places
from helpers.plots.papers import claims_overview, headline_intervals, ours_against_paper
from helpers.plots.planes import (
    best_connected,
    diagram,
    ecdf_panels,
    gallery,
    latent_space,
    toy_selection,
)
from helpers.plots.settings import (
    accuracy_by_setting,
    distance_and_accuracy,
    ladder,
    setting_beside,
    sweep,
    variant_distances,
)
from helpers.plots.training import (
    acceptance_over_training,
    accuracy_against_seconds,
    adonis_mechanism,
    correlation_during_training,
    error_against_depth,
    error_during_training,
    share_by_difficulty,
)
