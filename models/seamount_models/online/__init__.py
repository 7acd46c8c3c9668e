r"""Online learning: rules that train a network step by step, in memory that does not grow with time.

    rule = online.OTPE(net, "cross_entropy")
    rule.reset()                        a sample begins
    rule.step(x[t], target[t])          runs a step; adds its gradient to `.grad`; returns the output
    rule.end()                          a sample is over
    rule.sample(x, targets)             all of this, over `[T, B, ...]`

`step` knows no optimizer. Stepping one at the end of a sample accumulates (OTTT-A), stepping it after every step learns
immediately (OTTT-O); `training.fit(net, data, rule="OTTT")` does either. No graph is kept from one step to the next,
and traces change in place.

A rule is made of local factors, which `rule.local(population)` hands out, so that they can be looked at, and so that a
compiler can read off what a chip has to form:

    pre or eligibility   what a weight has done: a trace of its source, or the derivative of its neuron's spikes
    post                 f(z), the surrogate at v before the reset, or its average
    error                the gradient of the loss by the neuron's spikes, as it arrives

Which of these a rule takes is all that it says (`ottt.py`, `ostl.py`, `otpe.py` ...). They are derived and not written
for one neuron (`dynamics.py`), know connections only through a few products (`synapse.py`, `factors.py`), and the error
may come by the transposed weights, by random ones, or directly (`feedback.py`).

| rule | what a weight has done | followed into the next population | error | memory |
|---|---|---|---|---|
| OTTT | trace | no | backpropagated in the step | n |
| OSTL | eligibility | no | backpropagated in the step | n^2 |
| Approx OTPE | trace | yes | backpropagated in the step | n |
| OTPE | eligibility | yes | backpropagated in the step | n^2 |
| e-prop | eligibility | into the readout | of the readout, directly | n^2 |
| SuperSpike | eligibility | filtered | of filtered spike trains | n^2 |
| DECOLLE | trace | no | of a random readout of each population's own | n |
| RTRL | derivative of every state | is exact | is exact | n^3 |
| BPTT | is exact | is exact | is exact | T n |
| STDP, RewardSTDP | pairs of spikes | no | none; a reward | n; n^2 |
"""

from seamount_models.online.bptt import BPTT
from seamount_models.online.decolle import DECOLLE
from seamount_models.online.eprop import EProp
from seamount_models.online.feedback import Direct, Feedback, Random, Symmetric
from seamount_models.online.learn import learn
from seamount_models.online.ostl import OSTL
from seamount_models.online.otpe import FOTPE, OTPE, ApproxOTPE, FApproxOTPE
from seamount_models.online.ottt import OTTT
from seamount_models.online.rtrl import RTRL
from seamount_models.online.rule import Online, Rule
from seamount_models.online.stdp import STDP, RewardSTDP
from seamount_models.online.superspike import SuperSpike

__all__ = [
    "BPTT",
    "DECOLLE",
    "FOTPE",
    "OSTL",
    "OTPE",
    "OTTT",
    "RTRL",
    "STDP",
    "ApproxOTPE",
    "Direct",
    "EProp",
    "FApproxOTPE",
    "Feedback",
    "Online",
    "Random",
    "RewardSTDP",
    "Rule",
    "SuperSpike",
    "Symmetric",
    "learn",
]
