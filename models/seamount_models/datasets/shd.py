"""Spiking Heidelberg Digits: spoken digits, English and German, through a model of the inner ear with 700 channels.

8156 recordings for training, 2264 for testing, 20 classes. Source: Cramer et al., "The Heidelberg spiking data sets for
the systematic evaluation of spiking neural networks" (IEEE TNNLS 2020), CC BY 4.0. Read from `shd_train.h5` and
`shd_test.h5`, in the data folder or its subfolder `SHD`, where tonic puts them.
"""

from __future__ import annotations

from seamount_models.heidelberg import Speech, archive

dataset = Speech(
    "shd",
    classes=20,
    duration_us=1_400_000,  # every recording ends before
    archives={
        "train": archive("shd_train", 2**28, "f3252aeb598ac776c1b526422d90eecb"),
        "test": archive("shd_test", 2**27, "1503a5064faa34311c398fb0a1ed0a6f"),
    },
)
