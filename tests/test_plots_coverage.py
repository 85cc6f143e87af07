import numpy as np
import pandas as pd
import pytest

from helpers import plots
from helpers.plots.coverage import WITHIN, variant_name
from helpers.plots.palette import COLOURS

VARIANTS = ["random", "trapezoid-5", "smoothed", "limit"]


def distances():
    """Areas of three classes: random 4 times the least, the trapezoid twice or 1.5 times."""
    rows = []
    for share in (0.2, 0.6):
        for least in (0.5, 1.0, 3.0):
            times = {("random", ""): 4, ("trapezoid-5", "random"): 2, ("limit", ""): 1}
            times |= {("trapezoid-5", "spread"): 1.5, ("smoothed", "first"): 3}
            rows += [
                {"variant": name, "within": within, "share": share, "area": least * factor}
                for (name, within), factor in times.items()
            ]
    return pd.DataFrame(rows)


def test_variants_stand_at_their_ratio_to_the_least():
    fig = plots.variant_distances(distances(), VARIANTS)
    assert [ax.get_title() for ax in fig.axes] == ["20% kept", "60% kept"]
    for ax in fig.axes:
        marks = {(float(x), int(y)) for line in ax.lines for x, y in line.get_xydata() if x > 1}
        assert marks == {(4.0, 0), (2.0, 1), (1.5, 1), (3.0, 2)}
    names = [label.get_text() for label in fig.axes[0].get_yticklabels()]
    assert names == ["Random", "Trapezoid, N = 5", "Smoothed ECDF", "Exact optimum"]
    assert variant_name("random-per-quartile") == plots.label_of("random-per-quartile")


def test_crosses_lie_over_the_squares_and_no_bins_is_nobody_elses_colour():
    both = pd.concat([distances(), distances().query("within == 'random'").assign(within="first")])
    fig = plots.variant_distances(both, VARIANTS)
    drawn = [line for line in fig.axes[0].lines if len(line.get_xdata())]  # not the legend's
    crosses, squares = (
        [line.get_zorder() for line in drawn if line.get_marker() == marker] for marker in "xs"
    )
    assert min(crosses) > max(squares)
    assert WITHIN[""][0] not in COLOURS.values()


def choices():
    """Three choices with three seeds; the second is the closest."""
    rows = [
        {"name": name, "key": key, "area": area + 0.1 * seed, "gain": gain * (1 + 0.1 * seed)}
        for name, key, area, gain in (
            ("Random per class", "random-per-class", 3.0, 0.0),
            ("Evenly spaced", "evenly-spaced", 0.5, 1.0),
            ("GEDA, N = 5", "geda-random", 1.5, -1.0),
        )
        for seed in range(3)
    ]
    return pd.DataFrame(rows)


def test_the_closest_choice_stands_at_the_top():
    fig = plots.distance_and_accuracy(choices(), "Random per class", "gain over random")
    left, right = fig.axes
    names = [label.get_text() for label in left.get_yticklabels()]
    assert names == ["Evenly spaced", "GEDA, N = 5", "Random per class"]
    assert left.get_ylim()[0] > left.get_ylim()[1]
    means = [line.get_xydata()[0] for line in right.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(means, [[1.1, 0], [-1.1, 1], [0, 2]])
    assert "3 seeds" in right.get_xlabel()


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="lacks the columns share"):
        plots.variant_distances(distances().drop(columns="share"), VARIANTS)
    with pytest.raises(ValueError, match="is empty"):
        plots.variant_distances(distances().head(0), VARIANTS)
    with pytest.raises(ValueError, match="lacks the columns gain"):
        plots.distance_and_accuracy(choices().drop(columns="gain"), "Random per class", "x")
