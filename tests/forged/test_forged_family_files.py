"""Families of slices whose files are forged: each must be refused, with exactly these words, in both arithmetics."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.checker.family_cases import (
    Changes,
    write_family,
)
from tests.forged.family_case import HASH, LAST, honest
from tests.forged.headers import set_in
from tests.forged.test_forged_queries import check_words


def file_name(name: Any) -> Changes:
    return Changes(manifest=set_in("files", 1, "file", to=name))


def text(old: str, new: str) -> Callable[[str], str]:
    def change(own: str) -> str:
        assert old in own
        return own.replace(old, new, 1)

    return change


BELOW = "does not lead to a file below the manifest's folder"
WRITTEN: dict[str, tuple[Changes, str, str, str]] = {
    "parent": (file_name("../net.onnx"), "manifest", "files[1].file", f"../net.onnx {BELOW}"),
    "parent_inside": (file_name("slices/../0.onnx"), "manifest", "files[1].file", f"slices/../0.onnx {BELOW}"),
    "here": (file_name("./slices/0.onnx"), "manifest", "files[1].file", f"./slices/0.onnx {BELOW}"),
    "empty_component": (file_name("slices//0.onnx"), "manifest", "files[1].file", f"slices//0.onnx {BELOW}"),
    "folder": (file_name("slices/"), "manifest", "files[1].file", f"slices/ {BELOW}"),
    "absolute": (file_name("/slices/0.onnx"), "manifest", "files[1].file", f"/slices/0.onnx {BELOW}"),
    "backslash": (file_name("slices\\..\\0.onnx"), "manifest", "files[1].file", "slices\\..\\0.onnx is not a path with slashes"),
    "drive": (file_name("C:/0.onnx"), "manifest", "files[1].file", "C:/0.onnx is not a path with slashes"),
    "file_twice": (file_name("slices/0.onnx"), "manifest", "files[1]", "slices/0.onnx is listed twice"),
    "number_as_file": (file_name(5), "manifest", "files[1].file", "a text is needed"),
    "number_as_hash": (
        Changes(manifest=set_in("files", 1, "sha256", to=int("1" * 64))), "manifest", "files[1].sha256", "a text is needed",
    ),
    "control_characters": (file_name("slices/\0.onnx"), "manifest", "files[1].file", "a printable text is needed"),
    "hash_of_a_slice": (
        Changes(manifest=set_in("files", 1, "sha256", to=HASH)),
        "hash", "manifest files[1]", "1.onnx is not the file that was certified",
    ),
    "hash_too_short": (
        Changes(manifest=set_in("files", 1, "sha256", to="0")),
        "manifest", "files[1].sha256", "64 lower-case hexadecimal digits are needed",
    ),
    "hash_of_the_manifest": (
        Changes(header=set_in("manifest", "sha256", to=HASH)), "hash", "manifest",
        "manifest.json is not the file that was certified",
    ),
    "hash_of_the_network": (
        Changes(header=set_in("original", "sha256", to=HASH)), "hash", "original", "net.onnx is not the file that was certified",
    ),
    "manifest_key": (Changes(manifest=set_in("note", to="")), "manifest", "file", "unknown key 'note'"),
    "manifest_without_nodes": (Changes(manifest=lambda own: own.pop("nodes")), "manifest", "file", "the key 'nodes' is missing"),
    "manifest_version": (
        Changes(manifest=set_in("version", to=2)), "manifest", "format", "only version 1 of secateur-family is known",
    ),
    "manifest_version_as_text": (
        Changes(manifest=set_in("version", to="1")), "manifest", "format", "only version 1 of secateur-family is known",
    ),
    "manifest_version_as_a_decimal": (
        Changes(manifest_text=text('"version": 1', '"version": 1.0')),
        "manifest", "format", "only version 1 of secateur-family is known",
    ),
    "manifest_format": (
        Changes(manifest=set_in("format", to="secateur-certificate")),
        "manifest", "format", "only version 1 of secateur-family is known",
    ),
    "manifest_producer": (Changes(manifest=set_in("producer", to=1)), "manifest", "producer", "a text is needed"),
    "key_twice": (
        Changes(manifest_text=text('"version": 1', '"version": 1, "version": 1')),
        "manifest", "file", "not valid JSON: a key occurs twice",
    ),
    "leaf_as_a_decimal": (
        Changes(manifest_text=text('"1/2"], 1, 2]', '"1/2"], 1.0, 2]')),
        "manifest", "nodes[3]", "a cut or the number of a file is needed",
    ),
    "leaf_as_text": (
        Changes(manifest_text=text('"1/2"], 1, 2]', '"1/2"], "1", 2]')),
        "manifest", "nodes[3]", "a cut or the number of a file is needed",
    ),
    "huge_leaf": (
        Changes(manifest_text=text('"1/2"], 1, 2]', f'"1/2"], {"9" * 5000}, 2]')),
        "manifest", "nodes[3]", "a cut or the number of a file is needed",
    ),
    "infinite_bound": (
        Changes(manifest_text=text('"upper": ["1"', '"upper": [Infinity')),
        "manifest", "file", "not valid JSON: Infinity is no number",
    ),
    "bound_that_is_none": (
        Changes(manifest=set_in("upper", 1, to="1e9999")), "manifest", "upper[1]", "not an exact number",
    ),
    "uneven_box": (
        Changes(manifest=set_in("upper", to=["1"])), "manifest", "file", "lower and upper have different lengths",
    ),
    "deep_manifest": (
        Changes(manifest=set_in("nodes", to=[]), manifest_text=text('"nodes": []', '"nodes": ' + "[" * 10**5)),
        "manifest", "file",
        "not valid JSON: maximum recursion depth exceeded while decoding a JSON array from a unicode string",
    ),
    "header_key": (Changes(header=set_in("domain", to={})), "header", "header", "unknown key 'domain'"),
    "header_facts": (Changes(header=set_in("facts", to={})), "header", "header", "unknown key 'facts'"),
    "no_manifest": (Changes(header=lambda own: own.pop("manifest")), "header", "header", "the key 'manifest' is missing"),
    "claim_key": (Changes(header=set_in("claim", "tolerance", to="0")), "header", "claim", "unknown key 'tolerance'"),
    "longer": (
        Changes(header=lambda own: own["regions"].update(length=own["regions"]["length"] + 1)),
        "container", "regions", "the stream holds fewer than the announced * bytes",
    ),
    "shorter": (
        Changes(header=lambda own: own["regions"].update(length=own["regions"]["length"] - 1)),
        "container", "regions", "the stream holds more than the announced * bytes",
    ),
    "far_too_long": (
        Changes(header=set_in("regions", "length", to=(1 << 30) + 1)),
        "header", "regions.length", f"an integer from 2 to {1 << 30} is needed",
    ),
    "fewer_bytes": (
        Changes(header=lambda own: own["regions"].update(bytes=own["regions"]["bytes"] - 1)),
        "container", "regions", "the stream holds fewer than the announced * bytes",
    ),
    "more_bytes": (
        Changes(header=lambda own: own["regions"].update(bytes=own["regions"]["bytes"] + 1)),
        "container", "regions", "bytes follow the compressed stream",
    ),
    "bytes_beyond_the_end": (
        Changes(header=set_in("regions", "bytes", to=10**6)), "container", "regions", "the file ends inside this stream",
    ),
    "region_key_twice": (
        Changes(regions_text=text('"facts": null', '"facts": null, "facts": null')),
        "regions", f"{LAST} list", "not valid JSON: a key occurs twice",
    ),
    "regions_no_list": (
        Changes(regions_text=lambda own: f'{{"nodes": {own}}}'),
        "regions", "node 0 list", "not valid JSON: '[' is needed at place 0",
    ),
    "text_behind_the_regions": (
        Changes(regions_text=lambda own: own + "]"),
        "regions", "list", "not valid JSON: characters follow the list at place *",
    ),
    "unfinished_regions": (
        Changes(regions_text=lambda own: own[:-1]),
        "regions", "list", "not valid JSON: ',' or ']' is needed at place *",
    ),
    "comma_before_the_end": (
        Changes(regions_text=lambda own: own[:-1] + ",]"), "regions", "list",
        "not valid JSON: Expecting value: line 1 column * (char *)",
    ),
    "no_regions": (
        Changes(regions_text=lambda _: "[ ]"), "regions", "node 0", "the list ends before the nodes of the partition do",
    ),
    "tree_bytes": (
        Changes(regions=set_in(0, "trees", 0, "bytes", to=10**6)),
        "container", "node 0 facts.trees[0]", "the file ends inside the stream of this tree",
    ),
    "tree_nodes": (
        Changes(regions=set_in(0, "trees", 0, "nodes", to=2)),
        "container", "node 0 original tree 0", "the stream holds more than the announced 2 symbols",
    ),
    "missing_stream": (
        Changes(streams=lambda own: own.pop()), "container", f"{LAST} difference", "the file ends inside the stream of this tree",
    ),
    "extra_stream": (
        Changes(streams=lambda own: own.append(b"\0")), "container", "end", "1 bytes follow the last stream",
    ),
    "truncated_stream": (
        Changes(streams=lambda own: own.__setitem__(1, own[1][:-1])),
        "container", f"{LAST} difference", "the file ends inside the stream of this tree",
    ),
    "trusted_leaves": (
        Changes(regions=set_in(4, "evidence", "difference", "trusted", to=1)),
        "container", f"{LAST} difference", "the stream holds 0 trusted leaves, not the announced 1",
    ),
    "claims_in_a_difference": (
        Changes(regions=set_in(4, "evidence", "difference", "claims", to=[])), "regions", f"{LAST} difference",
        "unknown key 'claims'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
def test_forged_files(name: str, tmp_path: Path) -> None:
    changes, *words = WRITTEN[name]
    check_words(write_family(tmp_path, honest(), changes), *words)


# Files that are not what the manifest says.


@pytest.mark.parametrize("number", range(3))
def test_an_altered_network_is_refused_before_anything_else(number: int, tmp_path: Path) -> None:
    case = honest()
    case.regions[0]["trees"][0]["symbols"] = [0]  # is never looked at
    path = write_family(tmp_path, case) / f"slices/{number}.onnx"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    check_words(tmp_path, "hash", f"manifest files[{number}]", f"{number}.onnx is not the file that was certified")


def test_an_altered_manifest_is_refused(tmp_path: Path) -> None:
    path = write_family(tmp_path, honest()) / "manifest.json"
    path.write_text(path.read_text().replace('"0"', '"1/8"'))
    check_words(tmp_path, "hash", "manifest", "manifest.json is not the file that was certified")


def test_a_bomb_in_a_tree(tmp_path: Path) -> None:
    """A stream of many symbols for a tree of three nodes: only four of them are ever decompressed."""
    case = honest()
    bomb = zlib.compress(bytes(1 << 24))
    own = Changes(regions=set_in(0, "trees", 0, "bytes", to=len(bomb)), streams=lambda streams: streams.__setitem__(0, bomb))
    nodes = len(case.regions[0]["trees"][0]["symbols"])
    words = f"the stream holds more than the announced {nodes} symbols"
    check_words(write_family(tmp_path, case, own), "container", "node 0 original tree 0", words)
