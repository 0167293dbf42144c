"""VNN-LIB 1.0 and 2.0: an exact reader of queries and their disjunctive normal form."""

from secateur.specification.vnnlib.formula import And, Formula, Kind, Or, Polytope, Row, Variable
from secateur.specification.vnnlib.query import NetworkDeclaration, Query, TensorDeclaration
from secateur.specification.vnnlib.reader import parse_query, read_query

__all__ = [
    "And",
    "Formula",
    "Kind",
    "NetworkDeclaration",
    "Or",
    "Polytope",
    "Query",
    "Row",
    "TensorDeclaration",
    "Variable",
    "parse_query",
    "read_query",
]
