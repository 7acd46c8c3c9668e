"""The studies of online rules: what they keep, what they refuse, and the plane on which the rules' ways are drawn."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
import torch
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from typer.testing import CliRunner

from seamount.cli import app
from seamount.errors import DataError, FileFormatError, TrainingError
from seamount_models.online import losses, study
from seamount_models.online.landscape import Plane, landscape
from seamount_models.online.runs import Runs

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = study.Setting(hidden=(20, 20), alpha=3.0, steps=20, samples=192, batch_size=64, batches=3, lr=2e-2)


def test_runs_are_kept_and_not_repeated(tmp_path):
    file, measured = tmp_path / "runs.jsonl", []

    def measure(seed):
        measured.append(seed)
        return [{"seed": seed, "hidden": (2, 3), "accuracy": 0.1 + seed / 3}]

    first = Runs(file)
    rows = [first.rows({"seed": seed, "hidden": (2, 3)}, lambda: measure(seed)) for seed in (0, 1)]  # noqa: B023
    with file.open("a") as written:
        written.write('{"run": {"seed": 2, "hid')  # interrupted here
    again = Runs(file)
    rows_again = [again.rows({"hidden": [2, 3], "seed": seed}, lambda: measure(seed)) for seed in (0, 1, 2)]  # noqa: B023
    assert measured == [0, 1, 2]
    assert rows_again[:2] == rows
    assert rows[1][0]["accuracy"] == 0.1 + 1 / 3
    assert [json.loads(line)["run"]["seed"] for line in file.read_text().splitlines()] == [0, 1, 2]


@pytest.mark.parametrize("line", ["text", "[1]", '{"run": {}}', '{"run": {}, "rows": 3}', "[" * 100_000, "\xff"])
def test_a_file_of_something_else_is_refused(line, tmp_path):
    file = tmp_path / "runs.jsonl"
    text = f'{{"run": {{}}, "rows": []}}\n{line}\n'
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(FileFormatError, match=r"runs\.jsonl: line 2 is no run of a study"):
        Runs(file)
    assert file.read_bytes() == text.encode("latin-1")


def test_a_study_goes_on_after_a_break(tmp_path, monkeypatch):
    file = tmp_path / "runs.jsonl"
    options = {"every": 2, "rules": ["BPTT", "OTTT"]}
    whole = list(study.accuracies([SMALL], [0, 1], **options))
    broken = study.accuracies([SMALL], [0, 1], **options, keep=file)
    begun = [next(broken) for _ in range(3)]  # two rows a run: two runs are done
    assert len(file.read_text().splitlines()) == 2
    trained = []
    train = study.train
    monkeypatch.setattr(
        study, "train", lambda s, seed, rule, **o: trained.append((seed, rule)) or train(s, seed, rule, **o)
    )
    rows = list(study.accuracies([SMALL], [0, 1], **options, keep=file))
    assert trained == [(1, "BPTT"), (1, "OTTT")]
    assert rows == [{**row, "hidden": [20, 20]} for row in whole]
    assert begun == rows[:3]
    assert list(study.gradients([SMALL], [0], every=2, rules=["OTTT"], keep=file)) != rows


def test_rules_that_cannot_be_compared_are_refused():
    with pytest.raises(TrainingError, match=r"study: FOTPE, Oja cannot be compared here \(allowed: BPTT, OTTT"):
        list(study.gradients([SMALL], [0], rules=["FOTPE", "OTTT", "Oja"]))
    with pytest.raises(TrainingError, match=r"study: Oja cannot be compared here.*FOTPE"):
        list(study.accuracies([SMALL], [0], rules=["Oja"]))
    with pytest.raises(TrainingError, match=r"study: BPTT cannot be compared here \(allowed: OTTT"):
        list(study.accuracies([SMALL], [0], rules=["BPTT"], immediate=True))
    with pytest.raises(TrainingError, match="study: FApproxOTPE cannot be compared here"):
        list(landscape(SMALL, rules=["FApproxOTPE"]))
    with pytest.raises(DataError, match=r"landscape: grid = 1, samples = 500 \(allowed 2 or more"):
        list(landscape(SMALL, grid=1))


def test_without_the_reset_all_rules_are_exact_in_the_output():
    """So the reset is all that OTTT and Approx OTPE leave out there."""
    cosine = {}
    for detach in (False, True):
        setting = replace(SMALL, batches=21, samples=64 * 21, detach_reset=detach)
        rows = [row for row in study.gradients([setting], [0], every=20) if row["batch"] == 20]
        cosine |= {(detach, row["rule"]): row["cosine"] for row in rows if row["connection"] == "readout"}
    for rule in ("OTTT", "ApproxOTPE"):
        assert cosine[True, rule] == pytest.approx(1.0, abs=1e-5)
        assert 0.5 < cosine[False, rule] < 0.9999
    for rule in ("OSTL", "OTPE"):
        assert min(cosine[detach, rule] for detach in (False, True)) == pytest.approx(1.0, abs=1e-5)


def test_a_plane_has_what_moved_most():
    origin = torch.tensor([1.0, 2.0, 3.0, 4.0])
    ways = origin + torch.tensor([[3.0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 2.0, 0], [0, 0.5, 0, 0]])
    plane = Plane(origin, ways)
    assert plane.share == pytest.approx(13 / 13.25)
    points = plane.project(ways)
    assert points.abs().tolist() == [[3, 0], [0, 0], [0, 2], [0, 0]]
    for weights, (x, y) in zip(ways[:3], points.tolist(), strict=False):
        assert torch.equal(plane.weights(x, y), weights)


def test_the_landscape_is_that_of_the_trained_networks():
    rows = list(landscape(SMALL, every=2, rules=["BPTT", "OTTT"], grid=4, samples=100))
    ways, grid = rows[:6], rows[6:]
    assert [(row["rule"], row["batch"]) for row in ways] == [(r, b) for r in ("BPTT", "OTTT") for b in (0, 2, 3)]
    assert [row["rule"] for row in grid] == [None] * 16
    for axis in ("x", "y"):
        places = sorted({row[axis] for row in grid})
        assert len(places) == 4
        assert all(places[0] < row[axis] < places[-1] for row in ways)
    data = SMALL.data(0)
    batch, labels = next(data.test.subset(range(100)).batches(100, shuffle=False, seed=0))

    def loss(net):
        """Step by step, as the rules have it."""
        outputs = net(batch.float())
        return torch.stack([losses.cross_entropy(o, labels) for o in outputs]).mean().item()

    nets = {rule: [(i, parameters_to_vector(n.parameters()).detach().clone()) for i, n in study.train(SMALL, 0, rule)]
            for rule in ("BPTT", "OTTT")}  # fmt: skip
    weights = {(rule, i): w for rule, found in nets.items() for i, w in found}
    net, start = SMALL.network(0, data), weights["BPTT", 0]
    for row in ways:
        vector_to_parameters(weights[row["rule"], row["batch"]], net.parameters())
        assert row["loss_off"] == pytest.approx(loss(net), rel=1e-5)
    plane = Plane(start, torch.stack([weights[row["rule"], row["batch"]] for row in ways]))
    for row in (*ways, *grid):
        vector_to_parameters(plane.weights(row["x"], row["y"]), net.parameters())
        assert row["loss"] == pytest.approx(loss(net), rel=1e-4)
    assert [row["loss"] for row in ways if row["batch"] == 0] == [ways[0]["loss_off"]] * 2
    end = ways[-1]
    assert (
        0
        < end["apart"]
        == pytest.approx(float((weights["OTTT", 3] - weights["BPTT", 3]).norm() / (weights["BPTT", 3] - start).norm()))
    )


def test_a_landscape_from_the_command_line(tmp_path, monkeypatch):
    def rows(setting, seed, **options):
        assert (seed, options["grid"], options["rules"]) == (3, 2, ["OTTT"])
        common = {**asdict(setting), "seed": seed, "share": 0.9}
        for batch in (0, 2):
            yield {
                **common,
                "rule": "OTTT",
                "batch": batch,
                "x": batch,
                "y": 0.0,
                "loss": 2.0,
                "loss_off": 1.9,
                "apart": 0,
            }
        for y in (-1.0, 1.0):
            for x in (-1.0, 3.0):
                yield {**common, "rule": None, "x": x, "y": y, "loss": x + y}

    monkeypatch.setattr("seamount_models.online.landscape.landscape", rows)
    out = tmp_path / "page.html"
    arguments = ["study", "landscape", "-o", str(out), "--rule", "OTTT", "--seed", "3", "--grid", "2", "--batches", "2"]
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    assert [row["loss_off"] for row in json.loads(result.stdout)["means"]] == [1.9]
    page = out.read_text()
    assert "90 % of the squared movement" in page
    assert "loss -2 (light) to 4" in page


def test_accuracies_are_printed_beside_that_of_bptt(tmp_path):
    file, out = tmp_path / "runs.jsonl", tmp_path / "page.html"
    known = Runs(file)
    for rule, right in (("BPTT", 0.75), ("OTTT", 0.5)):
        setting = asdict(study.Setting(batches=2))
        run = {"study": "online", **setting, "seed": 0, "every": 40, "rule": rule, "immediate": False}
        known.rows(run, lambda: [{**setting, "seed": 0, "rule": rule, "batch": 2, "accuracy": right}])  # noqa: B023
    arguments = ["--rule", "BPTT", "--rule", "OTTT", "--seeds", "1", "--batches", "2", "--keep", str(file)]
    result = CliRunner().invoke(app, ["study", "online", *arguments, "-o", str(out), "--json"])
    assert result.exit_code == 0, result.output
    assert [row["to BPTT"] for row in json.loads(result.stdout)["means"]] == [0.0, -0.25]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["online", "--rule", "Oja"], "study: Oja cannot be compared here"),
        (["online", "--immediate", "--rule", "BPTT"], "study: BPTT cannot be compared here"),
        (["online", "--variant", "place"], "there is no variant 'place'"),
        (["gradients", "--samples", "130", "--beta", "1.5", "--variant", "time"], "beta"),
        (["landscape", "--rule", "FOTPE"], "study: FOTPE cannot be compared here"),
    ],
)
def test_what_cannot_be_studied_is_said(arguments, message, tmp_path):
    result = CliRunner().invoke(app, ["study", *arguments, "-o", str(tmp_path / "page.html")])
    assert result.exit_code == 2
    assert message in result.stderr
