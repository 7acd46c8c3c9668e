"""The Processes that Lava does not have, with their models; Lava imports every file of this folder, so nothing else."""
