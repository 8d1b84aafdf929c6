"""What every part of the report is made of."""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Frozen; a field that is not declared is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
