"""Result rows on the disk: what is read, what survives a kill or a full disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.errors import InputError
from secateur.vnncomp.instances import identify
from secateur.vnncomp.results import ResultRow, ResultsFile, read_results, save_witness, witness_name
from secateur.vnncomp.verdicts import Status, classify

ROW = ResultRow("acasxu", "onnx/a.onnx", "vnnlib/p.vnnlib", 0.0, "unsat", 1.25)
OTHER = ResultRow("acasxu", "[('f', 'a.onnx'), ('g', 'b.onnx')]", "vnnlib/q.vnnlib", 0.5, "sat", 0.001)


def refuse_notes(text: str) -> None:
    raise AssertionError(text)


def test_rows_are_appended_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with ResultsFile(path, resume=False, note=refuse_notes) as results:
        results.append(ROW)
        assert path.read_text() == "acasxu,onnx/a.onnx,vnnlib/p.vnnlib,0.000000,unsat,1.250000\n"
        results.append(OTHER)
    assert read_results(path) == [ROW, OTHER]
    with ResultsFile(path, resume=True, note=refuse_notes) as results:
        assert results.rows == [ROW, OTHER]


@settings(deadline=None, max_examples=40)
@given(cut=st.integers(1, 60))
def test_a_torn_row_is_dropped_whatever_is_left_of_it(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("torn") / "out.csv"
    path.write_bytes(ROW.line() + OTHER.line()[:cut])
    notes: list[str] = []
    with ResultsFile(path, resume=True, note=notes.append) as results:
        assert results.rows == [ROW]
        results.append(OTHER)
    assert len(notes) == 1
    assert "dropped a row that was cut short" in notes[0]
    assert path.read_bytes() == ROW.line() + OTHER.line()


def test_a_file_that_is_there_is_kept_without_resume(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_bytes(ROW.line())
    with pytest.raises(InputError, match=r"out\.csv: exists already; add --resume, or give another file"):
        ResultsFile(path, resume=False, note=refuse_notes)
    assert path.read_bytes() == ROW.line()


def test_a_file_that_holds_something_else_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("first line\nsecond line without an end")
    with pytest.raises(InputError, match="line 1: has 1 columns; write category"):
        ResultsFile(path, resume=True, note=refuse_notes)
    assert path.read_text() == "first line\nsecond line without an end"


@pytest.mark.skipif(os.name != "posix", reason="file size limits are POSIX")
def test_a_full_disk_leaves_whole_rows_and_one_clear_line(tmp_path: Path) -> None:
    import resource

    path = tmp_path / "out.csv"
    with ResultsFile(path, resume=False, note=refuse_notes) as results:
        results.append(ROW)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(ROW.line()) + 10, hard))
        try:
            with pytest.raises(InputError, match=r"out\.csv: cannot be written: File too large; what was written before is kept"):
                results.append(OTHER)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert path.read_bytes() == ROW.line()
        results.append(OTHER)
    assert read_results(path) == [ROW, OTHER]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_device_that_is_full_is_told_in_one_line() -> None:
    with (
        ResultsFile("/dev/full", resume=False, note=refuse_notes) as results,
        pytest.raises(
            InputError, match=r"^/dev/full: cannot be written: No space left on device; what was written before is kept$"
        ),
    ):
        results.append(ROW)


def test_a_folder_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written: No such file or directory"):
        ResultsFile(tmp_path / "nowhere" / "out.csv", resume=False, note=refuse_notes)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("acasxu,a.onnx,p.vnnlib,0,sat\n", "line 1: has 5 columns; write category,onnx,vnnlib,prepare_time,result,run_time"),
        ("acasxu,a.onnx,p.vnnlib,0,satisfied,1\n", "line 1: unknown result 'satisfied'; the results are sat"),
        ("acasxu,a,p,0,sat,1\nacasxu,a,p,0,sat,fast\n", "line 2: 'fast' is no number of seconds; write"),
        ("acasxu,a,p,nan,sat,1\n", "line 1: 'nan' is no number of seconds; write"),
        ("acasxu,[1],p,0,sat,1\n", "line 1: the column onnx is no list of (name, path) pairs"),
    ],
)
def test_malformed_results_are_refused_in_one_line(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "tool.csv").write_text(text)
    with pytest.raises(InputError) as caught:
        read_results(tmp_path / "tool.csv")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("unsat", Status.UNSAT),
        ("SAT ", Status.SAT),
        ("holds", Status.UNSAT),
        ("violated", Status.SAT),
        ("timed-out", Status.TIMEOUT),
        ("run_instance_timeout", Status.TIMEOUT),
        ("timeout(X_0 0.5)", Status.TIMEOUT),
        ("error_exit_code_1", Status.ERROR),
        ("error_nonmaximal", Status.UNKNOWN),
        ("prepare_instance_error_1", Status.UNKNOWN),
        ("no_result_in_file", Status.UNKNOWN),
        ("", Status.UNKNOWN),
        ("sat?", None),
        ("unsatisfied", None),
    ],
)
def test_words_of_the_competition(word: str, status: Status | None) -> None:
    assert classify(word) is status


@pytest.mark.parametrize(
    ("onnx", "vnnlib", "name"),
    [
        ("onnx/a.onnx", "vnnlib/p.vnnlib", "a_p.counterexample"),
        ("./benchmarks/x/onnx/medical/net.onnx.gz", "vnnlib/medical/p_1.2.vnnlib", "medical_net_medical_p_1.2.counterexample"),
        ("test_nano.onnx", "test_nano.vnnlib", "test_nano_test_nano.counterexample"),
        ("[('f', 'onnx/o/a.onnx'), ('g', 'onnx/p/b.onnx')]", "vnnlib/q.vnnlib", "o_a_p_b_q.counterexample"),
    ],
)
def test_witnesses_have_a_file_each(tmp_path: Path, onnx: str, vnnlib: str, name: str) -> None:
    identity = identify(onnx, vnnlib)
    assert witness_name(identity) == name
    path = save_witness(tmp_path / "out.csv", "cat", identity, "((X_0 1))")
    assert path == tmp_path / "out-witnesses" / "cat" / name
    assert path.read_text() == "((X_0 1))"
