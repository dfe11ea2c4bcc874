import logging
from pathlib import Path

import pytest

from recbole_sda.errors import InputError
from recbole_sda.io.hub import HubName, check_hash, fetch, is_hub_name, parse_hub_name

hf = pytest.importorskip("huggingface_hub")


@pytest.fixture
def repository(hub):
    """A data set repository with a small and a large file, at two commits; ``main`` is the second."""
    api = hf.HfApi(endpoint=hub.url)
    api.create_repo("shop/data", repo_type="dataset")
    commits = []
    for text in (b"one", b"two"):
        files = {"a.txt": text, "folder/b.safetensors": text * 1000}
        operations = [hf.CommitOperationAdd(path, content) for path, content in files.items()]
        commits.append(api.create_commit("shop/data", operations, commit_message="x", repo_type="dataset").oid)
    return commits


FILES = ["a.txt", "folder/b.safetensors"]


@pytest.mark.parametrize(
    "text", ["shop", "a/b/c", "shop/da ta", "../x/y", "a/..", "a/b@", "a/b@../x", "/a/b", "a/b--c", "hf://", "é/b"]
)
def test_wrong_names(text):
    with pytest.raises(InputError, match="expected owner/name or owner/name@revision"):
        parse_hub_name("features", text)


def test_names():
    assert parse_hub_name("x", "hf://shop/my.data_1@refs/pr/1") == HubName("shop/my.data_1", "refs/pr/1")
    assert str(HubName("a/b", "v1")) == "hf://a/b@v1" and str(HubName("a/b")) == "hf://a/b"
    assert is_hub_name("hf://a/b") and not is_hub_name("light") and not is_hub_name(None)


def test_branch_and_commit(repository):
    newest = fetch(HubName("shop/data"), "dataset", FILES)
    older = fetch(HubName("shop/data", repository[0]), "dataset", FILES)
    assert [newest.commit, older.commit] == repository[::-1]
    assert (newest.folder / "a.txt").read_text() == "two"
    assert (older.folder / "folder/b.safetensors").read_text() == "one" * 1000
    for snapshot in (newest, older):
        for file in FILES:
            check_hash(snapshot.folder / file)


def test_a_cached_commit_needs_no_request(repository, hub):
    fetch(HubName("shop/data", repository[0]), "dataset", FILES)
    hub.requests.clear()
    fetch(HubName("shop/data", repository[0]), "dataset", FILES)
    assert hub.requests == []


def test_without_network_the_cache_is_used(repository, hub, caplog):
    fetch(HubName("shop/data"), "dataset", FILES)
    hub.close()
    with caplog.at_level(logging.WARNING):
        assert fetch(HubName("shop/data"), "dataset", FILES).commit == repository[1]
    assert f"the cached commit {repository[1]} is used" in caplog.text
    with pytest.raises(InputError, match="the Hub cannot be reached") as caught:
        fetch(HubName("shop/data", repository[0]), "dataset", FILES)
    assert "\n" not in str(caught.value)


def test_offline_mode(repository, hub, monkeypatch):
    fetch(HubName("shop/data"), "dataset", FILES)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    hub.requests.clear()
    assert fetch(HubName("shop/data"), "dataset", FILES).commit == repository[1]
    with pytest.raises(InputError, match="HF_HUB_OFFLINE is set and the cache does not have all files"):
        fetch(HubName("shop/data", repository[0]), "dataset", FILES)
    assert hub.requests == []


@pytest.mark.parametrize("file", FILES)
def test_a_flipped_byte_in_the_cache_is_found(repository, file):
    snapshot = fetch(HubName("shop/data"), "dataset", FILES)
    blob = (snapshot.folder / file).resolve()
    content = bytearray(blob.read_bytes())
    content[1] ^= 1
    blob.write_bytes(content)
    with pytest.raises(InputError, match=f"{Path(file).name} is damaged: its hash is not the one of the Hub; remove"):
        check_hash(snapshot.folder / file)


def test_what_is_not_there(repository):
    with pytest.raises(
        InputError, match="hub pull shop/other: there is no such repository, or it is private; a token comes from"
    ):
        fetch(HubName("shop/other"), "dataset", FILES)
    with pytest.raises(InputError, match="hub pull shop/data: there is no revision 'v9'"):
        fetch(HubName("shop/data", "v9"), "dataset", FILES)
    with pytest.raises(InputError, match=f"hub pull shop/data: commit {repository[1][:12]} has no c.txt"):
        fetch(HubName("shop/data"), "dataset", ["a.txt", "c.txt"])
    with pytest.raises(InputError, match="its files have 3,003 bytes, more than the limit of 3,000"):
        fetch(HubName("shop/data"), "dataset", FILES, limit=3000)


def test_private_repository_without_a_token(repository, hub, monkeypatch):
    hub.repositories["dataset", "shop/data"].private = True
    monkeypatch.setenv("HF_TOKEN", "hf_wrongwrongwrongwrongwrong")
    with pytest.raises(InputError, match="no such repository, or it is private") as caught:
        fetch(HubName("shop/data"), "dataset", FILES)
    assert "hf_wrong" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_name_of_the_hub_has_no_effect_without_the_library(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"needs huggingface_hub: pip install 'recbole-sda\[hub\]'"):
        fetch(HubName("shop/data"), "dataset", FILES)


@pytest.mark.parametrize(
    "content",
    [
        b"<html>",
        b"",
        b"null",
        b"[]",
        b"{}",
        b"[" * 99999,
        b'{"id": "a/b", "siblings": "x"}',
        b'{"id": "a/b", "siblings": [{}]}',
    ],
)
def test_answers_of_another_server(hub, monkeypatch, content):
    monkeypatch.setattr(hub.RequestHandlerClass, "_info", lambda self, *_: self._send(200, content))
    with pytest.raises(InputError, match="hub pull shop/gone: the answer is not one of the Hub"):
        fetch(HubName("shop/gone"), "model", ["a.txt"])
