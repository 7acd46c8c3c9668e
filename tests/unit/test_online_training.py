"""Learning from a batch by hand, and the studies; whole trainings are in test_training_rules."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
import torch
from typer.testing import CliRunner

import seamount as sm
from seamount.cli import app
from seamount.errors import DataError, TrainingError
from seamount_models import networks, online
from seamount_models.online import study

pytestmark = pytest.mark.usefixtures("one_thread")


def net(*sizes):
    return networks.mlp(sizes, sm.nn.LIF(beta=0.8), seed=0)


def test_learning_by_hand_takes_the_gradient_at_the_end_or_after_every_step():
    x = (torch.rand(7, 2, 5, generator=torch.Generator().manual_seed(0)) < 0.5).double()
    labels = torch.tensor([0, 2])
    outputs = {}
    for immediate in (False, True):
        trained = net(5, 6, 3).double()
        optimizer = torch.optim.SGD(trained.parameters(), lr=0.0)
        outputs[immediate] = online.learn(online.OTTT(trained), optimizer, x, labels, immediate=immediate)
        last = [p.grad.clone() for p in trained.parameters() if p.grad is not None]
        rule = online.OTTT(trained)
        trained.zero_grad()
        rule.sample(x, labels.expand(7, -1), [0.0] * 6 * immediate + [1 / 7] * (1 if immediate else 7))
        torch.testing.assert_close(last, [p.grad for p in trained.parameters()])
    torch.testing.assert_close(outputs[True], outputs[False])


def test_bptt_as_a_rule_is_the_gradient_step_by_step_and_at_once():
    trained = net(5, 6, 3).double()
    x = (torch.rand(7, 2, 5, generator=torch.Generator().manual_seed(0)) < 0.5).double()
    labels = torch.tensor([0, 2]).expand(7, -1)
    rule = online.BPTT(trained)
    whole = rule.sample(x, labels)
    want = [p.grad.clone() for p in trained.parameters() if p.grad is not None]
    trained.zero_grad()
    rule.reset()
    steps = torch.stack([rule.step(x[t], labels[t]) for t in range(7)])
    rule.end()
    torch.testing.assert_close(steps, whole)
    torch.testing.assert_close([p.grad for p in trained.parameters()], want)


SMALL = study.Setting(hidden=(40, 40), alpha=3.0, samples=256, batch_size=64, batches=61, lr=5e-3)


def test_otpe_is_nearer_to_the_gradient_than_ottt_and_ostl_in_the_first_population():
    """The paper's figure 3 in small: retention 0.9, times as the code, after some training."""
    rows = list(study.gradients([SMALL], [0], every=60))
    cosine = {
        (row["rule"], row["connection"]): row["cosine"]
        for row in study.table(rows[12:], "cosine", ["rule", "connection"])
    }
    assert min(cosine[rule, "fc1"] for rule in ("OTPE", "ApproxOTPE")) > 0.1 + max(
        cosine[rule, "fc1"] for rule in ("OTTT", "OSTL")
    )
    for rule in ("OSTL", "OTPE"):
        assert cosine[rule, "readout"] == pytest.approx(1.0, abs=1e-4)
    assert [row["batch"] for row in rows] == [0] * 12 + [60] * 12


def test_accuracies_compare_rules_from_the_same_start():
    rows = list(study.accuracies([replace(SMALL, batches=8)], [0], every=5, rules=["BPTT", "OTTT"]))
    assert [(row["rule"], row["batch"]) for row in rows] == [("BPTT", 5), ("BPTT", 8), ("OTTT", 5), ("OTTT", 8)]
    with pytest.raises(DataError, match=r"randman: 32 samples \(needed 64, the batch size\)"):
        list(study.accuracies([replace(SMALL, samples=32)], [0]))


@pytest.mark.parametrize(("command", "value"), [("gradients", "cosine"), ("online", "accuracy")])
def test_studies_from_the_command_line(command, value, tmp_path, monkeypatch):
    """The measuring itself is tested above; here rows stand in for it."""
    asked = []

    def rows(settings, seeds, **options):
        asked.append((settings, list(seeds), options))
        for setting in settings:
            for seed in seeds:
                for batch in (1, 2):
                    row = {"seed": seed, "batch": batch, "rule": "OTTT", "connection": "fc1", value: 0.25 * batch}
                    yield {**asdict(setting), **row}

    monkeypatch.setattr(study, "gradients" if command == "gradients" else "accuracies", rows)
    out = tmp_path / "page.html"
    arguments = ["study", command, "-o", str(out), "--beta", "0.5", "--beta", "0.9", "--seeds", "2", "--batches", "2"]
    arguments += ["--variant", "time", "--variant", "rate"]
    result = CliRunner().invoke(app, [*arguments, "--every", "1", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [(s.variant, s.beta, s.batches) for s in asked[0][0]] == [
        ("time", 0.5, 2), ("rate", 0.5, 2), ("time", 0.9, 2), ("rate", 0.9, 2)
    ]  # fmt: skip
    assert asked[0][1] == [0, 1]
    assert asked[0][2]["every"] == 1
    assert len(found["rows"]) == 16
    assert {row[value] for row in found["means"]} == ({0.375} if command == "gradients" else {0.5})
    page = out.read_text()
    assert page.count("<figure>") == 4
    assert "time, beta 0.5" in page


def test_backpropagation_through_time_is_not_immediate():
    net = networks.mlp((5, 3), sm.nn.LIF(0.9), seed=0)
    optimizer = torch.optim.Adam(net.parameters())
    with pytest.raises(TrainingError, match=r"^BPTT: immediate = True, but it knows no gradient"):
        online.learn(online.BPTT(net), optimizer, torch.zeros(4, 2, 5), torch.zeros(2).long(), immediate=True)
