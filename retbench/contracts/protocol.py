"""The measurement protocol: two numbers are comparable only if their protocols are equal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from retbench.canon import Json
from retbench.file_digests import digest_file

MapRule = Literal["full", "top-k", "top-k-skip", "first-k-relevant"]
TieRule = Literal["stable", "expected", "best", "worst"]


class TargetRule(BaseModel):
    """The rule by which each query gets a target label vector from the database.

    - `uniform`: uniform over the distinct label vectors, including those that overlap or equal the query's (the code of
      ProS-GAN).
    - `different`: uniform over the distinct label vectors that differ from the query's (the code of Bai et al.).
    - `zero-overlap`: uniform over the distinct label vectors that share no class with the query (the code of ATRDH) and
      are not all zero (the code of SAAT).
    - `database-item`: the label vector of a uniformly drawn database item; it may equal the query's or be all zero (the
      code of TA-DCH).
    - `from-file`: the label vectors in `file`; nothing is drawn.

    Only label vectors of more than `above` database items are drawn. The chance level of T-MAP, which is the fraction
    of the database that is relevant to a target, depends on the rule: on FLICKR-25K it is 0.67 for `uniform`, and 0.57
    with `above: 9`.

    Source: Bai et al. 2020, section 3; Wang et al. 2021a, 2021b. Their published codes differ, so the rule is part of
    every T-MAP.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: Literal["uniform", "different", "zero-overlap", "database-item", "from-file"] = Field(
        "zero-overlap", description="rule by which target label vectors are drawn"
    )
    above: int = Field(0, ge=0, description="draw only label vectors of more than this many database items")
    seed: int = Field(0, ge=0, description="seed of the draw")
    file: str | None = Field(
        None,
        description="for rule from-file: one line of 0/1 columns per query, in the order of the query split; "
        "`{dataset}` in the path is replaced by the dataset's name",
    )

    def path(self, dataset: str) -> Path:
        """Return the path of the file with the targets of a dataset; only for rule from-file."""
        return Path(str(self.file).replace("{dataset}", dataset))

    def identity(self, dataset: str) -> dict[str, Json]:
        """Return the fields as JSON, with the sha256 of the file in place of its path."""
        fields = self.model_dump(mode="json")
        return {**fields, "file": f"sha256:{digest_file(self.path(dataset))}" if self.file else None}

    @model_validator(mode="after")
    def _check_file(self) -> Self:
        if (self.file is None) == (self.rule == "from-file"):
            raise ValueError(f"file: required by rule from-file only: got rule={self.rule}, file={self.file}")
        return self


class Protocol(BaseModel):
    """Everything that a MAP depends on besides the components.

    The protocol of a row also has the bits and the task, which are axes of the matrix.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    queries: Annotated[int, Field(ge=1)] | Literal["all"] = Field(
        "all", description="number of queries, or all; a smaller sample is part of every larger one"
    )
    relevance: Literal["share-a-class"] = Field(
        "share-a-class", description="when a database item is relevant to a query"
    )
    map: MapRule = Field("full", description="definition of average precision")
    depth: int | None = Field(None, ge=1, description="k of the definitions with a cutoff, in database items")
    ties: TieRule = Field("stable", description="order of items at the same Hamming distance")
    targets: TargetRule = TargetRule()
    quantize: bool = Field(False, description="round attacked and purified images to 8 bits before encoding")
    confidence: float = Field(0.95, gt=0, lt=1, description="level of the confidence intervals over queries")
    resamples: int = Field(2000, ge=100, le=100_000, description="number of resamples of each confidence interval")

    @model_validator(mode="after")
    def _check_depth(self) -> Self:
        if (self.depth is None) != (self.map == "full"):
            raise ValueError(f"depth: required by every map but full: got map={self.map}, depth={self.depth}")
        return self
