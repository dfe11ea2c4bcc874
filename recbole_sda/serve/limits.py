"""How large a request can be."""

from dataclasses import dataclass

ID_LENGTH = 512  # characters of an id or of a value of a field


@dataclass(frozen=True)
class Limits:
    """Largest sizes that a request can have. A larger one gets an answer with status 413 or 422.

    Attributes:
        k: items of an answer, for each user or session.
        batch: users or sessions of a batch.
        session: items of a session.
        ids: ids of an allow-list or a deny-list, and values of a field.
        body: bytes of a request.
    """

    k: int = 1000
    batch: int = 256
    session: int = 1000
    ids: int = 10_000
    body: int = 2**20
