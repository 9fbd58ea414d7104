"""What an act is told: whose thing it is, which, and who does it."""

from pydantic import BaseModel, ConfigDict, Field

from router.domain.identity import MAIN_TENANT


class Arguments(BaseModel):
    """One thing of a tenant."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    tenant: str = MAIN_TENANT
    id: str = Field(min_length=1)


class Signed(Arguments):
    """Who does it."""

    by: str = Field(min_length=1, max_length=100)


class SignedText(Signed):
    """Who says something, and what."""

    text: str = Field(min_length=1)
