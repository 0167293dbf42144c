"""What is asked of a network: the domain of a claim, and VNN-LIB queries."""

from secateur.specification.domain import Domain
from secateur.specification.sources import box_domain, data_domain, read_domain
from secateur.specification.vnnlib import Query, parse_query, read_query

__all__ = ["Domain", "Query", "box_domain", "data_domain", "parse_query", "read_domain", "read_query"]
