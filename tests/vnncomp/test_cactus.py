"""The cactus plot: well-formed, safe, and with every tool's staircase where it belongs."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.vnncomp.cactus import cactus_svg

SVG = "{http://www.w3.org/2000/svg}"


def tree(times: dict[str, list[float]], title: str = "acasxu") -> ET.Element:
    return ET.fromstring(cactus_svg(times, title))  # noqa: S314  # our own text


def corners(path: ET.Element) -> list[tuple[str, float]]:
    return [(kind, float(number)) for kind, number in re.findall(r"([HV])([-0-9.]+)", path.get("d", ""))]


def test_a_staircase_by_hand() -> None:
    svg = tree({"one": [10.0, 0.1, 1.0], "two": [1.0], "nobody": []})
    assert svg.tag == f"{SVG}svg"
    paths = svg.findall(f"{SVG}path")
    assert len(paths) == 2
    # Decades from 0.1 to 10 s over 698 pixels from 62; three instances over 380 pixels up from 424.
    assert corners(paths[0]) == [("H", 62), ("V", 297.3), ("H", 411), ("V", 170.7), ("H", 760), ("V", 44)]
    assert corners(paths[1]) == [("H", 411), ("V", 297.3)]
    texts = [text.text for text in svg.iter(f"{SVG}text")]
    assert [text for text in texts if text and "(" in text] == [
        "seconds per instance (logarithmic)",
        "one (3)",
        "two (1)",
        "nobody (0)",
    ]
    assert {"0.1", "1", "10"} < set(texts)


def test_many_tools_look_different() -> None:
    svg = tree({f"tool {i}": [1.0 + i] for i in range(20)})
    looks = {(path.get("stroke"), path.get("stroke-dasharray")) for path in svg.findall(f"{SVG}path")}
    assert len(looks) == 20


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(st.text(max_size=12), st.lists(st.floats(0, 1e5), max_size=30), max_size=5),
    st.text(max_size=30),
)
def test_any_names_and_times_make_well_formed_xml_inside_the_frame(times: dict[str, list[float]], title: str) -> None:
    svg = tree(times, title)
    paths = svg.findall(f"{SVG}path")
    assert len(paths) == sum(bool(seconds) for seconds in times.values())
    for kind, number in (corner for path in paths for corner in corners(path)):
        assert (62 <= number <= 760) if kind == "H" else (44 <= number <= 424)
