"""Learning on the chip: rules as sums of products of local factors."""

from seamount.learning.ottt import OTTT
from seamount.learning.plasticity import LearningRule, Plasticity, plasticity_of
from seamount.learning.rule import Product, Rule

__all__ = ["OTTT", "LearningRule", "Plasticity", "Product", "Rule", "plasticity_of"]
