"""A function over many inputs in a few threads that never keep the process alive."""

import queue
import threading
from typing import Any, Callable, Dict, Iterator, Sequence, Tuple, TypeVar

Input = TypeVar("Input")
Output = TypeVar("Output")
POLL = 0.5  # seconds after which a waiting main thread looks for Ctrl-C


def in_threads(function: Callable[[Input], Output], inputs: Sequence[Input], n_threads: int) -> Iterator[Output]:
    """Yield ``function(input)`` in order of the inputs, computed at most ``2 * n_threads`` inputs ahead.

    An error of the function is raised here, at its input. Threads are daemons: Ctrl-C ends the process at once.

    Example:
        >>> list(in_threads(str, [3, 1, 2], 2))
        ['3', '1', '2']
    """
    tasks: "queue.Queue[int]" = queue.Queue()
    results: "queue.Queue[Tuple[int, bool, Any]]" = queue.Queue()
    stopped = threading.Event()

    def work() -> None:
        while not stopped.is_set():
            try:
                number = tasks.get(timeout=POLL)
            except queue.Empty:
                continue
            try:
                results.put((number, True, function(inputs[number])))
            except BaseException as error:  # handed to the caller
                results.put((number, False, error))

    for _ in range(min(n_threads, len(inputs))):
        threading.Thread(target=work, daemon=True).start()
    ahead = 2 * n_threads
    found: Dict[int, Tuple[bool, Any]] = {}
    try:
        for number in range(min(ahead, len(inputs))):
            tasks.put(number)
        for number in range(len(inputs)):
            fine, value = _await(number, results, found)
            if not fine:
                raise value
            yield value
            if number + ahead < len(inputs):
                tasks.put(number + ahead)
    finally:
        stopped.set()


def _await(
    number: int, results: "queue.Queue[Tuple[int, bool, Any]]", found: Dict[int, Tuple[bool, Any]]
) -> Tuple[bool, Any]:
    while number not in found:
        try:
            arrived, fine, value = results.get(timeout=POLL)
        except queue.Empty:
            continue
        found[arrived] = (fine, value)
    return found.pop(number)
