"""Energy by CodeCarbon, offline: real values, no network, and runs that go on where nothing can be measured."""

import builtins
import logging
import socket

import pytest

from recbole_sda.engine import experiment
from recbole_sda.engine.energy import EnergyMeter
from recbole_sda.engine.run_folder import read_metrics
from recbole_sda.errors import InputError

ON = {"measure_energy": True, "energy_country": "KOR"}


@pytest.fixture
def no_network(monkeypatch):
    """Each connection of a socket is recorded and refused."""
    tried = []

    def refuse(self, address):
        tried.append(address)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tried


def work(n: int) -> int:
    return sum(number * number for number in range(n))


def test_phases_of_the_real_library(no_network, capfd):
    pytest.importorskip("codecarbon")
    meter = EnergyMeter(ON)
    with meter.phase("training"):
        work(3 * 10**6)
    with meter.phase("evaluation"):
        work(10**4)
    record = meter.record()
    assert record["training"]["kwh"] > record["evaluation"]["kwh"] > 0
    assert 0.1 < record["training"]["co2e_kg"] / record["training"]["kwh"] < 1  # kg per kWh of Korea's grid
    assert record["country"] == "KOR" and record["codecarbon"][0].isdigit()
    assert no_network == [] and "codecarbon" not in capfd.readouterr().err


def test_without_a_country_there_is_energy_alone():
    pytest.importorskip("codecarbon")
    meter = EnergyMeter({"measure_energy": True, "energy_country": None})
    with meter.phase("training"):
        work(10**5)
    assert meter.record()["training"]["co2e_kg"] is None and meter.record()["training"]["kwh"] > 0


def test_a_run_records_its_energy(tiny_keys, tmp_path):
    pytest.importorskip("codecarbon")
    keys = {**tiny_keys, "run_dir": str(tmp_path / "run"), "epochs": 1}
    plain = experiment.run("BPR", "tiny", (), keys)
    assert "energy" not in plain
    measured = experiment.run("BPR", "tiny", (), {**keys, **ON, "run_dir": str(tmp_path / "measured")})
    assert measured["test"] == plain["test"]
    stored = read_metrics(tmp_path / "measured")["energy"]
    assert stored == measured["energy"] and stored["training"]["kwh"] > 0 and stored["evaluation"]["co2e_kg"] > 0
    again = experiment.evaluate(tmp_path / "run", ON)
    assert list(again["energy"]) == ["evaluation", "country", "codecarbon"]


def test_an_error_of_training_stops_the_tracker():
    codecarbon = pytest.importorskip("codecarbon")
    stopped = []

    class Tracker(codecarbon.OfflineEmissionsTracker):
        def stop(self):
            stopped.append(True)
            return super().stop()

    meter = EnergyMeter(ON)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(InputError, match="wrong"):
        patch.setattr(codecarbon, "OfflineEmissionsTracker", Tracker)
        with meter.phase("training"):
            raise InputError("wrong")
    assert stopped == [True]


@pytest.mark.parametrize("method", ["__init__", "start", "stop"])
def test_a_failing_library_is_one_warning(method, monkeypatch, caplog):
    codecarbon = pytest.importorskip("codecarbon")

    def fail(*args, **kwargs):
        raise RuntimeError("no\ncounter")

    monkeypatch.setattr(codecarbon.OfflineEmissionsTracker, method, fail)
    meter = EnergyMeter(ON)
    with caplog.at_level(logging.WARNING):
        for name in ("training", "evaluation"):
            with meter.phase(name):
                work(10)
    assert meter.record() is None and caplog.messages == ["measure_energy: not measured (no counter)"]


def test_a_code_that_no_country_has(caplog):
    pytest.importorskip("codecarbon")
    meter = EnergyMeter({"measure_energy": True, "energy_country": "XXX"})
    with meter.phase("training"):
        pass
    assert meter.record() is None and "energy_country=XXX: CodeCarbon does not know this code" in caplog.text


def test_without_the_package_a_run_goes_on(tiny_keys, tmp_path, monkeypatch, caplog):
    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name.split(".")[0] == "codecarbon":
            raise ModuleNotFoundError("No module named 'codecarbon'", name="codecarbon")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    result = experiment.run("BPR", "tiny", (), {**tiny_keys, **ON, "run_dir": str(tmp_path / "run"), "epochs": 1})
    assert "energy" not in result and result["test"]
    assert caplog.text.count("measure_energy") == 1 and "pip install -e '.[energy]'" in caplog.text


@pytest.mark.parametrize("country", ["Korea", "kor", 82])
def test_wrong_countries(tiny_keys, country):
    with pytest.raises(InputError, match="energy_country=.*expected a code of three capital letters"):
        experiment.run("BPR", "tiny", (), {**tiny_keys, "energy_country": country})
