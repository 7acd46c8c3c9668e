r"""Online spatio-temporal learning."""

from __future__ import annotations

from seamount_models.online.factors import Eligibility
from seamount_models.online.rule import Rule


class OSTL(Rule):
    r"""OSTL: what each weight has done to its neuron's spike of this step, and the error of this step.

        E[t] = d s[t] / d W, with the reset where the neuron does not detach it,     g_W[t] = error[t] E[t]

    Exact in the last population. O(n^2) memory. It trains every neuron model and every
    reset.

    Args:
        net, loss, feedback: as for Rule.

    Source: Bohnstingl et al. 2022, "Online spatio-temporal learning in deep neural networks"; in this form section
    2.3.1 of the OTPE paper (arXiv:2311.16151).
    """

    factor = Eligibility
