"""Figures: one function a figure kind, one colour a method everywhere; nothing from the store.

Every function takes plain arrays or the tidy runs of `helpers.experiments.frame` and returns a
matplotlib Figure; `save` writes it.
"""

from helpers.plots.active import label_curves
from helpers.plots.base import colour_of, figure_path, label_of, save, style
from helpers.plots.budgets import (
    accuracy_against_budget,
    accuracy_panels,
    difference_to_random,
)
from helpers.plots.correlations import correlation_during_training, spearman_heatmaps
from helpers.plots.costs import error_against_cost
from helpers.plots.coverage import distance_and_accuracy, variant_distances
from helpers.plots.families import accuracy_by_family
from helpers.plots.gallery import gallery
from helpers.plots.labels import direct_labels, spread_labels
from helpers.plots.ladders import accuracy_by_setting, ladder, sweep
from helpers.plots.online import (
    acceptance_over_training,
    adonis_mechanism,
    share_by_difficulty,
)
from helpers.plots.paired import paired_differences
from helpers.plots.palette import COLOURS, LABELS, VERDICT_COLOURS
from helpers.plots.papers import claims_overview, ours_against_paper
from helpers.plots.places import empty_place, keep_places
from helpers.plots.pools import ecdf_panels, latent_space, toy_selection
from helpers.plots.rivals import (
    best_connected,
    gap_heatmap,
    means_by_kind,
    selection_times_beside,
)
from helpers.plots.settings import setting_beside
from helpers.plots.times import selection_time_against_budget, solver_times
from helpers.plots.training import (
    accuracy_against_seconds,
    error_against_depth,
    error_during_training,
)
from helpers.plots.worth import cheapest_front, worth_of_choosing

__all__ = [
    "COLOURS",
    "LABELS",
    "VERDICT_COLOURS",
    "acceptance_over_training",
    "accuracy_against_budget",
    "accuracy_against_seconds",
    "accuracy_by_family",
    "accuracy_by_setting",
    "accuracy_panels",
    "adonis_mechanism",
    "best_connected",
    "cheapest_front",
    "claims_overview",
    "colour_of",
    "correlation_during_training",
    "difference_to_random",
    "direct_labels",
    "distance_and_accuracy",
    "error_against_cost",
    "ecdf_panels",
    "empty_place",
    "error_against_depth",
    "error_during_training",
    "figure_path",
    "gallery",
    "gap_heatmap",
    "keep_places",
    "label_curves",
    "label_of",
    "ladder",
    "latent_space",
    "means_by_kind",
    "ours_against_paper",
    "paired_differences",
    "save",
    "setting_beside",
    "selection_time_against_budget",
    "selection_times_beside",
    "share_by_difficulty",
    "solver_times",
    "spearman_heatmaps",
    "spread_labels",
    "style",
    "sweep",
    "toy_selection",
    "variant_distances",
    "worth_of_choosing",
]
