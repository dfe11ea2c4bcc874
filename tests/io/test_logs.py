"""Log messages in files and on standard error."""

import logging

import pytest

from recbole_sda.io.logs import log_to, start_logging

COLOURED = "\x1b[1;35mepoch %d\x1b[0m"


@pytest.fixture(autouse=True)
def restored_loggers():
    """Restore the root logger's handlers and the levels after the test."""
    root, package = logging.getLogger(), logging.getLogger("recbole_sda")
    handlers, levels = root.handlers[:], (root.level, package.level)
    yield
    root.handlers = handlers
    root.setLevel(levels[0])
    package.setLevel(levels[1])


def test_a_log_file_has_no_colour_codes_and_ends_with_the_block(tmp_path):
    path = tmp_path / "run.log"
    logger, handlers = logging.getLogger("recbole_sda.test"), logging.getLogger().handlers[:]
    with log_to(path):
        logger.info(COLOURED, 3)
    logger.info("after the block")
    assert path.read_text().endswith(" INFO epoch 3\n")
    assert logging.getLogger().handlers == handlers


def test_a_log_file_has_the_packages_messages_from_info_on_whatever_the_level_of_the_terminal(tmp_path):
    start_logging("warning")
    logging.getLogger("recbole_sda").setLevel(logging.NOTSET)
    with log_to(tmp_path / "run.log"):
        logging.getLogger("recbole_sda.test").info("ours")
        logging.getLogger("another").info("theirs")
    assert "ours" in (tmp_path / "run.log").read_text() and "theirs" not in (tmp_path / "run.log").read_text()
    assert logging.getLogger("recbole_sda").level == logging.NOTSET


@pytest.mark.parametrize("level, shown", [(None, True), ("INFO", True), ("warning", False), ("no level", True)])
def test_standard_error_is_plain_when_it_is_no_terminal(capsys, level, shown):
    logging.getLogger().addHandler(logging.NullHandler())
    start_logging(level)
    assert len(logging.getLogger().handlers) == 1
    logging.getLogger("recbole_sda.test").info(COLOURED, 3)
    assert capsys.readouterr().err.endswith(" INFO epoch 3\n") == shown
