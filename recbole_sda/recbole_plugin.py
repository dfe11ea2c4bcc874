"""The package's models in RecBole's own functions: ``get_model``, ``Config``, ``run_recbole``, ``load_data_and_model``.

These patches run when RecBole's modules are imported. They add this package's models to what RecBole finds by name and leave
RecBole's own models as they are.
"""

from contextlib import contextmanager
from types import ModuleType
from typing import Any, Iterator, Tuple

from recbole_sda.recbole_patches.replace import replace

PATCHES = {
    "recbole.utils.utils": ["recbole_sda.recbole_plugin:model_names"],
    "recbole.config.configurator": ["recbole_sda.recbole_plugin:model_defaults"],
    "recbole.data.utils": ["recbole_sda.recbole_plugin:base_classes_of_data"],
    "recbole.quick_start.quick_start": ["recbole_sda.recbole_plugin:loading"],
}


@contextmanager
def model_names(utils: ModuleType) -> Iterator[None]:
    """``get_model`` knows the package's models and ``get_trainer`` gives an SDA version its base's trainer."""
    from recbole_sda.model.registry import base_name, class_name, is_package_model, model_class

    yield

    def get_model(model_name: str) -> Any:
        if is_package_model(model_name):
            return model_class(model_name)
        return recbole_get_model(model_name)

    def get_trainer(model_type: Any, model_name: str) -> Any:
        return recbole_get_trainer(model_type, class_name(base_name(model_name)))

    recbole_get_model = replace(utils, "get_model", get_model)
    recbole_get_trainer = replace(utils, "get_trainer", get_trainer)


@contextmanager
def model_defaults(configurator: ModuleType) -> Iterator[None]:
    """``Config`` gives the package's models the defaults of their base and those of properties/."""
    yield

    def _load_internal_config_dict(self: Any, model: str, model_class: Any, dataset: str) -> None:
        from recbole_sda.config.defaults import package_defaults
        from recbole_sda.config.run_config import RunConfig
        from recbole_sda.model.registry import base_name, class_name, is_package_model

        own(self, class_name(base_name(model)), model_class, dataset)
        if isinstance(self, RunConfig) or not is_package_model(model):
            return
        values, given = self.internal_config_dict, self.external_config_dict
        values.update(package_defaults(model, dataset, given))
        values["sparse_updates"] = False  # RecBole's optimizers refuse sparse gradients
        if given.get("loss_type", values.get("loss_type")) == "CE" and not hasattr(model_class, "input_type"):
            values["train_neg_sample_args"] = None  # RecBole's default asks for negatives, which its CE models refuse

    own = replace(configurator.Config, "_load_internal_config_dict", _load_internal_config_dict)


@contextmanager
def base_classes_of_data(utils: ModuleType) -> Iterator[None]:
    """``create_dataset`` and ``data_preparation`` use the classes of an SDA version's base, and count training interactions."""
    yield

    def create_dataset(config: Any) -> Any:
        with _base_name(config):
            return recbole_create_dataset(config)

    def data_preparation(config: Any, dataset: Any) -> Tuple[Any, Any, Any]:
        from recbole_sda.data.datasets import interaction_counts, training_counts

        total = interaction_counts(dataset)  # before a sequential data set leaves out the first item of each user
        with _base_name(config):
            train, valid, test = recbole_data_preparation(config, dataset)
        train._dataset.training_counts = training_counts(total, valid.dataset, test.dataset)
        return train, valid, test

    recbole_create_dataset = replace(utils, "create_dataset", create_dataset)
    recbole_data_preparation = replace(utils, "data_preparation", data_preparation)


def _base_name(config: Any) -> Any:
    from recbole_sda.model.registry import base_name, class_name
    from recbole_sda.recbole_patches.scoped import base_model_name

    return base_model_name(config, class_name(base_name(config["model"])))


@contextmanager
def loading(quick_start: ModuleType) -> Iterator[None]:
    """``load_data_and_model`` reads the checkpoints of RecBole's trainer, which torch 2.6 and later refuse by default.

    As in RecBole, the file is unpickled: load only files that you trust.
    """
    yield

    def load_data_and_model(model_file: str) -> Tuple[Any, ...]:
        import torch

        checkpoint = torch.load(model_file, weights_only=False)
        config = checkpoint["config"]
        quick_start.init_seed(config["seed"], config["reproducibility"])
        quick_start.init_logger(config)
        dataset = quick_start.create_dataset(config)
        train, valid, test = quick_start.data_preparation(config, dataset)
        quick_start.init_seed(config["seed"], config["reproducibility"])
        model = quick_start.get_model(config["model"])(config, train._dataset).to(config["device"])
        model.load_state_dict(checkpoint["state_dict"])
        model.load_other_parameter(checkpoint.get("other_parameter"))
        return config, model, dataset, train, valid, test

    replace(quick_start, "load_data_and_model", load_data_and_model)
