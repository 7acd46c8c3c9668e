"""Objectives and bounds on activity: by hand, against finite differences, and what they refuse."""

import doctest
import math

import pytest
import torch
from torch.nn import functional

import seamount as sm
from seamount.errors import DataError
from seamount_models import losses
from seamount_models.losses import activity, timing


def spikes(*shape: int, rate: float = 0.4, seed: int = 0) -> torch.Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < rate).double()


def potentials(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


Y = torch.tensor([2, 0, 1, 2])


# by hand ----------------------------------------------------------------------------------------------------------


def test_count_mse_by_hand():
    s = torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]], [[0.0, 1.0]], [[1.0, 0.0]]])
    assert losses.count_mse(s, torch.tensor([0])).item() == pytest.approx((0.25**2 + 0.25**2) / 2)
    assert losses.count_mse(s, torch.tensor([1]), right=0.5, wrong=0.1).item() == pytest.approx((0.65**2 + 0.25**2) / 2)


def test_max_membrane_by_hand():
    v = potentials(5, 4, 3)
    top = v.max(0).values
    expected = sum(-top[b].log_softmax(0)[y] for b, y in enumerate(Y)) / 4
    assert losses.max_membrane_cross_entropy(v, Y).item() == pytest.approx(float(expected))
    wanted = 0.2 + 1.3 * functional.one_hot(Y, 3)
    assert losses.max_membrane_mse(v, Y, right=1.5, wrong=0.2).item() == pytest.approx(
        ((top - wanted) ** 2).mean().item()
    )


def test_membrane_of_each_step_by_hand():
    v = potentials(5, 4, 3)
    y = torch.full((5, 4), -1)
    y[1, 2], y[4, 0] = 2, 1
    expected = -(v[1, 2].log_softmax(0)[2] + v[4, 0].log_softmax(0)[1]) / 2
    assert losses.membrane_cross_entropy(v, y).item() == pytest.approx(expected.item())
    shared = torch.stack([v[1, 2], v[4, 0]]).log_softmax(1).mean()
    assert losses.membrane_cross_entropy(v, y, smoothing=0.3).item() == pytest.approx(
        (0.7 * expected - 0.3 * shared).item()
    )
    e, f = v[1, 2] - torch.tensor([0, 0, 1]), v[4, 0] - torch.tensor([0, 1, 0])
    assert losses.membrane_mse(v, y).item() == pytest.approx(((e**2).sum() + (f**2).sum()).item() / 6)


@pytest.mark.parametrize("loss", [losses.membrane_cross_entropy, losses.membrane_mse])
def test_one_label_stands_for_all_steps_and_steps_without_one_count_for_nothing(loss):
    v = potentials(5, 4, 3).requires_grad_()
    assert loss(v, Y) == loss(v, Y.expand(5, 4))
    y = Y.repeat(5, 1)
    y[3:] = -1
    assert loss(v, y).item() == pytest.approx(loss(v[:3], Y).item())
    (gradient,) = torch.autograd.grad(loss(v, y), v)
    assert gradient[:3].all()
    assert not gradient[3:].any()
    none = loss(v, torch.full((5, 4), -1))
    assert none.item() == 0
    assert not torch.autograd.grad(none, v)[0].any()


def test_first_spike_times():
    s = spikes(9, 40, 5, rate=0.2)
    for b in range(40):
        for c in range(5):
            fired = s[:, b, c].nonzero()
            assert timing.first_spike_times(s)[b, c] == (fired[0, 0] if len(fired) else 9)


@pytest.mark.parametrize("rate", [0.0, 0.15, 0.6, 1.0])
def test_gradient_of_a_first_spike_time_is_what_a_flipped_spike_changes(rate):
    s = spikes(7, 30, rate=rate, seed=3).requires_grad_()
    (gradient,) = torch.autograd.grad(timing.first_spike_times(s).sum(), s)
    assert torch.isfinite(gradient).all()
    with torch.no_grad():
        for k in range(7):
            with_spike, without = s.clone(), s.clone()
            with_spike[k], without[k] = 1, 0
            change = timing.first_spike_times(with_spike) - timing.first_spike_times(without)
            assert torch.equal(gradient[k], change)


def test_spike_time_losses_by_hand():
    s = torch.zeros(8, 2, 3, dtype=torch.float64)
    s[2, 0, 0] = s[5, 0, 1] = s[6, 0, 0] = 1  # first times 2, 5, 8
    s[4, 1, 2] = 1  # 8, 8, 4
    y = torch.tensor([1, 2])
    t = torch.tensor([[2.0, 5, 8], [8, 8, 4]], dtype=torch.float64)
    expected = -((-t / 2).log_softmax(1)[[0, 1], y]).mean()
    assert losses.spike_time_cross_entropy(s, y, tau=2).item() == pytest.approx(expected.item())
    wanted = torch.tensor([[8.0, 0, 8], [8, 8, 0]])
    assert losses.spike_time_mse(s, y).item() == pytest.approx((((t - wanted) / 8) ** 2).mean().item())
    wanted = torch.tensor([[7.0, 1, 7], [7, 7, 1]])
    assert losses.spike_time_mse(s, y, right=1, wrong=7).item() == pytest.approx(
        (((t - wanted) / 8) ** 2).mean().item()
    )
    # margin 4: neuron 0 fired 3 before the right one and lacks 7; neuron 2 came 3 after and lacks 1; second sample: 0
    assert losses.spike_time_relative_mse(s, y, margin=4).item() == pytest.approx((7**2 + 1**2) / 64 / 6)


def test_a_silent_neuron_learns_to_fire():
    """Nothing fires, yet the gradient reaches the weights of the right neuron, and raises them."""
    lif, weight = sm.nn.LIF(0.9), torch.full((4, 3), 0.01, requires_grad=True)
    x = torch.ones(6, 1, 3)
    out = lif(x @ weight.T)
    assert not out.any()
    losses.spike_time_mse(out, torch.tensor([1])).backward()
    assert weight.grad is not None
    assert (weight.grad[1] < 0).all()
    assert not weight.grad[[0, 2, 3]].any()


# gradients --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in losses.LOSSES if not name.startswith("spike_time")])
def test_gradients_are_those_of_finite_differences(name):
    v = potentials(5, 4, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda output: losses.LOSSES[name](output, Y), v)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_a_loss_is_lowest_for_the_right_answer(name):
    """For each loss an output that is right costs less than one that is wrong."""
    right = torch.zeros(6, 4, 3)
    right[:, range(4), Y] = 1
    wrong = right.roll(1, -1)
    assert losses.LOSSES[name](right, Y) < losses.LOSSES[name](wrong, Y)
    answer = losses.decoder(losses.LOSSES[name])
    assert torch.equal(answer(right), Y)
    assert not (answer(wrong) == Y).any()


# what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", losses.LOSSES)
def test_labels_that_do_not_fit_are_refused_by_every_loss(name):
    loss, output = losses.LOSSES[name], torch.zeros(5, 4, 3)
    with pytest.raises(DataError, match=rf"{name}: label 3 is outside 0\.\.2\."):
        loss(output, torch.tensor([0, 3, 1, 1]))
    with pytest.raises(DataError, match=rf"{name}: label -1 is outside 0\.\.2\."):
        loss(output, torch.tensor([0, -1, 1, 1]))
    with pytest.raises(DataError, match=rf"{name}: labels are torch.float32 \(needed torch.int64\)"):
        loss(output, torch.zeros(4))
    with pytest.raises(DataError, match=rf"{name}: output has shape \[4, 5, 3\] and labels \[4\].*time comes first"):
        loss(output.transpose(0, 1), Y)
    with pytest.raises(DataError, match=rf"{name}: output has shape \[4, 3\]"):
        loss(output[0], Y)


@pytest.mark.parametrize("name", [n for n in losses.LOSSES if not n.startswith("membrane")])
def test_labels_of_each_step_are_refused_where_they_mean_nothing(name):
    with pytest.raises(DataError, match=r"labels \[5, 4\].*labels of each step need a loss of each step"):
        losses.LOSSES[name](torch.zeros(5, 4, 3), torch.zeros(5, 4, dtype=torch.int64))


@pytest.mark.parametrize("loss", [losses.membrane_cross_entropy, losses.membrane_mse])
def test_labels_of_each_step_out_of_range(loss):
    y = torch.zeros(5, 4, dtype=torch.int64)
    y[2, 1] = -2
    with pytest.raises(DataError, match=r"label -2 is outside 0\.\.2, or -1 for none"):
        loss(torch.zeros(5, 4, 3), y)


def test_spike_times_of_a_readout_are_refused():
    with pytest.raises(DataError, match=r"the output holds 0\.5 \(allowed 0 or 1\)\. Hint: spike times need a spiking"):
        losses.spike_time_mse(torch.full((5, 4, 3), 0.5), Y)


def test_losses_by_name():
    assert losses.find("count_mse") is losses.count_mse
    assert losses.find(math.sqrt) is math.sqrt  # type: ignore[arg-type]
    own = losses.find({"name": "spike_time_mse", "right": 2})
    assert losses.decoder(own) is losses.decoder(losses.spike_time_mse)
    s = spikes(6, 4, 3)
    assert own(s, Y) == losses.spike_time_mse(s, Y, right=2)
    with pytest.raises(DataError, match=r"loss 'hinge' is unknown\. Allowed: count_cross_entropy, count_mse, max_"):
        losses.find("hinge")
    with pytest.raises(DataError, match=r"loss count_mse: has no setting 'rigth'\. Allowed: right, wrong\."):
        losses.find({"name": "count_mse", "rigth": 1})
    with pytest.raises(DataError, match=r"loss count_cross_entropy: has no setting 'right'\. Allowed: none\."):
        losses.find({"name": "count_cross_entropy", "right": 1})


# activity ---------------------------------------------------------------------------------------------------------


def test_bounds_by_hand():
    a, b = torch.zeros(4, 1, 2), torch.ones(4, 1, 3)
    a[0, 0, 1] = 1
    both = {"a": a, "b": b}
    per_neuron = losses.ActivityBounds(lower=0.1, upper=0.2)
    assert per_neuron(both).item() == pytest.approx((0.1**2 + 0.05**2) / 2 + 0.8**2)
    per_population = losses.ActivityBounds(lower=0.1, upper=0.2, per="population", strength=3)
    assert per_population(both).item() == pytest.approx(3 * 0.8**2)
    assert losses.ActivityBounds(upper=0.2, populations=["a"])(both).item() == pytest.approx(0.05**2 / 2)


@pytest.mark.parametrize("per", activity.SCOPES)
def test_gradients_of_bounds(per):
    s = torch.rand(3, 2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    bounds = losses.ActivityBounds(lower=0.498, upper=0.499, per=per, strength=5)
    assert bounds({"a": s}) > 0
    assert torch.autograd.gradcheck(lambda x: bounds({"a": x}), s)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lower": 0.5, "upper": 0.1}, r"lower = 0\.5, upper = 0\.1 \(allowed 0 <= lower <= upper <= 1\)"),
        ({"upper": 2.0}, r"upper = 2 \(allowed"),
        ({"per": "layer"}, r"per = 'layer' is unknown\. Allowed: neuron, population"),
        ({"strength": -1.0}, r"strength = -1 \(allowed 0 or more\)"),
    ],
)
def test_bounds_that_cannot_be(options, message):
    with pytest.raises(DataError, match=message):
        losses.ActivityBounds(**options)


def test_bounds_of_a_population_that_is_not_there():
    with pytest.raises(DataError, match=r"activity: lif7 is no spiking population\. There are: a\."):
        losses.ActivityBounds(populations=["lif7"])({"a": torch.zeros(1, 1, 1)})


@pytest.mark.parametrize("module", [losses, timing])
def test_examples_run(module):
    result = doctest.testmod(module)
    assert result.failed == 0
    assert result.attempted > 0
