"""Which rows an epoch visits, against plain twins."""

import itertools

import numpy as np
import pytest
import torch

from helpers import StudyError, samplers
from helpers.histograms import accepted_bins, is_accepted, n_bins
from helpers.selection import prototypes

N = 200
ROWS = np.arange(0, N, 2)


class Losses:
    """Losses that are known; counts what was asked for."""

    def __init__(self, values):
        self.values, self.asked = torch.as_tensor(values, dtype=torch.float32), []

    def __call__(self, rows):
        self.asked.append(rows.clone())
        return self.values[rows]

    @property
    def n_asked(self):
        return sum(map(len, self.asked))


def drive(sampler, epochs, losses=None, size=16, seed=0):
    """All batches, a list an epoch."""
    generator = torch.Generator().manual_seed(seed)
    return [list(sampler.batches(e, size, generator, losses)) for e in range(epochs)]


def rows_of(batches):
    return np.concatenate([b.rows.numpy() for b in batches] or [np.empty(0, int)])


def test_fixed_visits_each_row_once_an_epoch_in_the_order_of_its_generator():
    (batches,) = drive(samplers.Fixed(ROWS), 1)
    assert [len(b.rows) for b in batches] == [16] * 6 + [4]
    progress = [b.progress for b in batches]
    assert progress == sorted(progress)
    assert (progress[0], progress[-1]) == (0.16, 1.0)
    first, second = (rows_of(b) for b in drive(samplers.Fixed(ROWS), 2))
    assert sorted(first) == sorted(second) == ROWS.tolist()
    assert first.tolist() != second.tolist()
    one, other, third = (rows_of(drive(samplers.Fixed(ROWS), 1, seed=s)[0]) for s in (1, 1, 2))
    assert one.tolist() == other.tolist() != third.tolist()


def test_rows_weights_and_shares_that_mean_nothing_are_refused():
    for rows in ([], np.zeros((2, 2), int), [-1, 3], [0.0, 1.0], np.ones(5, bool)):
        with pytest.raises(StudyError, match="a sampler needs"):
            samplers.Fixed(rows)
    k = len(ROWS)
    for weights in (np.ones(3), -np.ones(k), np.full(k, np.nan), np.zeros(k)):
        with pytest.raises(StudyError, match="weights must"):
            samplers.Fixed(ROWS, weights)
    for keep in (0, -0.1, 1.5, float("nan")):
        with pytest.raises(StudyError, match="keep"):
            samplers.Redrawn(ROWS, keep, seed=0)


def test_weights_travel_with_their_rows_and_have_mean_one():
    weights = np.arange(len(ROWS), dtype=float)
    (batches,) = drive(samplers.Fixed(ROWS, weights), 1)
    (bare,) = drive(samplers.Fixed(ROWS), 1)
    assert [b.rows.tolist() for b in batches] == [b.rows.tolist() for b in bare]
    assert all(b.weights is None for b in bare)
    for batch in batches:
        expected = batch.rows.numpy() / 2 / weights.mean()
        np.testing.assert_allclose(batch.weights.numpy(), expected, rtol=1e-6)


def test_redrawn_rows_hang_on_seed_and_epoch_alone():
    one, again = samplers.Redrawn(ROWS, 0.3, seed=5), samplers.Redrawn(ROWS, 0.3, seed=5)
    expected = [one.rows_at(e).tolist() for e in range(4)]
    assert all(len(set(rows)) == len(rows) == 30 for rows in expected)
    assert len({tuple(sorted(rows)) for rows in expected}) == 4
    drive(again, 2, seed=9)  # not on the generator that orders the batches
    for epoch in (3, 0, 2, 1):  # a resumed run starts at any epoch
        assert again.rows_at(epoch).tolist() == expected[epoch]
    assert samplers.Redrawn(ROWS, 0.3, seed=6).rows_at(0).tolist() != expected[0]
    assert samplers.Redrawn(ROWS, 1.0, seed=0).rows_at(3).tolist() == ROWS.tolist()
    assert len(samplers.Redrawn(ROWS, 1e-6, seed=0).rows_at(0)) == 1


def test_every_row_is_drawn_equally_often():
    sampler = samplers.Redrawn(ROWS, 0.3, seed=0)
    counts = np.bincount(np.concatenate([sampler.rows_at(e) for e in range(2000)]), minlength=N)
    assert counts[1::2].sum() == 0
    # 600 expected, standard deviation about 20: five of them
    assert np.abs(counts[::2] - 600).max() < 103


def plain_accepted(history, theta, sigma, n_bins):
    """Count bin by bin, as `adonis` figures 3 and 4 show it."""
    mean, spread = np.mean(history), np.std(history)
    kept = [x for x in history if abs(x - mean) <= sigma * spread]
    low, width = min(kept), (max(kept) - min(kept)) / n_bins
    counts = [0] * n_bins
    for x in kept:
        counts[min(int((x - low) / width), n_bins - 1)] += 1
    return [count / len(kept) > theta for count in counts], low, width


def test_accepted_bins_match_the_plain_twin():
    history = np.random.default_rng(4).exponential(size=333)
    for sigma, theta in itertools.product((0.5, 1.0, np.inf), (0.0, 0.12, 0.3)):
        found = accepted_bins(history, theta, sigma, "sturges")
        expected, low, width = plain_accepted(history, theta, sigma, len(found.share))
        assert found.accepted.tolist() == expected
        assert found.share.sum() == pytest.approx(1)
        np.testing.assert_allclose(found.edges, low + width * np.arange(len(expected) + 1))
        slow = [
            any(
                ok and low <= loss and (loss < high or (high == found.edges[-1] and loss == high))
                for low, high, ok in zip(found.edges, found.edges[1:], found.accepted)
            )
            for loss in history
        ]
        assert is_accepted(history, found).tolist() == slow
    counts = {(n, rule): n_bins(n, rule) for n, rule in
              ((512, "sturges"), (512, "sqrt"), (512, "rice"), (1, "sturges"))}  # fmt: skip
    assert [*counts.values()] == [10, 23, 16, 1]  # as the document counts


def test_adonis_trains_only_on_rows_of_its_base_with_losses_in_accepted_bins():
    values = np.random.default_rng(0).exponential(size=N)
    sampler = samplers.Adonis(samplers.Fixed(ROWS), N, alpha=1.0, warm_up=0, history=32)
    losses = Losses(values)
    generator = torch.Generator().manual_seed(0)
    for epoch in range(3):
        for batch in samplers.Fixed(ROWS).batches(epoch, 16, generator, losses):
            chosen = sampler.choose(epoch, batch.rows, generator, losses)
            passed, low, width = plain_accepted(sampler.history, 0.12, 1.0, 6)
            ends = low + 6 * width
            inside = [
                row
                for row, x in zip(batch.rows.tolist(), values[batch.rows.numpy()], strict=True)
                if low - 1e-6 <= x <= ends + 1e-6 and passed[min(int((x - low) / width), 5)]
            ]
            on_an_edge = np.abs((values[batch.rows.numpy()] - low) / width % 1 - 0.5) > 0.4999
            assert set(chosen.tolist()) == set(inside) or on_an_edge.any()
            assert len(set(chosen.tolist())) == len(chosen)


def test_adonis_on_a_subset_stays_in_it_and_its_batches_are_full():
    losses = Losses(np.random.default_rng(1).exponential(size=N))
    sampler = samplers.Adonis(samplers.Fixed(ROWS), N, warm_up=1)
    epochs = drive(sampler, 6, losses)
    assert sorted(rows_of(epochs[0])) == ROWS.tolist()  # warm-up is plain training
    for batches in epochs[1:]:
        rows = rows_of(batches)
        assert set(rows) <= set(ROWS)
        assert len(set(rows)) == len(rows) < len(ROWS)
        assert all(len(b.rows) == 16 for b in batches[:-1])
        assert [b.progress for b in batches] == sorted(b.progress for b in batches)
    assert set(torch.cat(losses.asked).tolist()) <= set(ROWS)


def test_alpha_is_the_share_of_candidates_kept():
    sampler = samplers.Adonis(samplers.Fixed(ROWS), N, alpha=0.3, warm_up=0)
    losses = Losses(np.random.default_rng(2).exponential(size=N))
    rows = torch.as_tensor(ROWS)
    for epoch in range(4):
        chosen = sampler.choose(epoch, rows, torch.Generator().manual_seed(epoch), losses)
        _, seen, candidates, any_passed = sampler.events[-1]
        assert seen == len(rows)
        assert len(chosen) == np.ceil(0.3 * candidates)
        assert any_passed == (candidates > 0)


def test_losses_are_forwarded_every_eta_epochs():
    for eta in (1, 2, 3):
        losses = Losses(np.linspace(0, 1, N))
        drive(samplers.Adonis(samplers.Fixed(ROWS), N, eta=eta, warm_up=0), 6, losses)
        assert losses.n_asked == len(ROWS) * 6 // eta
    losses = Losses(np.linspace(0, 1, N))
    drive(samplers.SelectiveBackprop(samplers.Fixed(ROWS), N, eta=2, warm_up=0), 4, losses)
    assert losses.n_asked == 2 * len(ROWS)


def test_senseless_options_are_refused_before_training():
    options = [("alpha", 0), ("alpha", 1.5), ("eta", 0), ("history", 1), ("sigma", 0)]
    options += [("theta", -0.1), ("theta", 12), ("theta", float("nan")), ("bins", "scott")]
    for name, value in options:
        with pytest.raises(ValueError, match=name):
            samplers.Adonis(samplers.Fixed(ROWS), N, **{name: value})


def test_a_loss_that_is_not_finite_is_divergence():
    for kind in (samplers.Adonis, samplers.SelectiveBackprop):
        losses = Losses(np.full(N, np.nan))
        with pytest.raises(StudyError, match="diverged in epoch 1"):
            drive(kind(samplers.Fixed(ROWS), N, warm_up=0), 1, losses)


def test_selective_backprop_keeps_large_losses_more_often():
    values = np.linspace(0, 1, N)
    sampler = samplers.SelectiveBackprop(samplers.Fixed(np.arange(N)), N, warm_up=0)
    kept = np.bincount(
        np.concatenate([rows_of(b) for b in drive(sampler, 60, Losses(values))]), minlength=N
    )
    quarters = kept.reshape(4, -1).mean(axis=1) / 60
    # E[CDF ** 2] over the quarters of a uniform distribution: (b ** 3 - a ** 3) / 3 * 4
    expected = np.diff(np.linspace(0, 1, 5) ** 3) / 3 * 4
    np.testing.assert_allclose(quarters, expected, atol=0.05)


def test_online_samplers_repeat_with_their_generator():
    def chosen(kind, seed):
        losses = Losses(np.random.default_rng(3).exponential(size=N))
        epochs = drive(kind(samplers.Fixed(ROWS), N), 4, losses, seed=seed)
        return [rows_of(b).tolist() for b in epochs]

    for kind in (samplers.Adonis, samplers.SelectiveBackprop):
        assert chosen(kind, 7) == chosen(kind, 7) != chosen(kind, 8)


def setting(features=None):
    labels = np.arange(N) % 4
    return samplers.Setting(ROWS, labels, 10, 3, lambda: features)


def test_samplers_are_built_by_name():
    features = np.random.default_rng(0).normal(size=(N, 5)).astype(np.float32)
    kinds = {"ids": "Switch", "adonis": "Adonis", "ids+adonis": "Adonis",
             "selective-backprop": "SelectiveBackprop"}  # fmt: skip
    for name, kind in kinds.items():
        assert type(samplers.build(name, setting(features))).__name__ == kind
    assert samplers.build("repeated-random", setting(), keep=0.5).seed == 3
    ids = samplers.build("ids", setting(features))
    for epoch, mode in ((0, "easy"), (8, "easy"), (9, "hard")):
        expected = prototypes.ids(features, np.arange(N) % 4, 0.8, mode)
        assert np.array_equal(ids.rows_at(epoch), expected)
    both = samplers.build("ids+adonis", setting(features), keep=0.5, switch=0.2, theta=0.3)
    assert (both.base.switch_at, both.theta, len(both.loss)) == (2, 0.3, N)
    with pytest.raises(StudyError, match="unknown sampler 'sgd'.*adonis"):
        samplers.build("sgd", setting())


def test_a_new_sampler_needs_its_rows_alone():
    class Half(samplers.Sampler):
        def rows_at(self, epoch):
            return torch.arange(epoch % 2, N, 2)

    visited = [sorted(rows_of(b)) for b in drive(Half(), 2)]
    assert visited == [list(range(0, N, 2)), list(range(1, N, 2))]
    assert (Half().log(), Half().state_dict()) == ({}, {})


def test_reselected_chooses_at_its_epochs_alone_and_starts_as_told():
    rng = np.random.default_rng(0)
    labels, asked = np.arange(N) % 4, []

    def scored(rows):
        asked.append(len(rows))
        return rng.normal(size=(len(rows), 4)), rng.normal(size=(len(rows), 6))

    def visited(start):
        sampler = samplers.Reselected(ROWS, labels, 0.2, 2, seed=0, start=start)
        found = []
        for epoch in range(4):
            sampler.begin(epoch, scored)
            found.append((sampler.rows_at(epoch).tolist(), sampler.weights))
        return sampler, found

    for start, calls in (("", 2), ("geda", 2), ("full", 1)):
        asked.clear()
        sampler, found = visited(start)
        assert asked == [len(ROWS)] * calls
        sizes = [len(rows) for rows, _ in found]
        assert found[0][0] == found[1][0] != found[2][0] == found[3][0]
        assert set(found[2][0]) <= set(ROWS.tolist())
        assert sizes[0] == {"": 20, "geda": 20, "full": len(ROWS)}[start]
        assert sizes[2] <= 20
        assert (found[0][1] is None) == bool(start)
        assert float(found[2][1].mean()) == pytest.approx(1)
        twin = samplers.Reselected(ROWS, labels, 0.2, 2, seed=0, start=start)
        twin.load_state_dict(sampler.state_dict())
        assert twin.rows_at(4).tolist() == sampler.rows_at(4).tolist()


def test_reselected_refuses_what_means_nothing():
    for wrong in ({"keep": 0}, {"every": 0}, {"start": "warm"}):
        with pytest.raises(StudyError, match="grad-match needs"):
            samplers.Reselected(
                ROWS, np.arange(N) % 4, **{"keep": 0.2, "every": 2, "seed": 0} | wrong
            )
