"""The requests of the service, as models of pydantic: what is not named here, or is larger than its limit, is refused."""

from typing import Annotated, Any, Dict, List, NamedTuple, Optional, Type

from pydantic import BaseModel, ConfigDict, Field, model_validator

from recbole_sda.serve.limits import ID_LENGTH, Limits


class RequestModels(NamedTuple):
    """The models of both requests.

    Attributes:
        one: for one user or session.
        many: for a batch of users or of sessions, with the same options.
    """

    one: Type[Any]
    many: Type[Any]


def request_models(limits: Limits) -> RequestModels:
    """Return the models of requests of these sizes.

    Example:
        >>> one = request_models(Limits(k=5)).one
        >>> one(user="u1", k=5).k
        5
        >>> one(user="u1", k=6)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        pydantic_core._pydantic_core.ValidationError: 1 validation error for One
        ...
    """
    Id = Annotated[str, Field(min_length=1, max_length=ID_LENGTH)]
    Ids = Annotated[List[Id], Field(max_length=limits.ids)]
    Session = Annotated[List[Id], Field(min_length=1, max_length=limits.session)]

    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)

        k: int = Field(min(10, limits.k), ge=1, le=limits.k, description="items of an answer")
        exclude_known: Optional[bool] = Field(
            None, description="leave out the items of the user or session; default: as in the run's evaluation"
        )
        allow: Optional[Ids] = Field(None, description="only these items")
        deny: Optional[Ids] = Field(None, description="none of these items")
        where: Optional[Dict[str, Ids]] = Field(
            None, description="only items with one of these values, in each field", max_length=16
        )

    class One(Options):
        user: Optional[Id] = Field(None, description="id of a user of the run")
        session: Optional[Session] = Field(None, description="ids of items, oldest first")

        @model_validator(mode="after")
        def _one_of_both(self) -> "One":
            if (self.user is None) == (self.session is None):
                raise ValueError("expected either user or session")
            return self

    class Many(Options):
        users: Optional[Annotated[List[Id], Field(min_length=1, max_length=limits.batch)]] = Field(
            None, description="ids of users of the run"
        )
        sessions: Optional[Annotated[List[Session], Field(min_length=1, max_length=limits.batch)]] = Field(
            None, description="for each session the ids of its items, oldest first"
        )

        @model_validator(mode="after")
        def _one_of_both(self) -> "Many":
            if (self.users is None) == (self.sessions is None):
                raise ValueError("expected either users or sessions")
            return self

    return RequestModels(One, Many)
