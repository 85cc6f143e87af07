"""Which rows an epoch visits, against plain twins."""

import numpy as np
import pytest
import torch

from helpers import StudyError, samplers

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


def test_fixed_visits_each_row_once_an_epoch_in_a_new_order():
    first, second = (rows_of(b) for b in drive(samplers.Fixed(ROWS), 2))
    assert sorted(first) == sorted(second) == ROWS.tolist()
    assert first.tolist() != second.tolist()


def test_fixed_repeats_with_its_generator():
    one, other, third = (rows_of(drive(samplers.Fixed(ROWS), 1, seed=s)[0]) for s in (1, 1, 2))
    assert one.tolist() == other.tolist() != third.tolist()


def test_progress_rises_to_one_and_batches_are_full_but_the_last():
    (batches,) = drive(samplers.Fixed(ROWS), 1)
    assert [len(b.rows) for b in batches] == [16] * 6 + [4]
    progress = [b.progress for b in batches]
    assert progress == sorted(progress)
    assert progress[-1] == 1.0
    assert progress[0] == 0.16


@pytest.mark.parametrize(
    "rows", [[], np.empty(0, int), np.zeros((2, 2), int), [-1, 3], [0.0, 1.0], np.ones(5, bool)]
)
def test_rows_that_are_no_row_numbers_are_refused(rows):
    with pytest.raises(StudyError, match="a sampler needs"):
        samplers.Fixed(rows)


def test_weights_travel_with_their_rows_and_have_mean_one():
    weights = np.arange(len(ROWS), dtype=float)
    (batches,) = drive(samplers.Fixed(ROWS, weights), 1)
    (bare,) = drive(samplers.Fixed(ROWS), 1)
    assert [b.rows.tolist() for b in batches] == [b.rows.tolist() for b in bare]
    assert all(b.weights is None for b in bare)
    for batch in batches:
        expected = batch.rows.numpy() / 2 / weights.mean()
        np.testing.assert_allclose(batch.weights.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(3), "of shape"),
        (-np.ones(len(ROWS)), "not negative"),
        (np.full(len(ROWS), np.nan), "finite"),
        (np.zeros(len(ROWS)), "not all be 0"),
    ],
)
def test_weights_that_cannot_weigh_are_refused(weights, message):
    with pytest.raises(StudyError, match=message):
        samplers.Fixed(ROWS, weights)


def test_switch_turns_after_its_epoch():
    easy, hard = np.arange(10), np.arange(5, 25)
    visited = [sorted(rows_of(b)) for b in drive(samplers.Switch(easy, hard, 2), 4)]
    assert visited == [easy.tolist()] * 2 + [hard.tolist()] * 2


def test_redrawn_rows_are_a_new_subset_every_epoch():
    epochs = [rows_of(b) for b in drive(samplers.Redrawn(ROWS, 0.3, seed=5), 6)]
    assert all(len(set(rows)) == len(rows) == 30 for rows in epochs)
    assert set(np.concatenate(epochs)) <= set(ROWS)
    assert len({tuple(sorted(rows)) for rows in epochs}) == 6
    assert len(set(np.concatenate(epochs))) > 60  # six draws of 30 % leave about 12 % unseen


def test_redrawn_rows_hang_on_seed_and_epoch_alone():
    one, again = samplers.Redrawn(ROWS, 0.3, seed=5), samplers.Redrawn(ROWS, 0.3, seed=5)
    expected = [one.rows_at(e).tolist() for e in range(4)]
    assert [again.rows_at(e).tolist() for e in (3, 0, 2, 1)] == [
        expected[e] for e in (3, 0, 2, 1)
    ]  # a resumed run starts at any epoch
    assert samplers.Redrawn(ROWS, 0.3, seed=6).rows_at(0).tolist() != expected[0]
    drive(again, 2, seed=9)  # nor on the generator that orders the batches
    assert again.rows_at(0).tolist() == expected[0]


def test_every_row_is_drawn_equally_often():
    sampler = samplers.Redrawn(ROWS, 0.3, seed=0)
    counts = np.bincount(np.concatenate([sampler.rows_at(e) for e in range(2000)]), minlength=N)
    assert counts[1::2].sum() == 0
    # 600 expected, standard deviation about 20: five of them
    assert np.abs(counts[::2] - 600).max() < 103


def test_a_redrawn_share_of_one_is_everything_and_a_tiny_one_is_one_row():
    assert samplers.Redrawn(ROWS, 1.0, seed=0).rows_at(3).tolist() == ROWS.tolist()
    assert len(samplers.Redrawn(ROWS, 1e-6, seed=0).rows_at(0)) == 1


@pytest.mark.parametrize("keep", [0, -0.1, 1.5, float("nan")])
def test_a_redrawn_share_outside_its_range_is_refused(keep):
    with pytest.raises(StudyError, match="keep must lie in"):
        samplers.Redrawn(ROWS, keep, seed=0)


def plain_accepted(history, theta, sigma, n_bins):
    """Count bin by bin, as `adonis` figures 3 and 4 show it."""
    mean, spread = np.mean(history), np.std(history)
    kept = [x for x in history if abs(x - mean) <= sigma * spread]
    low, width = min(kept), (max(kept) - min(kept)) / n_bins
    counts = [0] * n_bins
    for x in kept:
        counts[min(int((x - low) / width), n_bins - 1)] += 1
    return [count / len(kept) > theta for count in counts], low, width


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0, np.inf])
@pytest.mark.parametrize("theta", [0.0, 0.12, 0.3])
def test_accepted_bins_match_the_plain_twin(theta, sigma):
    history = np.random.default_rng(4).exponential(size=333)
    found = samplers.accepted_bins(history, theta, sigma, "sturges")
    expected, low, width = plain_accepted(history, theta, sigma, len(found.share))
    assert found.accepted.tolist() == expected
    assert found.share.sum() == pytest.approx(1)
    np.testing.assert_allclose(found.edges, low + width * np.arange(len(expected) + 1))


@pytest.mark.parametrize(
    ("rule", "n", "count"), [("sturges", 512, 10), ("sqrt", 512, 23), ("rice", 512, 16)]
)
def test_bin_rules(rule, n, count):
    assert samplers.n_bins(n, rule) == count


def test_equal_losses_are_one_accepted_bin():
    found = samplers.accepted_bins(np.full(40, 0.7), 0.12, 1.0, "sturges")
    assert found.accepted.sum() == 1


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


@pytest.mark.parametrize("eta", [1, 2, 3])
def test_losses_are_forwarded_every_eta_epochs(eta):
    losses = Losses(np.linspace(0, 1, N))
    drive(samplers.Adonis(samplers.Fixed(ROWS), N, eta=eta, warm_up=0), 6, losses)
    assert losses.n_asked == len(ROWS) * 6 // eta


def test_history_holds_the_latest_losses():
    losses = Losses(np.arange(N, dtype=float))
    sampler = samplers.Adonis(samplers.Fixed(ROWS), N, history=20, warm_up=0)
    drive(sampler, 2, losses)
    assert sampler.history.tolist() == losses.values[torch.cat(losses.asked)][-20:].tolist()
    logged = sampler.log()
    assert logged["histories"].shape == (2, 20)
    assert logged["events"].shape == (14, 4)


def test_theta_that_no_bin_reaches_trains_on_nothing():
    sampler = samplers.Adonis(samplers.Fixed(ROWS), N, theta=0.99, warm_up=0)
    batches = drive(sampler, 2, Losses(np.linspace(0, 1, N)))
    assert [rows_of(b).tolist() for b in batches] == [[], []]


@pytest.mark.parametrize(
    "option",
    [
        {"alpha": 0},
        {"alpha": 1.5},
        {"eta": 0},
        {"history": 1},
        {"sigma": 0},
        {"theta": -0.1},
        {"theta": 12},
        {"theta": float("nan")},
        {"bins": "scott"},
    ],
)
def test_senseless_options_are_refused_before_training(option):
    with pytest.raises(ValueError, match="ADONIS needs|bins must be"):
        samplers.Adonis(samplers.Fixed(ROWS), N, **option)


@pytest.mark.parametrize("kind", [samplers.Adonis, samplers.SelectiveBackprop])
def test_a_loss_that_is_not_finite_is_divergence(kind):
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


def test_stale_selective_backprop_forwards_half_as_much():
    losses = Losses(np.linspace(0, 1, N))
    drive(samplers.SelectiveBackprop(samplers.Fixed(ROWS), N, eta=2, warm_up=0), 4, losses)
    assert losses.n_asked == 2 * len(ROWS)


@pytest.mark.parametrize("kind", [samplers.Adonis, samplers.SelectiveBackprop])
def test_online_samplers_repeat_with_their_generator(kind):
    def chosen(seed):
        losses = Losses(np.random.default_rng(3).exponential(size=N))
        epochs = drive(kind(samplers.Fixed(ROWS), N), 4, losses, seed=seed)
        return [rows_of(b).tolist() for b in epochs]

    assert chosen(7) == chosen(7) != chosen(8)
