import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_medsam.engine.errors import JournalError
from napari_medsam.engine.journal import Journal, is_locked, read_journal

HEAD = {"type": "session", "format": 1}


def written(path, count=5):
    journal = Journal.create(path)
    journal.append([HEAD])
    for number in range(count):
        journal.append([{"type": "step", "number": number, "text": "ü\n\u2028"}])
    journal.close()
    return path


def test_records_come_back_and_the_chain_can_be_checked_by_hand(tmp_path):
    path = written(tmp_path / "new folder" / "a.journal")
    assert [r.get("number") for r in read_journal(path).records] == [None, 0, 1, 2, 3, 4]
    digest = "0" * 64
    for line in path.read_text(encoding="ascii").splitlines():
        stated, payload = line.split(" ", 1)
        digest = hashlib.sha256((digest + payload).encode()).hexdigest()
        assert stated == digest
        json.loads(payload)


def test_only_its_owner_may_read_it(tmp_path):
    path = written(tmp_path / "a.journal")
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600


def test_it_goes_on_where_it_ended(tmp_path):
    path = written(tmp_path / "a.journal")
    journal, contents = Journal.reopen(path)
    assert journal.put_tail_aside(contents) is None
    assert len(contents.records) == 6
    journal.append([{"type": "more"}])
    journal.close()
    assert read_journal(path).records[-1] == {"type": "more"}
    assert read_journal(path).tail == b""


@given(cut=st.integers(0, 10_000))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_cut_anywhere_every_whole_record_before_is_recovered(tmp_path, cut):
    path = tmp_path / "cut.journal"
    path.unlink(missing_ok=True)
    data = written(path).read_bytes()
    cut %= len(data) + 1
    path.write_bytes(data[:cut])
    whole = data[:cut].count(b"\n")
    if whole == 0:
        with pytest.raises(JournalError):
            Journal.reopen(path)
        assert path.read_bytes() == data[:cut]
        return
    journal, contents = Journal.reopen(path)
    tail = journal.put_tail_aside(contents)
    journal.append([{"type": "more"}])
    journal.close()
    assert len(contents.records) == whole
    assert not contents.was_altered
    rest = data[:cut][data[:cut].rfind(b"\n") + 1 :]
    assert (tail.read_bytes() if tail else b"") == rest
    assert len(read_journal(path).records) == whole + 1


@given(place=st.integers(0, 10_000), value=st.integers(0, 255))
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_changed_byte_is_found_and_nothing_after_it_is_believed(tmp_path, place, value):
    path = tmp_path / "changed.journal"
    path.unlink(missing_ok=True)
    data = bytearray(written(path).read_bytes())
    place %= len(data)
    if data[place] == value:
        value ^= 1
    line = data[:place].count(b"\n")
    data[place] = value
    path.write_bytes(data)
    if line == 0:
        with pytest.raises(JournalError):
            read_journal(path)
    else:
        contents = read_journal(path)
        assert len(contents.records) == line
        assert contents.was_altered or place == len(data) - 1


def test_records_taken_out_or_swapped_are_found(tmp_path):
    lines = written(tmp_path / "a.journal").read_bytes().splitlines(keepends=True)
    path = tmp_path / "b.journal"
    for altered in (lines[:2] + lines[3:], [*lines[:2], lines[3], lines[2], *lines[4:]], lines[:2] + lines[1:]):
        path.write_bytes(b"".join(altered))
        contents = read_journal(path)
        assert len(contents.records) == 2
        assert contents.was_altered


def test_each_damaged_tail_is_kept_in_a_file_of_its_own(tmp_path):
    path = written(tmp_path / "a.journal")
    tails = []
    for text in (b"one", b"two"):
        with path.open("ab") as file:
            file.write(text)
        journal, contents = Journal.reopen(path)
        tail = journal.put_tail_aside(contents)
        journal.close()
        tails.append(tail)
    assert [tail.read_bytes() for tail in tails] == [b"one", b"two"]


def test_a_second_journal_of_the_same_name_is_refused(tmp_path):
    path = written(tmp_path / "a.journal")
    before = path.read_bytes()
    with pytest.raises(JournalError, match="already"):
        Journal.create(path)
    assert path.read_bytes() == before


def test_two_writers_are_refused_also_from_another_process(tmp_path):
    path = written(tmp_path / "a.journal")
    journal, _ = Journal.reopen(path)
    with pytest.raises(JournalError, match="another session"):
        Journal.reopen(path)
    code = (
        "import sys, pathlib\n"
        "from napari_medsam.engine.journal import Journal, is_locked\n"
        "from napari_medsam.engine.errors import JournalError\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "assert is_locked(path)\n"
        "try:\n"
        "    Journal.reopen(path)\n"
        "except JournalError as error:\n"
        "    sys.exit(str(error))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert "another session" in done.stderr
    journal.close()
    assert not is_locked(path)


def test_the_lock_of_a_dead_process_is_free(tmp_path):
    path = written(tmp_path / "a.journal")
    code = (
        "import sys, pathlib, os, signal\n"
        "from napari_medsam.engine.journal import Journal\n"
        "journal = Journal.reopen(pathlib.Path(sys.argv[1]))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    journal, _ = Journal.reopen(path)
    journal.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of a file's size to run into")
def test_a_full_disk_leaves_whole_records_only(tmp_path):
    path = written(tmp_path / "a.journal")
    before = path.read_bytes()
    code = (
        "import sys, pathlib, resource, signal\n"
        "from napari_medsam.engine.journal import Journal\n"
        "from napari_medsam.engine.errors import JournalError\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "journal = Journal.reopen(path)[0]\n"
        "size = path.stat().st_size\n"
        "hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, hard))\n"
        "try:\n"
        "    journal.append([{'type': 'step', 'text': 'x' * 1000}])\n"
        "except JournalError as error:\n"
        "    print(error)\n"
        "assert path.stat().st_size == size\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))\n"
        "journal.append([{'type': 'after'}])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "cannot be written" in done.stdout
    assert path.read_bytes().startswith(before)
    contents = read_journal(path)
    assert contents.records[-1] == {"type": "after"}
    assert contents.tail == b""


@pytest.mark.parametrize("content", [b"", b"PNG\r\n", b"\n\n", b"0" * 64 + b" {}\n", bytes(range(256))])
def test_what_is_no_journal_is_refused_and_left_alone(tmp_path, content):
    path = tmp_path / "a.journal"
    path.write_bytes(content)
    for opened in (read_journal, Journal.reopen):
        with pytest.raises(JournalError, match="not a journal"):
            opened(path)
    assert path.read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["a.journal"]


def test_a_journal_that_is_not_there_is_refused_in_a_sentence(tmp_path):
    for opened in (read_journal, Journal.reopen):
        with pytest.raises(JournalError, match=r"No such file"):
            opened(tmp_path / "none.journal")


def test_a_number_that_is_none_is_never_written(tmp_path):
    path = written(tmp_path / "a.journal")
    journal, _ = Journal.reopen(path)
    with pytest.raises(ValueError, match="JSON"):
        journal.append([{"type": "step", "confidence": float("nan")}])
    journal.close()
    assert read_journal(path).tail == b""


def test_numbers_out_of_arrays_are_plain_numbers_and_other_things_are_refused(tmp_path):
    path = written(tmp_path / "a.journal")
    journal, _ = Journal.reopen(path)
    journal.append([{"type": "step", "place": [np.int64(3), np.float32(0.5), np.bool_(True)]}])
    with pytest.raises(TypeError, match="no place in a journal"):
        journal.append([{"type": "step", "place": object()}])
    journal.close()
    assert read_journal(path).records[-1]["place"] == [3, 0.5, True]
