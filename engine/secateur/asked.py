"""What a caller asks, and of which files: a query with its networks, loaded and compared with its declarations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from secateur.errors import InputError
from secateur.files import network_path
from secateur.models import LoadedModel, ModelStore
from secateur.specification import Query, Specification, read_query
from secateur.specification.vnnlib.formula import Kind
from secateur.specification.vnnlib.query import NetworkDeclaration

__all__ = ["Asked", "Models", "asked_of", "uncovered"]

Models = str | Path | Mapping[str, str | Path]
"""A network file, or one for every network that the query declares, by name."""

Asked = Query | Specification | str | Path
"""A query, a specification (whose negation is the query), or a VNN-LIB file."""


def asked_of(model: Models, query: Asked, store: ModelStore) -> tuple[Query, list[LoadedModel]]:
    """The query, and the networks that it is about in the order of its declarations. InputError where they do not fit it."""
    if isinstance(query, Specification):
        loaded = store.load(_one_path(model))
        return _negation(query, loaded), [loaded]
    asked = query if isinstance(query, Query) else read_query(query)
    wirings = [declaration.wiring for declaration in asked.networks]
    models = [store.load(path, wiring) for path, wiring in zip(_paths(model, asked), wirings, strict=True)]
    for declaration, loaded in zip(asked.networks, models, strict=True):
        _require_fit(declaration, loaded, asked)
    return asked, models


def uncovered(declared: NetworkDeclaration) -> str:
    """What of a network's declaration the checker does not read; empty where it reads all of it."""
    if declared.hidden:
        return "hidden values"
    if len(declared.inputs) > 1 or len(declared.outputs) > 1:
        return "several input or output tensors"
    return "the ONNX names of inputs and outputs" if declared.wiring is not None else ""


def _one_path(model: Models) -> Path:
    """The file of the network that a specification is about."""
    if not isinstance(model, Mapping):
        return network_path(model)
    if len(model) != 1:
        raise InputError(f"a specification is about one network, not {len(model)}", remedy="give one file")
    return network_path(next(iter(model.values())))


def _negation(specification: Specification, loaded: LoadedModel) -> Query:
    network = loaded.network
    specification.box.require_dimension(network.input_size, str(loaded.path))
    try:
        return specification.query(network.output_size, network.interface.element_type)
    except InputError as error:
        raise InputError(error.problem, where=error.where or str(loaded.path), remedy=error.remedy) from None


def _paths(model: Models, query: Query) -> list[Path]:
    """The file of each network that the query declares, in that order."""
    declared = [n.name for n in query.networks]
    if not isinstance(model, Mapping):
        if len(declared) > 1:
            raise InputError(
                f"the query declares {len(declared)} networks: {', '.join(declared)}",
                where=query.source,
                remedy="give a file for each, by name",
            )
        return [network_path(model)]
    foreign = [name for name in model if name not in declared]
    if foreign:
        raise InputError(
            f"there is no network {foreign[0]!r} in the query",
            where=query.source,
            remedy=f"it declares {', '.join(declared)}",
        )
    return [network_path(_file_of(declaration, model, query.networks, query.source)) for declaration in query.networks]


def _file_of(
    declaration: NetworkDeclaration,
    model: Mapping[str, str | Path],
    networks: Sequence[NetworkDeclaration],
    source: str,
) -> str | Path:
    """The file given for a network, or for the one that it is declared equal to."""
    name: str | None = declaration.name
    by_name = {n.name: n for n in networks}
    while name is not None and name not in model:
        name = by_name[name].equal_to if name in by_name else None
    if name is None:
        raise InputError(f"no file is given for network {declaration.name!r}", where=source, remedy="give one for each network")
    return model[name]


def _require_fit(declaration: NetworkDeclaration, loaded: LoadedModel, query: Query) -> None:
    outputs = loaded.network.output_size - declaration.size(Kind.HIDDEN)
    for kind, size in ((Kind.INPUT, loaded.network.input_size), (Kind.OUTPUT, outputs)):
        if declaration.size(kind) != size:
            name = kind.name.lower()
            raise InputError(
                f"the query declares {declaration.size(kind)} {name}s for network {declaration.name}, the file has {size}",
                where=f"{query.source}, {loaded.path}",
                remedy="use the network that the query was written for",
            )
