"""The Ray session: opened and closed here, or the caller's, which stays open."""

import logging
import socket

import pytest
import ray

from recbole_sda.errors import InputError
from recbole_sda.machine.ray_session import _check_reachable, check_gpu_share, ray_session, worker_device_keys


def test_a_session_that_is_opened_here_is_closed():
    assert not ray.is_initialized()
    with pytest.raises(RuntimeError, match="of the caller"), ray_session():
        assert ray.is_initialized()
        raise RuntimeError("of the caller")
    assert not ray.is_initialized()


def test_an_address_without_a_cluster_is_refused():
    if ray._private.services.find_gcs_addresses():
        pytest.skip("`auto` finds a cluster of another program on this machine")
    with pytest.raises(InputError, match="address='auto': no Ray cluster answers there"), ray_session("auto"):
        pass
    assert not ray.is_initialized()


def test_a_cluster_that_answers_and_refuses_is_no_missing_cluster(monkeypatch):
    """Ray 2.60 reports a rejected RAY_AUTH_TOKEN as a failed connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def refuse(**_):
            raise ConnectionError(f"Failed to connect to Ray cluster at 127.0.0.1:{port}")

        monkeypatch.setattr(ray, "init", refuse)
        with (
            pytest.raises(InputError, match="a server answers there, but Ray cannot join it .*RAY_AUTH_TOKEN"),
            ray_session("auto"),
        ):
            pass
    with pytest.raises(InputError, match="no Ray cluster answers there"), ray_session("auto"):  # the server is gone
        pass


@pytest.fixture(scope="module")
def callers_session():
    """A local session that the caller opened. It stays open from its first test here to the last one of this file."""
    ray.init(num_cpus=1, include_dashboard=False, logging_level=logging.ERROR)
    yield ray.get_runtime_context()
    ray.shutdown()


def test_a_session_of_the_caller_is_used_and_left_open(callers_session):
    job, address = callers_session.get_job_id(), callers_session.gcs_address
    for given in (None, "auto", address):
        with ray_session(given):
            assert ray.get_runtime_context().get_job_id() == job
            assert ray.cluster_resources()["CPU"] == 1
    with pytest.raises(RuntimeError, match="of the caller"), ray_session():
        raise RuntimeError("of the caller")
    assert ray.is_initialized() and ray.get_runtime_context().get_job_id() == job


def test_another_address_than_that_of_the_callers_session_is_refused(callers_session):
    with pytest.raises(InputError, match="address='10.0.0.1:6379': this process already has a Ray session at '.+:"):
        with ray_session("10.0.0.1:6379"):
            pass
    assert ray.is_initialized()


def test_a_share_of_a_gpu_that_ray_does_not_see(monkeypatch, caplog):
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0})
    check_gpu_share(0.0)
    assert not caplog.text
    with pytest.raises(InputError, match="gpus=0.5: Ray sees 0 GPUs; give gpus=0"):
        check_gpu_share(0.5)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"GPU": 1.0})
    check_gpu_share(1.0)
    assert not caplog.text
    check_gpu_share(0.0)
    assert "although Ray sees 1 GPUs" in caplog.text


def test_a_worker_uses_its_own_gpu_or_none():
    assert worker_device_keys(0.5) == {"gpu_id": "0", "use_gpu": True}
    assert worker_device_keys(0.0) == {"use_gpu": False}


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:x", "127.0.0.1:99999", "ray://127.0.0.1:1", "127.0.0.1:1"])
def test_an_address_is_tried_before_ray_waits_for_it(address):
    with pytest.raises(InputError, match=f"address='{address}': (expected auto, or host:port|no Ray cluster answers)"):
        _check_reachable(address)
