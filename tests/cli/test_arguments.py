"""Empty options and arguments, as of shell variables that are not set, are refused by all commands."""

import os

import pytest

from dataset_prep.__main__ import main as prepare
from recbole_sda.cli.main import main
from recbole_sda.cli.run import parse
from recbole_sda.errors import InputError


@pytest.mark.parametrize(
    "command, name",
    [
        ("recommend run --out=", "--out"),
        ("recommend run --out=a.csv --items=", "--items"),
        ("recommend EMPTY --out=a.csv", "argument"),
        ("report run --out EMPTY", "--out"),
        ("ensemble run BLANK --out=e", "argument"),
        ("compare plan.yaml --out=", "--out"),
        ("compare plan.yaml --features=", "--features"),
        ("export run --out=e --users=", "--users"),
        ("features import --parquet=x --columns text=v --out=", "--out"),
        ("features inspect EMPTY", "argument"),
        ("features semantic-ids store --out=a.json --ids EMPTY", "--ids"),
        ("hub pull owner/name --out=", "--out"),
        ("serve run --items=", "--items"),
        ("serve run --data_path=", "--data_path"),
        ("lvlm extract --backbone=b --items=i --out=", "--out"),
        ("lvlm extract --backbone=b --items=i --out=s --adapter=", "--adapter"),
        ("run --model=BPR --dataset=D --run_dir=", "--run_dir"),
        ("run --resume=", "--resume"),
    ],
)
def test_no_command_takes_an_empty_value(command, name, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [{"EMPTY": "", "BLANK": " "}.get(word, word) for word in command.split()]
    status: object = None
    try:
        status = main(words)
    except SystemExit as error:
        status = error.code
    last = capsys.readouterr().err.splitlines()[-1]
    assert status == 2 and "error: " in last and name in last and ("is empty" in last or "has no value" in last)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("option", ["--out=", "--items=", "--user-col=", "--time-col="])
def test_nor_does_the_preparation(option, capsys):
    with pytest.raises(SystemExit):
        prepare(["table", "--name=T", "--inter=t.csv", option])
    assert f"{option[:-1]} is empty" in capsys.readouterr().err


def test_texts_of_prompts_can_be_empty():
    from recbole_sda.cli.lvlm import EMPTY_TEXTS
    from recbole_sda.cli.run import split_arguments

    assert split_arguments(["--instruction="], EMPTY_TEXTS) == {"instruction": ""}
    with pytest.raises(InputError, match="--checkpoint_dir has no value"):
        parse(["--model=BPR", "--dataset=D", "--checkpoint_dir", ""])
