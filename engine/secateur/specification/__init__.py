"""What is asked of a network: the domain of a claim, VNN-LIB queries, and specifications from arrays."""

from secateur.specification.claims import Box, Condition, LinearForms, Specification, outputs, robust
from secateur.specification.domain import Domain
from secateur.specification.sources import DomainLike, box_domain, data_domain, domain_of, read_domain
from secateur.specification.vnnlib import Query, parse_query, read_query

__all__ = [
    "Box",
    "Condition",
    "Domain",
    "DomainLike",
    "LinearForms",
    "Query",
    "Specification",
    "box_domain",
    "data_domain",
    "domain_of",
    "outputs",
    "parse_query",
    "read_domain",
    "read_query",
    "robust",
]
