"""How a number was measured: what must agree before two numbers are put side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from retbench.canon import Json, file_digest

MapRule = Literal["full", "top-k", "top-k-skip", "first-k-relevant"]
TieRule = Literal["stable", "expected", "best", "worst"]


class TargetRule(BaseModel):
    """How the attacker's target label vectors are drawn from the database, one a query.

    `uniform`: uniformly over the distinct label vectors, which may overlap or equal the query's (the code of ProS-GAN);
    `different`: over those that are not exactly the query's (the code of Bai et al.); `zero-overlap`: over those that
    share no class with the query (the code of ATRDH), the all-zero vector left out (the code of SAAT).
    `database-item`: that of a database item, every item as likely, so that a frequent vector is drawn often, and one
    that equals the query's, or is all zero, too (the code of TA-DCH). Under each of them only vectors carried by more
    than `above` database items are candidates. `from-file`: no draw; the label vectors stand in `file`.

    The chance level of T-MAP, the share of the database that a target finds relevant, hangs on the rule: on FLICKR-25K
    it is 0.67 for `uniform` and 0.57 with `above: 9`.

    Source: Bai et al. 2020, section 3; Wang et al. 2021a, 2021b; their published codes differ, so the rule is part of
    every T-MAP.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: Literal["uniform", "different", "zero-overlap", "database-item", "from-file"] = Field(
        "zero-overlap", description="which label vectors are candidates"
    )
    above: int = Field(0, ge=0, description="database items that must carry a candidate: more than this many")
    seed: int = Field(0, ge=0, description="seed of the draw")
    file: str | None = Field(
        None,
        description="rule from-file: a line of 0/1 columns for each query, in the order of the query split; "
        "`{dataset}` in the path stands for the dataset's name",
    )

    def path(self, dataset: str) -> Path:
        """Return where the file of a dataset's targets is; only for rule from-file."""
        return Path(str(self.file).replace("{dataset}", dataset))

    def identity(self, dataset: str) -> dict[str, Json]:
        """Return the fields as JSON, the file by the sha256 of its bytes: what must agree between two numbers."""
        fields = self.model_dump(mode="json")
        return {**fields, "file": f"sha256:{file_digest(self.path(dataset))}" if self.file else None}

    @model_validator(mode="after")
    def _file_where_it_is_read(self) -> Self:
        if (self.file is None) == (self.rule == "from-file"):
            raise ValueError(
                f"file goes with rule from-file, and with no other: got rule={self.rule}, file={self.file}"
            )
        return self


class Protocol(BaseModel):
    """Everything besides the components that a MAP depends on.

    Bits and task are axes of the matrix; they join these fields in a row's protocol.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    queries: Annotated[int, Field(ge=1)] | Literal["all"] = Field(
        "all", description="how many queries, or all; a fixed nested sample by id"
    )
    relevance: Literal["share-a-class"] = Field("share-a-class", description="when a database item answers a query")
    map: MapRule = Field("full", description="how average precision is cut and divided")
    depth: int | None = Field(None, ge=1, description="k of the cut MAP definitions, in database items")
    ties: TieRule = Field("stable", description="order of items at one Hamming distance")
    targets: TargetRule = TargetRule()
    quantize: bool = Field(False, description="round attacked and purified images to 8 bits before they are encoded")
    confidence: float = Field(0.95, gt=0, lt=1, description="level of the bootstrap intervals over queries")
    resamples: int = Field(2000, ge=100, le=100_000, description="bootstrap resamples")

    @model_validator(mode="after")
    def _depth_where_it_is_used(self) -> Self:
        if (self.depth is None) != (self.map == "full"):
            raise ValueError(f"depth goes with a cut definition: got map={self.map}, depth={self.depth}")
        return self
