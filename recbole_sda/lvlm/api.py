"""The two functions of the LVLM stage that Python code and the command line call: adapt and extract."""

from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Union

from recbole_sda.errors import InputError
from recbole_sda.io.yaml import read_yaml
from recbole_sda.lvlm.adaptation import run_adaptation
from recbole_sda.lvlm.adapters import fingerprint, folder_of, record_of
from recbole_sda.lvlm.extraction import run_extraction
from recbole_sda.lvlm.settings import read_settings

PathLike = Union[str, Path]


def adapt(
    *,
    out: PathLike,
    backbone: Optional[PathLike] = None,
    items: Optional[PathLike] = None,
    overwrite: bool = False,
    config_files: Sequence[PathLike] = (),
    **keys: Any,
) -> Dict[str, float]:
    """Train an adapter of a vision-language model on the images and texts of items.

    ``recbole_sda.lvlm.adaptation`` describes the files that the folder ``out`` contains afterwards.

    Args:
        out: folder to write.
        backbone: folder or hub id of a model that reads images and texts.
        items: items file, one JSON object per line: ``item_id``, ``image`` (a path relative to the file) and text fields.
        overwrite: whether the folder of an earlier adaptation is replaced.
        config_files: YAML files with keys of properties/lvlm.yaml; later files win.
        **keys: further keys of properties/lvlm.yaml, which win over the files; ``preset="paper"`` takes the paper's settings.

    Returns:
        ``step`` of the best evaluation, and its metrics on held-out items, such as ``recall@10``.

    Raises:
        InputError: a key is unknown or its value is not allowed, ``out`` exists, the backbone or the items cannot be used,
            or the loss diverges.

    Example:
        A random model and items without meaning; a real model is given by its id, such as
        ``backbone="Qwen/Qwen2.5-VL-7B-Instruct"``.

        >>> import json, tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from recbole_sda import lvlm
        >>> from recbole_sda.lvlm.tiny import make_tiny
        >>> folder = tempfile.TemporaryDirectory()
        >>> root = Path(folder.name)
        >>> lines = []
        >>> for k in range(12):
        ...     Image.new("RGB", (32, 32), (20 * k, 90, 90)).save(root / f"{k}.png")
        ...     lines.append(json.dumps({"item_id": f"i{k}", "title": f"red drum {k}", "image": f"{k}.png"}))
        >>> _ = (root / "items.jsonl").write_text("\\n".join(lines))
        >>> best = lvlm.adapt(
        ...     backbone=make_tiny("qwen2_5_vl", root / "model"), items=root / "items.jsonl", out=root / "adapted",
        ...     dtype="float32", steps=2, batch_size=4, held_out=0.4, workers=0,
        ... )
        >>> best["step"] in (0, 2), (root / "adapted/adapter/adapter_config.json").is_file()
        (True, True)
        >>> folder.cleanup()
    """
    values = _given(backbone=backbone, items=items)
    return run_adaptation(read_settings(config_files, {**values, **keys}), out, overwrite)


def extract(
    *,
    out: PathLike,
    backbone: Optional[PathLike] = None,
    items: Optional[PathLike] = None,
    adapter: Optional[PathLike] = None,
    overwrite: bool = False,
    config_files: Sequence[PathLike] = (),
    actors: Optional[int] = None,
    gpus_per_actor: Optional[float] = None,
    address: Optional[str] = None,
    **keys: Any,
) -> Path:
    """Encode the images and texts of items and write the vectors to a feature store.

    An interrupted extraction continues when it is called again with the same arguments.

    Args:
        out: feature store to write, ``<data_path>/<dataset>/features/<name>`` for a run to find it.
        backbone: folder or hub id of a model; by default, that of the adapter.
        items: items file, see :func:`adapt`; by default, that of the adapter.
        adapter: folder that :func:`adapt` has written. Its keys are the defaults of all keys, so that prompts and pooling are
            those of training; ``method="none"`` encodes with these keys but without the adapter.
        overwrite: whether an existing store is replaced.
        config_files: YAML files with keys of properties/lvlm.yaml; later files win.
        actors: number of Ray actors that encode; None: this process.
        gpus_per_actor: share of a GPU per actor; None: one GPU if Ray has any.
        address: address of a Ray cluster; None: this machine.
        **keys: further keys of properties/lvlm.yaml, which win over the files.

    Returns:
        The path of the store.

    Raises:
        InputError: a key is not allowed, ``out`` exists, or the backbone, the adapter or the items cannot be used.

    Example:
        A random language model, which reads the items' texts only.

        >>> import pathlib, tempfile
        >>> from recbole_sda import FeatureStore, lvlm
        >>> from recbole_sda.lvlm.tiny import make_tiny
        >>> folder = tempfile.TemporaryDirectory()
        >>> root = pathlib.Path(folder.name)
        >>> _ = (root / "items.jsonl").write_text('{"item_id": "a", "title": "red drum"}\\n{"item_id": "b", "title": "harp"}\\n')
        >>> model = make_tiny("qwen3", root / "model")
        >>> path = lvlm.extract(backbone=model, items=root / "items.jsonl", out=root / "store", workers=0)
        >>> store = FeatureStore(path)
        >>> store.item_ids, {name: tuple(store.matrix(name).shape) for name in store.modalities}
        (['a', 'b'], {'text': (2, 32)})
        >>> folder.cleanup()
    """
    values = {**_given(backbone=backbone, items=items, adapter=adapter), **keys}
    settings = read_settings(config_files, values, _settings_of_adapter(config_files, values))
    encode_shards = None
    if actors is not None:
        from recbole_sda.lvlm.ray_extract import ray_shard_encoder

        encode_shards = ray_shard_encoder(settings, actors, gpus_per_actor, address)
    return run_extraction(settings, out, overwrite, encode_shards)


def _given(**paths: Optional[PathLike]) -> Dict[str, Any]:
    """Return the arguments that are not None, as text."""
    return {name: str(path) for name, path in paths.items() if path is not None}


def _settings_of_adapter(config_files: Sequence[PathLike], keys: Dict[str, Any]) -> Optional[Dict[str, Any]]:
    """Return the settings of the adaptation that the given adapter comes from; None if they are not recorded.

    Raises:
        InputError: ``method`` is given and is neither that of the adapter nor none.
    """
    given: Dict[str, Any] = {}
    for layer in (*map(read_yaml, config_files), keys):
        given.update(layer)
    if not given.get("adapter"):
        return None
    folder = folder_of(given["adapter"])
    method, trained = given.get("method"), fingerprint(folder)["method"]
    if method not in (None, "none", trained):
        raise InputError(
            f"method={method}: the method of {folder} is {trained}; leave method out, or give none for the bare model"
        )
    return record_of(folder).get("settings")
