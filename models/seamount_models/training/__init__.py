"""Training by backpropagation through time with surrogate gradients or by an online rule, and evaluation.

`fit` is the loop (`engine.py`). Gradients of a batch come from autograd (`step.py`) or from a rule (`rules.py`); what
the loop can do besides stands in a file each: measuring (`evaluation.py`), stopping and resuming (`checkpoint.py`),
several processes (`distributed.py`), watching activity (`activity.py`), half the precision where that is safe
(`precision.py`), curves (`curves.py`).

Example:
    >>> import seamount as sm
    >>> from seamount_models import datasets, networks, training
    >>> net = networks.mlp((64, 32, 10), sm.nn.LIF(beta=0.9), seed=0)
    >>> history = training.fit(net, datasets.load("digits", steps=4), epochs=2, threads=1, progress=False)
    >>> history.loss[1] < history.loss[0]
    True
"""

from seamount_models.training.engine import fit
from seamount_models.training.evaluation import Evaluation, evaluate
from seamount_models.training.history import History

__all__ = ["Evaluation", "History", "evaluate", "fit"]
