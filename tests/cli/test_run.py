"""The main command as its users meet it: arguments, messages, exit status."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recbole_sda.cli.exit_status import run_command
from recbole_sda.cli.run import main, parse
from recbole_sda.errors import InputError
from recbole_sda.model.model_table import BASE_MODELS, WITHOUT_SDA

ROOT = Path(__file__).resolve().parents[2]


def test_arguments():
    words = ["--model=SASRec_SDA", "--dataset", "tiny", "--config_files=a.yaml b.yaml", "--topk=[5,10]", "--seed", "3"]
    given = parse(words)
    assert (given.model, given.dataset, given.config_files) == ("SASRec_SDA", "tiny", ["a.yaml", "b.yaml"])
    assert given.keys == {"topk": [5, 10], "seed": 3} and not given.help
    assert parse(["--config_files", "a.yaml", "b.yaml", "--seed=1"]).config_files == ["a.yaml", "b.yaml"]


@pytest.mark.parametrize(
    "argv, message",
    [
        (["model=SASRec"], "argument 'model=SASRec': expected --key=value"),
        (["--seed"], "--seed has no value"),
        (["--seed", "--topk=[1]"], "--seed has no value"),
        (["--seed=1", "--seed=2"], "--seed is given twice: '1' and '2'"),
        (["--topk=[1"], "not a YAML value"),
    ],
)
def test_malformed_arguments(argv, message):
    with pytest.raises(InputError, match=message):
        parse(argv)


def test_help_shows_keys_models_and_data_sets(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for part in (
        "--resume",
        "cmsa_weight: 0.1",
        "runs_path: runs",
        "Amazon_Sports",
        "SASRec_SDA",
        *WITHOUT_SDA,
        *BASE_MODELS,
    ):
        assert part in text
    assert main(["--model=SASRec_SDA", "--help"]) == 0
    assert "hidden_size: 64" in capsys.readouterr().out


@pytest.mark.parametrize(
    "argv, message",
    [
        ([], "--model and --dataset are missing"),
        (["--model=SASRec_SDA"], "--dataset is missing"),
        (["--dataset=tiny"], "--model is missing"),
        (["--model=SASRek_SDA", "--dataset=tiny"], "no model named 'SASRek_SDA'.*Did you mean 'SASRec_SDA'"),
        (["--model=SASRek", "--dataset=tiny"], "no model named 'SASRek'.*Did you mean 'SASRec'"),
        (["--model=HGN_SDA", "--dataset=tiny"], "no SDA version of HGN, which holds a second item table"),
        (["--model=SASRec_SDA", "--dataset=tyny"], "data set 'tyny': .*Did you mean 'tiny'"),
        (["--model=SASRec_SDA", "--dataset=tiny", "--fusion=meen"], "fusion='meen': allowed are .*Did you mean 'mean'"),
        (["--model=SASRec_SDA", "--dataset=tiny", "--features=x"], "no feature store 'x'"),
        (["--model=SASRec_SDA", "--dataset=tiny", "--config_files=no.yaml"], "no.yaml does not exist"),
        (["--model=SASRec_SDA", "--dataset=tiny", "--epochz=1"], "'epochz' is not a key.*Did you mean 'epochs'"),
        (["--resume=nowhere"], "nowhere is not a run folder: config.yaml is missing"),
        (["--load=nowhere", "--model=BPR"], "--load takes model, data set and files from the run folder"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(argv, message, data_path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    known = [f"--data_path={data_path}"] if any(word.startswith("--dataset") for word in argv) else []
    assert main([*argv, *known]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert error[-1].startswith("error: ") and "Traceback" not in "".join(error)
    import re

    assert re.search(message, error[-1]), error[-1]


def test_model_and_data_set_may_stand_in_a_file(data_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.yaml").write_text(
        f"model: BPR_SDA\ndataset: tiny\ndata_path: {data_path}\nepochs: 1\nuse_gpu: False\n"
    )
    assert main(["--config_files=run.yaml", "--run_dir=out"]) == 0
    assert (tmp_path / "out" / "metrics.json").is_file()
    assert main(["--load=out"]) == 0 and list((tmp_path / "out").glob("evaluation-*.json"))


def test_a_folder_that_cannot_be_made_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run_command((tmp_path / "file/folder").mkdir) == 2
    assert capsys.readouterr().err == f"error: {tmp_path}/file/folder: Not a directory\n"
    assert run_command((tmp_path / "none").rmdir) == 2
    assert capsys.readouterr().err == f"error: {tmp_path}/none: No such file or directory\n"


def test_exit_status_of_an_interruption(capsys):
    def stop():
        raise KeyboardInterrupt

    assert run_command(stop) == 130 and "interrupted" in capsys.readouterr().err


def test_ctrl_c_says_how_to_go_on_and_the_run_goes_on(data_path, tmp_path, monkeypatch, capsys):
    command = [sys.executable, str(ROOT / "run_recbole_sda.py")]
    words = [
        "--model=SASRec_SDA",
        "--dataset=tiny",
        f"--data_path={data_path}",
        "--epochs=5000",
        "--stopping_step=5000",
    ]
    words += ["--train_batch_size=64", "--threads=1", "--use_gpu=False", "--run_dir=out"]
    process = subprocess.Popen(command + words, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    deadline = time.time() + 120
    while not (tmp_path / "out/checkpoint/last.pt").exists() and time.time() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert "Traceback" not in error and "--resume=out" in error.splitlines()[-1]
    monkeypatch.chdir(tmp_path)
    status = main(["--resume=out", "--epochs=2"])
    assert status == 0 and (tmp_path / "out/metrics.json").is_file(), capsys.readouterr().err


def test_the_command_prints_the_table_with_the_protocol(data_path, tmp_path):
    words = ["--model=SASRec_SDA", "--dataset=tiny", f"--data_path={data_path}", "--epochs=1", "--use_gpu=False"]
    environment = {**os.environ, "PYTHONWARNINGS": "default"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "run_recbole_sda.py"), *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert (
        "SASRec_SDA on tiny" in done.stderr
        and "loss CE | leave-one-out" in done.stderr
        and "full sort over 37 items" in done.stderr
    )
    assert "ndcg@10" in done.stderr


def test_a_reader_that_has_enough():
    command = f"{sys.executable} run_recbole_sda.py --help | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.startswith("usage:") and done.stderr == "" and done.returncode in (0, 141)
