"""What the class of a component may define: declared class attributes and options; with the checks of both."""

from retbench.contracts.definition.attributes import Declares
from retbench.contracts.definition.definition import definition_problem, option_values_problem

__all__ = ["Declares", "definition_problem", "option_values_problem"]
