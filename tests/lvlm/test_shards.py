import pytest
import torch

from recbole_sda.errors import InputError
from recbole_sda.lvlm.extraction_plan import make_plan
from recbole_sda.lvlm.items import read_item_content
from recbole_sda.lvlm.settings import read_settings
from recbole_sda.lvlm.shards import Shards, differences


class Words:
    """A processor of words."""

    def render(self, text, with_image):
        return f"<image> {text}" if with_image else text

    def shorten(self, text, max_tokens):
        return text

    def length(self, text, size):
        return len(text.split()) + (10 if size else 0)


def plan_of(items_file, **keys):
    given = {"items": str(items_file), "text_prompt": "{title}", "shard_items": 2, "token_budget": 4, **keys}
    settings = read_settings((), given)
    return make_plan(read_item_content(settings), {"model": "words"}, Words(), ("image", "text"), settings)


def test_plan_holds_each_distinct_input_once(items_file):
    text = items_file.read_text().replace("green flute", "red drum")
    items_file.write_text(text)
    plan = plan_of(items_file)
    assert plan.counts()["text"]["items"] == 6 and plan.counts()["text"]["distinct"] == 5
    for of_one in plan.modalities.values():
        rows = torch.cat([torch.from_numpy(shard.rows) for shard in of_one.shards])
        assert sorted(rows.tolist()) == list(range(len(of_one.distinct.first)))
        for shard in of_one.shards:
            positions = sorted(k for batch in shard.batches for k in batch.tolist())
            assert positions == list(range(len(shard.rows)))


def test_the_fingerprint_follows_what_the_vectors_depend_on(items_file):
    plan = plan_of(items_file)
    assert plan.fingerprint == plan_of(items_file, token_budget=100, workers=0).fingerprint
    assert plan.fingerprint != plan_of(items_file, pooling="last").fingerprint
    assert plan.fingerprint != plan_of(items_file, text_prompt="{tags}").fingerprint


def test_shards_are_taken_up_again(items_file, tmp_path):
    plan = plan_of(items_file)
    shards = Shards(tmp_path / "store", plan)
    shards.open()
    every = shards.missing()
    for shard in every:
        shards.write(shard, torch.from_numpy(shard.rows).float().view(-1, 1))
    assert Shards(tmp_path / "store", plan).missing() == []
    found = shards.assemble("text").squeeze(1).long()
    assert (found.numpy() == plan.modalities["text"].distinct.row).all()
    path = shards.folder / every[0].name
    path.write_bytes(path.read_bytes()[:-3])
    assert [s.name for s in shards.missing()] == [every[0].name]


def test_a_changed_plan_is_refused(items_file, tmp_path):
    Shards(tmp_path / "store", plan_of(items_file)).open()
    Shards(tmp_path / "store", plan_of(items_file)).open()
    with pytest.raises(InputError, match="another plan: settings.pooling: None -> last"):
        Shards(tmp_path / "store", plan_of(items_file, pooling="last")).open()


def test_a_shard_of_another_plan_is_made_again(items_file, tmp_path):
    plan = plan_of(items_file)
    shards = Shards(tmp_path / "store", plan)
    shards.open()
    shard = shards.missing()[0]
    Shards(tmp_path / "store", plan._replace(fingerprint="other")).write(shard, torch.zeros(len(shard.rows), 1))
    assert shard.name in [s.name for s in shards.missing()]


def test_differences():
    assert differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}, "d": 4}) == ["a.c: 2 -> 3", "d: None -> 4"]
