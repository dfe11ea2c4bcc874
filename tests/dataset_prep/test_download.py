"""Downloads: continued, retried, verified; what fails is named."""

import hashlib

import pytest

from dataset_prep import download as module
from dataset_prep.download import download
from recbole_sda.errors import InputError


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(module, "PAUSE", 0.0)


def test_an_interrupted_download_is_continued(server, tmp_path):
    path = download(f"{server}/file", tmp_path / "raw" / "x")
    assert path.read_bytes() == server.answers.content
    assert server.answers.ranges == [0, len(server.answers.content) // 2]
    assert [p.name for p in path.parent.iterdir()] == ["x"]
    download(f"{server}/file", path)  # complete already
    assert len(server.answers.ranges) == 2


def test_a_part_of_an_earlier_run_is_continued(server, tmp_path):
    (tmp_path / "x.part").write_bytes(server.answers.content[:1000])
    assert download(f"{server}/file-whole", tmp_path / "x").read_bytes() == server.answers.content
    assert server.answers.ranges == [1000]


def test_a_complete_part_is_renamed(server, tmp_path):
    (tmp_path / "x.part").write_bytes(server.answers.content)
    assert download(f"{server}/file-whole", tmp_path / "x").read_bytes() == server.answers.content


def test_a_server_without_ranges_sends_the_file_again(server, tmp_path):
    assert download(f"{server}/file-norange", tmp_path / "x").read_bytes() == server.answers.content


def test_a_busy_server_gets_another_request(server, tmp_path):
    assert download(f"{server}/busy.png", tmp_path / "x").read_bytes() == server.answers.image


def test_refusals_and_failures_are_named(server, tmp_path):
    with pytest.raises(InputError, match="404.png: the server answers 404 Not Found"):
        download(f"{server}/404.png", tmp_path / "x")
    with pytest.raises(InputError, match="given up after 2 tries .*connection closed.*continues"):
        download(f"{server}/file-stuck", tmp_path / "y", tries=2)
    with pytest.raises(InputError, match="given up after 2 tries .*refused"):
        download("http://127.0.0.1:9/x", tmp_path / "z", tries=2)


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_checksums(server, tmp_path, kind):
    right = hashlib.new(kind, server.answers.content).hexdigest()
    download(f"{server}/file-whole", tmp_path / "x", f"{kind}:{right}")
    with pytest.raises(InputError, match=f"has {kind} {right}, not 00"):
        download(f"{server}/file-whole", tmp_path / "x", f"{kind}:00")
