"""The one question of the fuzz tests: an error of one line that names the file, or a result; nothing else, and soon."""

import signal
from pathlib import Path
from typing import Any, Callable, List

import pytest

from recbole_sda.errors import InputError

SECONDS = 20  # for one malformed file


class Outcomes:
    """Counts what happened to malformed files, and keeps the faults.

    Attributes:
        refused, taken: numbers of files.
        faults: a line for each other outcome.
    """

    def __init__(self) -> None:
        self.refused = self.taken = 0
        self.faults: List[str] = []

    def try_file(self, name: str, path: Path, read: Callable[..., Any], *arguments: Any) -> None:
        """Read a malformed file by ``read(*arguments)``, and note the outcome."""

        def stop(*_: Any) -> None:
            raise TimeoutError

        previous = signal.signal(signal.SIGALRM, stop)
        signal.alarm(SECONDS)
        try:
            read(*arguments)
            self.taken += 1
        except InputError as error:
            self.refused += 1
            message = str(error)
            if "\n" in message.strip() or not any(part in message for part in (path.name, path.parent.name)):
                self.faults.append(f"{name}: unclear: {message[:200]}")
        except BaseException as error:  # whatever it is, it is the fault that is looked for
            self.faults.append(f"{name}: {type(error).__name__}: {str(error)[:200]}")
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, previous)

    def check(self, at_least: int, taken_at_most: int) -> None:
        """Fail with the list of the faults; or where fewer files were tried, or more were taken, than expected."""
        assert not self.faults, "\n".join(self.faults[:40])
        assert self.refused + self.taken >= at_least
        assert self.taken <= taken_at_most, f"{self.taken} of {self.refused + self.taken} were taken"


@pytest.fixture
def outcomes() -> Outcomes:
    """An empty count of outcomes."""
    return Outcomes()
