"""Spiking Speech Commands: one-second words through a model of the inner ear with 700 channels.

75,466 recordings for training, 9,981 for validation, 20,382 for testing, 35 classes. Source: Cramer et al., "The
Heidelberg spiking data sets for the systematic evaluation of spiking neural networks" (IEEE TNNLS 2020), CC BY 4.0.
Read from `ssc_train.h5`, `ssc_valid.h5` and `ssc_test.h5`, in the data folder or its subfolder `SSC`, where tonic puts
them.
"""

from __future__ import annotations

from seamount_models.heidelberg import Speech, archive

dataset = Speech(
    "ssc",
    classes=35,
    duration_us=1_000_000,
    archives={
        "train": archive("ssc_train", 2**32, "d102be95e7144fcc0553d1f45ba94170"),
        "validation": archive("ssc_valid", 2**30, "b4eee3516a4a90dd0c71a6ac23a8ae43"),
        "test": archive("ssc_test", 2**31, "a35ff1e9cffdd02a20eb850c17c37748"),
    },
)
