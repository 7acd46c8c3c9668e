"""Losses, networks, training and recipes."""

import dataclasses
import doctest
import math
from typing import Any

import pytest
import torch
from torch import nn

import seamount as sm
from seamount.errors import DataError, SeamountError, TrainingError
from seamount_models import coding, datasets, losses, networks, recipes, training
from seamount_models.networks import convolutional, dense, initial, recurrence


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits", steps=4)


@pytest.fixture
def few(digits):
    """Enough samples to learn from, few enough to be quick."""
    part = dataclasses.replace(digits.train, x=digits.train.x[:320], y=digits.train.y[:320])
    return dataclasses.replace(digits, train=part)


def mlp(*arguments, **options) -> Any:
    """`networks.mlp`, whose children pyright cannot know."""
    return networks.mlp(*arguments, **options)


def small(seed=0) -> Any:
    return mlp((64, 32, 10), sm.nn.LIF(beta=0.9), seed=seed)


# losses -----------------------------------------------------------------------------------------------------------


def test_count_cross_entropy_by_hand():
    s = torch.zeros(4, 1, 3)
    s[:, 0, 1] = 1
    s[:2, 0, 0] = 1
    got = losses.count_cross_entropy(s, torch.tensor([1]))
    assert got.item() == pytest.approx(math.log(math.exp(2) + math.exp(4) + 1) - 4, rel=1e-6)


def test_count_cross_entropy_does_not_depend_on_the_number_of_steps():
    s = (torch.rand(5, 3, 4, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    y = torch.tensor([0, 3, 1])
    assert losses.count_cross_entropy(s.repeat(3, 1, 1), y).item() == pytest.approx(
        losses.count_cross_entropy(s, y).item()
    )


@pytest.mark.parametrize(
    ("output", "labels", "message"),
    [
        ((4, 2, 3), [0, 3], r"label 3 is outside 0..2"),
        ((4, 2, 3), [-1, 0], r"label -1 is outside 0..2"),
        ((2, 3), [0, 1], r"output has shape \[2, 3\] and labels \[2\] \(needed \[T, B, C\] and \[B\]\)"),
        ((2, 4, 3), [0, 1], r"output has shape \[2, 4, 3\] and labels \[2\].*time comes first"),
    ],
)
def test_count_cross_entropy_refuses(output, labels, message):
    with pytest.raises(DataError, match=message):
        losses.count_cross_entropy(torch.zeros(output), torch.tensor(labels))


# networks ---------------------------------------------------------------------------------------------------------


def test_mlp_names_and_shapes():
    net = mlp((6, 5, 4, 3), sm.nn.CubaLIF(0.5, 0.9), readout=sm.nn.LI(0.9))
    assert [n for n, _ in net.named_children()] == ["fc1", "lif1", "fc2", "lif2", "readout", "out"]
    assert isinstance(net.out, sm.nn.LI)
    assert net.lif1 is not net.lif2
    assert net.fc1.bias is None
    assert net(torch.ones(7, 2, 6)).shape == (7, 2, 3)


def test_mlp_bias_starts_at_zero():
    assert not mlp((6, 5), sm.nn.LIF(0.9), bias=True).readout.bias.any()


def test_mlp_seed_fixes_the_weights_and_leaves_torch_alone():
    before = torch.get_rng_state()
    a, b, c = small(1), small(1), small(2)
    assert torch.equal(a.fc1.weight, b.fc1.weight)
    assert not torch.equal(a.fc1.weight, c.fc1.weight)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("neuron", [sm.nn.LIF(0.9, vth=2.0), sm.nn.CubaLIF(0.5, 0.8)], ids=["lif", "cuba"])
def test_initial_fluctuation_is_one_threshold(neuron):
    """sd(v) = vth at 0.2 spikes per step, measured without threshold."""
    net = mlp((400, 500), neuron, readout=neuron, seed=0)
    free = sm.nn.LI(float(neuron.beta), float(neuron.alpha))
    s = (torch.rand(80, 8, 400, generator=torch.Generator().manual_seed(0)) < initial.INPUT_RATE).float()
    # Around its mean over time: the constant part of the input is not fluctuation.
    v = free(net.readout(s - initial.INPUT_RATE))[40:]
    expected = float(neuron.vth) * (1 - initial.INPUT_RATE) ** 0.5
    assert v.std().item() == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("sizes", [(5,), (5, 0, 2)])
def test_mlp_refuses(sizes):
    with pytest.raises(SeamountError, match=r"mlp: sizes = \(5"):
        mlp(sizes, sm.nn.LIF(0.9))


# training ---------------------------------------------------------------------------------------------------------


def test_fit_learns_and_reports(few, digits):
    net = small()
    before = training.evaluate(net, digits.test).accuracy
    history = training.fit(net, few, epochs=25, lr=0.01, threads=1, progress=False)
    assert len(history.loss) == len(history.accuracy) == 25
    assert history.loss[-1] < history.loss[0]
    assert history.accuracy[-1] > 0.8
    assert training.evaluate(net, digits.test).accuracy > max(before, 0.75)


def test_fit_is_the_same_for_the_same_seed(few):
    class Dropped(nn.Sequential):
        def forward(self, x):
            return super().forward(nn.functional.dropout(x, 0.1, self.training))

    def run(seed):
        net: Any = Dropped(small())
        return training.fit(net, few, epochs=2, seed=seed, threads=1, progress=False), net[0].fc1.weight

    torch.manual_seed(4)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    (a, w), (b, v), (_, u) = run(0), run(0), run(1)
    assert a == b
    assert torch.equal(w, v)
    assert not torch.equal(w, u)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_fit_codes_anew_in_each_epoch(few):
    """Weights that never move meet other spikes in the second epoch."""
    history = training.fit(small(), few, epochs=2, lr=0.0, threads=1, progress=False)
    assert history.loss[0] != history.loss[1]


def test_fit_names_epoch_and_step_of_a_loss_that_is_not_finite(few):
    calls = []

    def loss(output, labels):
        calls.append(0)
        return losses.count_cross_entropy(output, labels) * (float("nan") if len(calls) == 13 else 1)

    with pytest.raises(TrainingError, match=r"digits: the loss is nan in epoch 2, step 3\. Hint: a smaller lr"):
        training.fit(small(), few, epochs=2, loss=loss, threads=1, progress=False)


def test_fit_refuses(few):
    with pytest.raises(DataError, match="0 epochs of 320 samples leave nothing to do"):
        training.fit(small(), few, epochs=0)
    with pytest.raises(DataError, match=r"label [5-9] is outside 0\.\.4"):
        training.fit(mlp((64, 5), sm.nn.LIF(0.9)), few, epochs=1, progress=False)


def test_fit_shows_its_progress(few, capsys):
    training.fit(small(), few, epochs=1, threads=1, progress=False)
    assert capsys.readouterr().out == ""


def test_evaluate_does_not_depend_on_the_batch(digits):
    net = small()
    whole, parts = training.evaluate(net, digits.test), training.evaluate(net, digits.test, batch_size=7)
    assert whole.accuracy == parts.accuracy
    assert whole.rates == pytest.approx(parts.rates)
    assert training.evaluate(net, digits.test, seed=1).rates != whole.rates


def test_evaluate_by_hand(digits):
    net = small()
    out = net(digits.test.spikes().float())
    got = training.evaluate(net, digits.test)
    assert got.accuracy == (out.sum(0).argmax(-1) == digits.test.y).double().mean().item()
    assert set(got.rates) == {"lif1", "out"}
    assert got.rates["out"] == pytest.approx(out.mean().item())


def test_evaluate_leaves_the_mode_alone(digits):
    net = small().train()
    training.evaluate(net, digits.test)
    assert net.training


def test_evaluate_refuses_an_empty_split(digits):
    empty = dataclasses.replace(digits.test, x=digits.test.x[:0], y=digits.test.y[:0])
    with pytest.raises(DataError, match=r"digits\.test: is empty"):
        training.evaluate(small(), empty)


# recipes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", recipes.names())
def test_recipes_fit_their_data(name):
    recipe = recipes.load(name)
    try:
        net, data = recipes.build(recipe)
    except DataError as error:
        if "no such file" not in str(error):
            raise
        pytest.skip(f"its data is not there: {error}")
    assert net(data.test.spikes(range(2)).float()).shape == (data.test.steps, 2, data.classes)
    assert recipe.fine_tuning["lr"] <= recipe.training["lr"]


def shortened(tmp_path, **sections):
    text = {
        "data": 'name = "digits"\nsteps = 4',
        "network": "sizes = [64, 16, 10]\nseed = 0",
        "neuron": 'model = "CubaLIF"\nalpha = 0.5\nbeta = 0.9\nreset = "zero"\nslope = 10',
        "training": "epochs = 3\nlr = 0.02\nthreads = 1",
        **sections,
    }
    path = tmp_path / "own.toml"
    path.write_text("\n".join(f"[{name}]\n{body}" for name, body in text.items() if body is not None))
    return str(path)


def test_train_and_fine_tune_an_own_recipe(tmp_path):
    recipe = recipes.load(shortened(tmp_path, fine_tuning="epochs = 1\nlr = 0.001\nthreads = 1"))
    net, data, history = recipes.train(recipe, progress=False)
    assert recipe.name == "own"
    assert isinstance(net.lif1, sm.nn.CubaLIF)
    assert net.lif1.reset == "zero"
    assert net.lif1.surrogate == sm.nn.FastSigmoid(10)
    assert history.accuracy[-1] > 0.5
    assert len(recipes.fine_tune(recipe, net, data, progress=False).loss) == 1


def test_a_recipe_with_all_settings(tmp_path):
    recipe = recipes.load(
        shortened(
            tmp_path,
            readout='model = "LI"\nbeta = 0.9',
            training="""
                epochs = 4
                threads = 1
                loss = { name = "membrane_mse", right = 0.5 }
                activity = [{ lower = 0.05, populations = ["lif1"] }, { upper = 0.5, per = "population" }]
                validation = 0.2
                patience = 3
                clip = 1.0
                chunk = 2
                dtype = "bfloat16"
            """,
        )
    )
    net, _, history = recipes.train(recipe, progress=False, checkpoint=tmp_path / "run.pt")
    assert isinstance(net.out, sm.nn.LI)
    assert history.best is not None
    assert (tmp_path / "run.pt").exists()


def test_a_recipe_says_how_many_scales_its_weights_have(tmp_path):
    one, each = (recipes.load(shortened(tmp_path, quantization=f"per_channel = {x}")) for x in ("false", "true"))
    net, data = recipes.build(one)
    scales = []
    for recipe, changed in ((one, {}), (each, {}), (one, {"per_channel": True})):
        fc1: Any = recipes.quantize(recipe, net, data, weight_bits=4, **changed).get_submodule("fc1")
        scales.append(fc1.quant_weight().scale.numel())
    assert scales == [1, 16, 16]


def test_two_time_constants_are_a_range(tmp_path):
    recipe = recipes.load(shortened(tmp_path, neuron='model = "CubaLIF"\ntau_u = [2, 20]\ntau_v = [3, 200]\n'))
    lif: Any = recipes.build(recipe)[0].lif1
    for retention, low, high in ((lif.alpha, 2, 20), (lif.beta, 3, 200)):
        tau = (-1 / retention.log()).sort().values
        assert tau.shape == (16,)
        torch.testing.assert_close(tau[[0, -1]], torch.tensor([float(low), float(high)]), rtol=1e-4, atol=0)
        torch.testing.assert_close(tau[1:] / tau[:-1], (tau[1] / tau[0]).expand(15), rtol=1e-3, atol=0)
    assert not torch.equal(lif.alpha.argsort(), lif.beta.argsort())


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"neuron": 'model = "CubaLIF"\ntau_u = 2\ntau_v = [9, 3]'}, r"neuron CubaLIF: spread: from 9 to 3"),
        ({"neuron": 'model = "LIF"\ntau = [3, 9, 27]'}, r"neuron LIF: spread\(\) got multiple values for"),
        ({"training": None}, r"own.toml: section \[training\] is missing"),
        ({"training": "lr = 1"}, r"own.toml: \[training\] needs epochs"),
        ({"traning": "epochs = 1"}, r"own.toml: section \[traning\] is unknown"),
        ({"training": "epochs = 1\nepoch = 2"}, r"own.toml: \[training\] has no setting 'epoch'"),
        ({"neuron": 'model = "GIF"'}, r"own.toml: neuron model 'GIF' is unknown. Allowed: ALIF, IF, LI, LIF, CubaLIF"),
        ({"neuron": 'model = "LIF"\ntua = 2'}, r"own.toml: \[neuron\] has no setting 'tua'"),
        ({"neuron": 'model = "LIF"\nalpha = 0.5\nbeta = 0.9'}, r"neuron LIF: .*multiple values for argument 'alpha'"),
        ({"neuron": 'model = "LIF"\nbeta = 1.5'}, r"neuron LIF: .*beta"),
        ({"readout": "beta = 0.9"}, r"own.toml: \[readout\] needs model"),
        ({"training": 'epochs = 1\nloss = "hinge"'}, r"own.toml: \[training\] loss 'hinge' is unknown"),
        (
            {"training": 'epochs = 1\nloss = { name = "count_mse", rigth = 1 }'},
            r"own.toml: \[training\] loss count_mse: has no setting 'rigth'",
        ),
        ({"training": "epochs = 1\nactivity = { uper = 1 }"}, r"own.toml: \[training\] activity: .* are not bounds"),
        ({"training": "epochs = 1\nnet = 1\nprogress = true"}, r"(?s)no setting 'net'.*no setting 'progress'"),
        ({"fine_tuning": "lr = 1"}, r"own.toml: \[fine_tuning\] needs epochs"),
        ({"quantization": "weight_bits = 4"}, r"own.toml: \[quantization\] has no setting 'weight_bits'"),
        ({"network": "sizes = [64, 16, 9]"}, r"own: sizes = \[64, 16, 9\], but digits is \(64,\) -> 10"),
        ({"network": "sizes = "}, r"own.toml: is not a TOML file"),
    ],
)
def test_recipe_refusals(tmp_path, sections, message):
    with pytest.raises(DataError, match=message):
        recipes.build(recipes.load(shortened(tmp_path, **sections)))


def test_unknown_recipe():
    with pytest.raises(DataError, match=r"nosuch: no such recipe\. There are: .*digits"):
        recipes.load("nosuch")


def test_no_fine_tuning(tmp_path, digits):
    with pytest.raises(DataError, match=r"own: has no section \[fine_tuning\]"):
        recipes.fine_tune(recipes.load(shortened(tmp_path)), small(), digits)


@pytest.mark.parametrize("module", [coding, datasets, dense, convolutional, recurrence, recipes, training])
def test_examples_run(module):
    result = doctest.testmod(module)
    assert result.failed == 0
    assert result.attempted > 0


@pytest.mark.slow
def test_digits_recipe_reaches_its_accuracy():
    net, data, _ = recipes.train(recipes.load("digits"), progress=False)
    accuracy = [training.evaluate(net, data.test, seed=seed).accuracy for seed in range(5)]
    assert sum(accuracy) / 5 > 0.968
