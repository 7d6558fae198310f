"""Description of the input files, and what was found on reading them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from mira_nb.errors import InputError

from .messages import Finding, refusal

if TYPE_CHECKING:
    from mudata import MuData

_FILES: Final = ("rna", "atac", "mudata", "tenx")
_PATHS: Final = (*_FILES, "obs")


@dataclass(frozen=True)
class InputSpec:
    """Where the two count matrices are: two files of one assay each, one .h5mu file, or one 10x matrix.

    Every file may be gzipped; AnnData and MuData may be Zarr stores; a 10x matrix is an .h5 file or a folder.

    Attributes
    ----------
    rna, atac
        Two .h5ad files or 10x matrices, cells x genes and cells x peaks.
    mudata
        One .h5mu file with an expression and an accessibility modality.
    tenx
        Cell Ranger ARC's ``filtered_feature_bc_matrix.h5`` or folder of that name, with both feature types.
    obs
        Table of cell annotations: one row per cell, or per sample of cellranger aggr.
    layer
        Matrix that holds the counts: ``X``, ``raw`` or a layer's name; None: the best documented one.
    pair_by
        How cells are paired: ``names``, ``order``, ``suffix``, ``prefix`` or a column of obs; None: by names.
    """

    rna: Path | None = None
    atac: Path | None = None
    mudata: Path | None = None
    tenx: Path | None = None
    obs: Path | None = None
    layer: str | None = None
    pair_by: str | None = None

    def kind(self) -> Literal["pair", "mudata", "tenx"]:
        """Return which of the three forms was given.

        Raises
        ------
        InputError
            When nothing, half a pair, or more than one form was given.
        """
        given = [name for name in _FILES if getattr(self, name) is not None]
        if set(given) == {"rna", "atac"}:
            return "pair"
        if given == ["mudata"]:
            return "mudata"
        if given == ["tenx"]:
            return "tenx"
        raise refusal(InputError, "input_incomplete", given=[f"--{name}" for name in given])

    def files(self) -> tuple[Path, ...]:
        """Return all files given, in the order rna, atac, mudata, tenx, obs."""
        return tuple(self.by_role().values())

    def by_role(self) -> dict[str, Path]:
        """Return all files given by their role."""
        return {name: Path(path) for name in _PATHS if (path := getattr(self, name)) is not None}

    def reading(self) -> dict[str, str]:
        """Return how the files are to be read, as far as it was said."""
        return {name: str(value) for name in ("layer", "pair_by") if (value := getattr(self, name)) is not None}

    def to_json(self) -> dict[str, str | None]:
        """Return plain JSON values, absolute paths as text."""
        out: dict[str, str | None] = {}
        for name in _FILES:
            path = getattr(self, name)
            out[name] = None if path is None else str(Path(path).resolve())
        if self.obs is not None:
            out["obs"] = str(Path(self.obs).resolve())
        return out | self.reading()

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> InputSpec:
        """Invert :meth:`to_json`; unknown names are ignored for forward compatibility."""
        known = {item.name for item in fields(cls)}
        given = {name: value for name, value in values.items() if name in known and value}
        return cls(**{name: Path(value) if name in _PATHS else str(value) for name, value in given.items()})  # type: ignore[arg-type]


@dataclass(frozen=True)
class CheckedPair:
    """Both modalities of the same cells, checked.

    Attributes
    ----------
    data
        Modalities ``rna`` and ``atac`` with the same cells in the order of the expression file. ``X`` is CSR float32:
        raw counts (rna), 0/1 (atac). ``atac.var`` has ``chrom``, ``start``, ``end`` (0-based, half-open). ``obs`` has
        the user's columns of both modalities.
    findings
        What was changed, left out or looks odd.
    dropped
        How many cells and features were left out, by reason; only reasons that occurred.
    """

    data: MuData
    findings: tuple[Finding, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
