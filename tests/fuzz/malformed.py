"""Malformed files: each generator yields a name and the bytes of a file, from a sound one or from nothing."""

import json
import random
from typing import Any, Callable, Dict, Iterator, List, Tuple

Case = Tuple[str, bytes]
Change = Callable[[bytes, random.Random], bytes]

VALUES: List[Any] = [
    None,
    True,
    -1,
    0,
    1.5,
    10**30,
    2**70,
    "",
    "x",
    "\u0000",
    "../../x",
    [],
    [[]],
    {},
    {"a": {}},
    [None],
    [1, "x"],
]


def damaged_bytes(sound: bytes, seed: int, n: int) -> Iterator[Case]:
    """Yield a sound file with bytes that are cut off, flipped, repeated, overwritten or put in."""
    changes: Dict[str, Change] = {
        "cut": lambda b, r: b[: r.randrange(len(b))],
        "flip": lambda b, r: _flipped(b, r),
        "twice": lambda b, r: b + b,
        "zeros": lambda b, r: _overwritten(b, r, bytes(16)),
        "bytes": lambda b, r: _overwritten(b, r, bytes(r.randrange(256) for _ in range(8))),
        "in": lambda b, r: b[: (k := r.randrange(len(b)))] + b"\xff\xfe" + b[k:],
    }
    for number in range(n):
        stream = random.Random(f"{seed} {number}")
        name = list(changes)[number % len(changes)]
        yield f"{name}-{number}", changes[name](sound, stream)


def _flipped(content: bytes, stream: random.Random) -> bytes:
    place = stream.randrange(len(content))
    return content[:place] + bytes([content[place] ^ (1 << stream.randrange(8))]) + content[place + 1 :]


def _overwritten(content: bytes, stream: random.Random, new: bytes) -> bytes:
    place = stream.randrange(max(len(content) - len(new), 1))
    return content[:place] + new + content[place + len(new) :]


def not_text() -> Iterator[Case]:
    """Yield files that are no text in UTF-8, or hardly any."""
    yield from {
        "empty": b"",
        "blank": b" \n\n",
        "nul": b"\x00" * 64,
        "utf16": "a: 1".encode("utf-16"),
        "latin1": "a: \xe9".encode("latin-1"),
        "surrogate": b'{"a": "\xed\xa0\x80"}',
        "png": b"\x89PNG\r\n\x1a\n" + bytes(32),
        "zip": b"PK\x03\x04" + bytes(64),
        "gzip": b"\x1f\x8b\x08" + bytes(32),
        "html": b"<html><body>404</body></html>",
    }.items()


def odd_json() -> Iterator[Case]:
    """Yield JSON that readers differ on, or that takes them long."""
    yield from {
        "deep-list": b"[" * 100_000,
        "deep-closed": b"[" * 5000 + b"]" * 5000,
        "deep-object": b'{"a":' * 100_000,
        "long-integer": b'{"a": ' + b"9" * 5000 + b"}",
        "infinity": b'{"a": Infinity}',
        "nan": b'{"a": NaN}',
        "too-large": b'{"a": 1e999}',
        "twice": b'{"a": 1, "a": 2}',
        "half-pair": b'{"a": "\\ud800"}',
        "two-values": b"{} {}",
        "list": b"[]",
        "number": b"3",
        "text": b'"x"',
        "null": b"null",
        "comment": b"{} // x",
        "single-quotes": b"{'a': 1}",
    }.items()


def odd_yaml() -> Iterator[Case]:
    """Yield YAML that readers differ on, or that takes them long."""
    levels = b"\n".join(b"%c: &%c [%s]" % (98 + k, 98 + k, b",".join([b"*%c" % (97 + k)] * 10)) for k in range(9))
    yield from {
        "bomb": b"a: &a [x]\n" + levels,
        "bomb-merge": b"a: &a {p: 1, q: 1, r: 1, s: 1, t: 1}\nb: {<<: [" + b",".join([b"*a"] * 15_000) + b"]}",
        "loop": b"a: &a [*a]",
        "deep-list": b"[" * 20_000,
        "deep-closed": b"a: " + b"[" * 60 + b"]" * 60,
        "long-integer": b"a: " + b"9" * 5000,
        "infinity": b"epochs: .inf",
        "nan": b"learning_rate: .nan",
        "too-large": b"a: 1e999",
        "twice": b"epochs: 1\nepochs: 2",
        "python-object": b"a: !!python/object/apply:os.system [x]",
        "python-name": b"a: !!python/name:os.system",
        "date": b"a: 2001-13-45",
        "timestamp": b"a: !!timestamp x",
        "float": b"a: !!float x",
        "binary": b"a: !!binary x",
        "unhashable": b"? [a]\n: 1",
        "two-documents": b"a: 1\n---\nb: 2",
        "tabs": b"a:\n\t- 1",
        "anchor-missing": b"a: *b",
        "list": b"- 1",
        "text": b"x",
        "half-pair": b'a: "\\ud800"',
        "nul": b'a: "\\0"',
    }.items()


def other_values(sound: Dict[str, Any]) -> Iterator[Case]:
    """Yield JSON objects in which a key is missing, or has a value of another type; also below the first level."""
    for name, value in other_objects(sound):
        yield name, json.dumps(value).encode()


def other_objects(sound: Dict[str, Any]) -> Iterator[Tuple[str, Any]]:
    """Yield the objects of :func:`other_values`; tensors in ``sound`` are values like others."""
    for path in _paths(sound):
        place = ".".join(map(str, path))
        yield f"without-{place}", _changed(sound, path, None, remove=True)
        for number, value in enumerate(VALUES):
            yield f"{place}-{number}", _changed(sound, path, value)


def _paths(value: Any, before: tuple = ()) -> Iterator[tuple]:
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield (*before, key)
        yield from _paths(part, (*before, key))


def _changed(value: Any, path: tuple, new: Any, remove: bool = False) -> Any:
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(path) > 1:
        copy[path[0]] = _changed(copy[path[0]], path[1:], new, remove)
    elif remove:
        del copy[path[0]]
    else:
        copy[path[0]] = new
    return copy


def damaged_tables(rows: List[str], separator: str) -> Iterator[Case]:
    """Yield tables of text with wrong headers, widths, quotation marks and characters, from sound rows with a header."""
    header, *body = rows

    def text(*lines: str) -> bytes:
        return "\n".join(lines).encode("utf-8", "surrogatepass") + b"\n"

    middle = len(body) // 2
    names = header.split(separator)
    yield "header-only", text(header)
    yield "no-header", text(*body)
    yield "column-twice", text(separator.join([names[0], *names[:-1]]), *body)
    yield "quote-open", text(header, *body[:middle], '"' + body[middle], *body[middle + 1 :])
    yield "quote-after", text(header, *body[:middle], f'"a"{body[middle]}', *body[middle + 1 :])
    cells = body[middle].split(separator)
    later = body[-1].split(separator)
    opened, closed = (
        separator.join([cells[0], '"' + cells[1], *cells[2:]]),
        separator.join([later[0], later[1] + '"', *later[2:]]),
    )
    yield "quotes-far-apart", text(header, *body[:middle], opened, *body[middle + 1 : -1], closed)
    yield "utf16", text(*rows).decode().encode("utf-16")
    yield "nul", text(header, *body[:middle], "\x00" * 40, *body[middle:])
    for name, line in {
        "short": separator.join(cells[:-1]),
        "long": separator.join([*cells, "x", "y"]),
        "id-list": separator.join(['"[1, 2]"', *cells[1:]]),
        "id-pad": separator.join([cells[0], "[PAD]", *cells[2:]]),
    }.items():
        yield name, text(header, *[line] * len(body))
