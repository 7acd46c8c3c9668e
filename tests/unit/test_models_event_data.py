"""Data sets of events: real files where they are, and small ones of the right form."""

import sys
import types

import numpy as np
import pytest
import torch

from seamount.errors import DataError
from seamount_models import datasets
from seamount_models.datasets import dvs_gesture, nmnist

RNG = np.random.default_rng(0)


# N-MNIST -------------------------------------------------------------------------------------------------------------


def write_nmnist(folder, monkeypatch, **change):
    monkeypatch.setattr(nmnist, "RECORDINGS", {"train": 30, "test": 10})
    arrays = {}
    for part, n in nmnist.RECORDINGS.items():
        lengths = RNG.integers(0, 20, n)
        events = int(lengths.sum())
        arrays |= {f"{part}_{axis}": RNG.integers(0, 34, events).astype(np.uint8) for axis in "xy"}
        arrays[f"{part}_p"] = RNG.integers(0, 2, events).astype(np.uint8)
        arrays[f"{part}_t_us"] = RNG.integers(0, 340_000, events).astype(np.uint32)
        arrays[f"{part}_offsets"] = np.concatenate([[0], np.cumsum(lengths)])
        arrays[f"{part}_labels"] = (np.arange(n) % 10).astype(np.uint8)
    np.savez(folder / nmnist.FILE, **(arrays | change))
    return arrays


def test_nmnist_of_the_right_form(folder, monkeypatch, check_contract):
    arrays = write_nmnist(folder, monkeypatch)
    data = datasets.load("nmnist", steps=10, bound=5)
    check_contract(data, 10, "graded")
    first = slice(0, arrays["test_offsets"][1])
    want = np.zeros((10, 2, 34, 34), int)
    place = (
        arrays["test_t_us"][first] // 34_000,
        arrays["test_p"][first],
        arrays["test_y"][first],
        arrays["test_x"][first],
    )
    np.add.at(want, place, 1)
    assert np.array_equal(data.test.spikes([0])[:, 0].numpy(), np.minimum(want, 5))


def test_nmnist(real, check_contract):
    data = real("nmnist", nmnist.FILE)
    assert (len(data.train), len(data.test), data.shape, data.classes) == (1000, 100, (2, 34, 34), 10)
    check_contract(data, 34, "spike")
    assert data.train.y[:3].tolist() != data.test.y[:3].tolist()


def test_folds_hold_each_recording_once_as_a_test(real):
    folds = [real("nmnist", nmnist.FILE, steps=2, fold=k) for k in range(5)]
    assert [len(fold.test) for fold in folds] == [220] * 5
    seen = torch.cat([fold.test.x.indices for fold in folds])
    assert torch.equal(seen.sort().values, torch.arange(1100))
    for fold in folds:
        assert not set(fold.test.x.indices.tolist()) & set(fold.train.x.indices.tolist())
        counts = fold.test.y.bincount()
        assert (counts - folds[0].test.y.bincount()).abs().max() <= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"train_x": np.full(5, 34, np.uint8)},
            r"nmnist_small_1100\.npz, train: \d+ polarities, \d+ rows and 5 columns",
        ),
        ({"test_labels": np.full(10, 11, np.uint8)}, r"nmnist: labels are 0..11 \(allowed 0..9\)"),
        (
            {"test_offsets": np.zeros(11, np.int64)},
            r"nmnist_small_1100\.npz, test: the offsets .* do not run from 0 to",
        ),
        ({"test_offsets": np.zeros(11)}, r"test_offsets is float64 \(11,\), expected int64 \(11,\)"),
    ],
)
def test_nmnist_damaged(folder, monkeypatch, change, message):
    write_nmnist(folder, monkeypatch, **change)
    with pytest.raises(DataError, match=message):
        datasets.load("nmnist")


def test_nmnist_settings_are_checked(folder, monkeypatch):
    write_nmnist(folder, monkeypatch)
    for options, message in (({"fold": 5}, r"fold = 5 \(allowed 0..4\)"), ({"steps": 0}, r"steps = 0 \(allowed 1..")):
        with pytest.raises(DataError, match=message):
            datasets.load("nmnist", **options)


def write_bins(folder, content=None):
    for n, part in enumerate(nmnist.FOLDERS.values()):
        for digit in (7, 2):
            (folder / part / str(digit)).mkdir(parents=True, exist_ok=True)
            events = [(33, 5, 1, 339_999), (0, 33, 0, 70_000 + n)] * digit
            packed = b"".join(bytes([x, y]) + (p << 23 | t).to_bytes(3, "big") for x, y, p, t in events)
            (folder / part / str(digit) / "00001.bin").write_bytes(packed if content is None else content)


def test_all_of_nmnist_from_the_files_of_its_home(folder, check_contract):
    write_bins(folder)
    for digit in (2, 7):  # another recording each, so that there are 4
        for part in nmnist.FOLDERS.values():
            (folder / part / f"{digit}/00002.bin").write_bytes(b"")
    data = datasets.load("nmnist", full=True, steps=34, bound=20)
    check_contract(data, 34, "graded")
    assert data.train.y.tolist() == [2, 2, 7, 7]
    frames = data.test.spikes([2])[:, 0]
    assert frames.sum() == 14
    assert (frames[33, 1, 5, 33], frames[7, 0, 33, 0]) == (7, 7)
    assert data.test.spikes([1]).sum() == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (bytes(9), r"2.00001\.bin: is cut short \(9 bytes, an event has 5\)"),
        (bytes([34, 0, 0, 0, 0]), r"2.00001\.bin: event 0 has x = 34 \(allowed 0..33\)"),
    ],
)
def test_damaged_files_of_nmnist(folder, content, message):
    write_bins(folder, content)
    with pytest.raises(DataError, match=message):
        datasets.load("nmnist", full=True).train.spikes()


def test_all_of_nmnist_that_is_not_there(folder):
    with pytest.raises(DataError, match=r"NMNIST/Train: holds no recordings.*Hint: unpack Train\.zip.*SEAMOUNT_DATA"):
        datasets.load("nmnist", full=True)
    with pytest.raises(DataError, match="nmnist: full and fold exclude each other"):
        datasets.load("nmnist", full=True, fold=1)


# SHD and SSC ---------------------------------------------------------------------------------------------------------


def write_speech(path, n=6, damage=None):
    h5py = pytest.importorskip("h5py")
    units = [RNG.integers(0, 700, k).astype(np.uint16) for k in range(n)]
    times = [np.sort(RNG.random(k)).astype(np.float32) for k in range(n)]
    labels = np.arange(n, dtype=np.uint16)
    if damage:
        damage(times, units, labels)
    with h5py.File(path, "w") as file:
        for name, rows, kind in (("times", times, np.float32), ("units", units, np.uint16)):
            column = file.create_dataset(f"spikes/{name}", (n,), dtype=h5py.vlen_dtype(kind))
            for i, row in enumerate(rows):
                column[i] = row
        file["labels"] = labels
    return times, units


@pytest.mark.parametrize(("name", "parts"), [("shd", ("train", "test")), ("ssc", ("train", "valid", "test"))])
def test_speech_of_the_right_form(folder, name, parts, check_contract):
    (folder / name.upper()).mkdir()
    for part in parts:
        place = folder / name.upper() if part == "test" else folder  # tonic's folder counts too
        times, units = write_speech(place / f"{name}_{part}.h5")
    data = datasets.load(name, steps=10, bound=3)
    check_contract(data, 10, "graded")
    assert data.shape == (700,)
    assert (data.validation is None) == (name == "shd")
    want = np.zeros((10, 700), int)
    window = 140_000 if name == "shd" else 100_000
    np.add.at(want, (np.round(times[4].astype(np.float64) * 1e6).astype(int) // window, units[4]), 1)
    assert np.array_equal(data.test.spikes([4])[:, 0].numpy(), np.minimum(want, 3))


def spoil(what, row, value):
    def damage(times, units, labels):
        rows = {"times": times, "units": units, "labels": [labels] * 6}[what]
        if value is None:
            rows[row] = rows[row][:-1]
        else:
            rows[row][-1] = value

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (spoil("times", 3, None), r"shd_train\.h5: recording 3 has 2 times and 3 units"),
        (spoil("times", 3, np.nan), r"shd_train\.h5: recording 3 has times outside 0..60 s"),
        (spoil("times", 3, -1), r"shd_train\.h5: recording 3 has times outside"),
        (spoil("units", 3, 700), r"shd_train\.h5: recording 3 has units outside 0..699"),
        (spoil("labels", 3, 20), r"shd_train\.h5: labels are 0..20 \(allowed 0..19\)"),
    ],
)
def test_speech_damaged(folder, damage, message):
    write_speech(folder / "shd_train.h5", damage=damage)
    write_speech(folder / "shd_test.h5")
    with pytest.raises(DataError, match=message):
        datasets.load("shd").train.spikes()


def test_speech_of_another_form(folder):
    h5py = pytest.importorskip("h5py")
    path = folder / "shd_train.h5"
    path.write_bytes(b"no HDF5")
    with pytest.raises(DataError, match=r"shd_train\.h5: is not a readable file of the Heidelberg data sets"):
        datasets.load("shd")
    with h5py.File(path, "w") as file:
        file["spikes/times"] = file["spikes/units"] = np.zeros(3)
    with pytest.raises(DataError, match=r"shd_train\.h5: spikes/times is float64 \(3,\), expected rows of numbers"):
        datasets.load("shd")


def test_without_h5py_the_message_says_so(folder, monkeypatch):
    (folder / "shd_train.h5").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DataError, match=r"reading HDF5 needs h5py\. Hint: pip install 'seamount\[data\]'"):
        datasets.load("shd")


# DVS Gesture ---------------------------------------------------------------------------------------------------------


def write_gestures(folder, events, name="3.npy"):
    for part in dvs_gesture.PARTS.values():
        place = folder / "DVSGesture" / part / "user01_led"
        place.mkdir(parents=True)
        np.save(place / name, events)
        np.save(place / "10.npy", events[:0])
        np.save(place / "0.npy", events)


def gestures(n=50, dtype=np.float64):
    return np.stack([RNG.integers(0, m, n) for m in (128, 128, 2, 5000)], 1).astype(dtype)


def test_dvs_gesture_of_the_right_form(folder, check_contract):
    events = gestures()
    write_gestures(folder, events)
    data = datasets.load("dvs_gesture", steps=6, bound=9)
    assert data.train.y.tolist() == [0, 10, 3]
    assert data.shape == (2, 32, 32)
    check_contract(data, 6, "graded")
    want = np.zeros((6, 2, 32, 32), int)
    x, y, p, t = events.T.astype(int)
    np.add.at(want, (t // 1000, p, y // 4, x // 4), 1)
    assert np.array_equal(data.test.spikes([2])[:, 0].numpy(), np.minimum(want, 9))
    assert data.test.spikes([1]).sum() == 0


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (gestures()[:, :3], r"0\.npy is float64 \(50, 3\), expected float64 .* \(any, 4\)"),
        (np.full((2, 4), np.nan), r"0\.npy: holds NaN or infinity"),
        (np.array([[0, 128, 0, 0]]), r"0\.npy: event 0 has y = 128 \(allowed 0..127\)"),
        (np.array([[0, 0, 0, -5]]), r"0\.npy: times are -5..-5 ms"),
        (np.array([[{}] * 4]), r"0\.npy is object \(1, 4\), expected"),
    ],
)
def test_dvs_gesture_damaged(folder, events, message):
    write_gestures(folder, events)
    with pytest.raises(DataError, match=message):
        datasets.load("dvs_gesture").train.spikes()


def test_dvs_gesture_of_another_form(folder):
    write_gestures(folder, gestures(), name="wave.npy")
    with pytest.raises(DataError, match=r"wave\.npy: is not named after a label, 0..10"):
        datasets.load("dvs_gesture")
    with pytest.raises(DataError, match=r"scale = 3 \(allowed: what divides 128\)"):
        datasets.load("dvs_gesture", scale=3)


def test_dvs_gesture_through_tonic(folder, monkeypatch):
    def DVSGesture(save_to, train):
        if not (folder / "DVSGesture").is_dir():
            write_gestures(folder, gestures())

    fake = types.ModuleType("tonic")
    fake.datasets = types.SimpleNamespace(DVSGesture=DVSGesture)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tonic", fake)
    assert len(datasets.load("dvs_gesture", download=True).train) == 3


def test_dvs_gesture_without_tonic(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "tonic", None)
    with pytest.raises(
        DataError, match=r"dvs_gesture: downloading it needs tonic\. Hint: pip install 'seamount\[data\]'"
    ):
        datasets.load("dvs_gesture", download=True)
