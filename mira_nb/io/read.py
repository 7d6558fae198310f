"""Reading of the user's two count matrices into one checked pair.

Whatever is wrong with the input is either handled, counted and listed in the findings, or refused in one
:class:`mira_nb.errors.InputError` that names the file, what was found, what was expected and what to do.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from mira_nb.errors import InputError
from mira_nb.keys import ATAC, RNA

from . import candidates, formats, names, pairing, tenx
from .annotations import check_annotations
from .cell_table import add_cell_table
from .cells import pair_cells
from .files import is_zarr, mtx_file
from .formats import RawModality
from .labels import tidy_labels
from .messages import refusal
from .pairing import Counted, Log
from .spec import CheckedPair, InputSpec

if TYPE_CHECKING:
    from anndata import AnnData

_RNA_NAMES: Final = ("rna", "gex", "gene expression", "gene_expression", "expression", "genes", "scrna", "mrna")
_RNA_WORDS: Final = ("rna", "gex", "expr", "gene")
_ATAC_WORDS: Final = ("atac", "peak", "access", "chromatin")
_ATAC_NAMES: Final = ("atac", "peaks", "accessibility", "chromatin accessibility", "chromatin", "scatac", "peak")


def read_input(spec: InputSpec) -> CheckedPair:
    """Read and check the input in whichever of the three forms it was given.

    Raises
    ------
    InputError
        With one complete message when the input cannot be used.
    """
    kind = spec.kind()
    if kind == "pair":
        return read_pair(rna=_given(spec.rna), atac=_given(spec.atac), spec=spec)
    if kind == "mudata":
        return read_mudata(_given(spec.mudata), spec=spec)
    return read_tenx(_given(spec.tenx), spec=spec)


def read_pair(*, rna: Path, atac: Path, spec: InputSpec | None = None) -> CheckedPair:
    """Read two .h5ad files (plain or gzipped), cells x genes and cells x peaks."""
    rna, atac = Path(rna), Path(atac)
    log = Log()
    sources = (rna.name, atac.name) if rna.name != atac.name else (str(rna), str(atac))
    with ExitStack() as stack:
        raw_rna = _read_one(stack, rna, "--rna", sources[0], "Gene Expression", log)
        raw_atac = _read_one(stack, atac, "--atac", sources[1], "Peaks", log)
        parts = _count_both(raw_rna, raw_atac, log, spec)
    return _pair(*parts, log, spec)


def read_mudata(path: Path, *, spec: InputSpec | None = None) -> CheckedPair:
    """Read one .h5mu file (plain or gzipped) with an expression and an accessibility modality."""
    path = Path(path)
    log = Log()
    with formats.open_store(path, option="--mudata") as file:
        formats.expect_format(file, "h5mu", path=path, option="--mudata")
        rna_name, atac_name = _modality_names(file, path, log)
        raw_rna = formats.read_h5ad_group(file["mod"][rna_name], source=f"{path.name}[{rna_name}]")
        raw_atac = formats.read_h5ad_group(file["mod"][atac_name], source=f"{path.name}[{atac_name}]")
        others = sorted(set(file["mod"]) - {rna_name, atac_name})
        if others:
            log.add("modalities_unused", file=path.name, names=others)
        joint = formats.read_obs(file)
        parts = _count_both(raw_rna, raw_atac, log, spec)
    own = [name for name in joint.columns if ":" not in str(name)]
    return _pair(*parts, log, spec, joint_obs=joint[own])


def _read_one(
    stack: ExitStack, path: Path, option: str, source: str, wanted: tenx.FeatureType, log: Log
) -> RawModality:
    """Read one modality from an AnnData file or store, or from a 10x file or folder that holds its features."""
    if not is_zarr(path) and mtx_file(path):
        return tenx.one_part(tenx.read_mtx(path, option=option), wanted, source, log)
    file = stack.enter_context(formats.open_store(path, option=option))
    if formats.detect_format(file) == "tenx":
        return tenx.one_part(tenx.read_h5(file, source=source), wanted, source, log)
    formats.expect_format(file, "h5ad", path=path, option=option)
    return formats.read_h5ad_group(file, source=source)


def read_tenx(path: Path, *, spec: InputSpec | None = None) -> CheckedPair:
    """Read a matrix of Cell Ranger ARC with both feature types: an .h5 file, or a folder of matrix.mtx."""
    path = Path(path)
    log = Log()
    if mtx_file(path):
        found = tenx.read_mtx(path, option="--tenx")
    else:
        with formats.open_store(path, option="--tenx") as file:
            formats.expect_format(file, "tenx", path=path, option="--tenx")
            found = tenx.read_h5(file, source=path.name)
    rna, atac = tenx.both_parts(found, log)
    return _pair(*_count_both(rna, atac, log, spec), log, spec)


def check_pair(rna: AnnData, atac: AnnData) -> CheckedPair:
    """Check two AnnData objects in memory (or backed by a file) by the same rules; they are not changed."""
    log = Log()
    raw_rna = formats.modality_from_anndata(rna, source="the expression AnnData")
    raw_atac = formats.modality_from_anndata(atac, source="the accessibility AnnData")
    return _pair(*_count_both(raw_rna, raw_atac, log, None), log, None)


def _given(path: Path | None) -> Path:
    if path is None:
        raise refusal(InputError, "file_missing")
    return Path(path)


def _modality_names(file: Any, path: Path, log: Log) -> tuple[str, str]:
    """Choose the two modalities by what their features are; names decide where several, or none, are known by that."""
    present = [str(name) for name in file["mod"]]
    kinds = {name: pairing.kind_of(formats.read_var(file["mod"][name])) for name in present}
    rna = _choose({name: kind for name, kind in kinds.items() if kind != {"atac"}}, "rna", _RNA_NAMES, _RNA_WORDS)
    others = {name: kind for name, kind in kinds.items() if kind != {"rna"} and name != rna}
    atac = _choose(others, "atac", _ATAC_NAMES, _ATAC_WORDS)
    if rna is None or atac is None:
        lacking = "expression" if rna is None else "accessibility"
        raise refusal(InputError, "modality_missing", path=path, lacking=lacking, names=present)
    if rna.lower() in _ATAC_NAMES or atac.lower() in _RNA_NAMES:
        log.add("modality_names_contradict", file=path.name, rna=rna, atac=atac)
    elif rna.lower() not in _RNA_NAMES or atac.lower() not in _ATAC_NAMES:
        log.add("modalities_by_features", file=path.name, rna=rna, atac=atac)
    return rna, atac


def _choose(kinds: dict[str, set[str]], role: str, usual: tuple[str, ...], words: tuple[str, ...]) -> str | None:
    """Return the modality of one role: of those with its features, else of those unknown, that with the best name."""
    sure = [name for name, kind in kinds.items() if kind == {role}]
    by_name = {name.lower(): name for name in sure or kinds}
    named = next((by_name[name] for name in usual if name in by_name), None)
    if named or not sure:
        return named or _only([name for name in by_name.values() if any(word in name.lower() for word in words)], words)
    return _only(sure, words)


def _only(names: list[str], words: tuple[str, ...]) -> str | None:
    """Return the only name, or the only one of several that holds one of the words."""
    if len(names) > 1:
        names = [name for name in names if any(word in name.lower() for word in words)]
    return names[0] if len(names) == 1 else None


def _count_both(
    raw_rna: RawModality, raw_atac: RawModality, log: Log, spec: InputSpec | None
) -> tuple[Counted, Counted]:
    """Check what the modalities are, and take the counts of both."""
    raw_rna, raw_atac = names.without_bytes(raw_rna, log), names.without_bytes(raw_atac, log)
    names.check_orientation(raw_rna, raw_atac)
    pairing.check_roles(raw_rna, raw_atac)
    pairing.check_barcodes(raw_rna)
    pairing.check_barcodes(raw_atac)
    layer = spec.layer if spec else None
    if layer is not None and not any(candidates.layer_key(raw, layer) for raw in (raw_rna, raw_atac)):
        known = dict.fromkeys(key for raw in (raw_rna, raw_atac) for key in raw.matrices)
        raise refusal(InputError, "layer_unknown", layer=layer, rna=raw_rna.source, atac=raw_atac.source, layers=known)
    rna = candidates.choose_counts(raw_rna, RNA, log, layer=layer)
    atac = candidates.choose_counts(raw_atac, ATAC, log, layer=layer)
    candidates.check_droplets(rna, log)
    return names.tidy_features(rna, RNA, log), names.tidy_features(atac, ATAC, log)


def _pair(
    rna: Counted, atac: Counted, log: Log, spec: InputSpec | None, *, joint_obs: pd.DataFrame | None = None
) -> CheckedPair:
    rows_rna, rows_atac = pair_cells(rna, atac, pair_by=spec.pair_by if spec else None, log=log)
    rna, atac = _take(rna, rows_rna), _take(atac, rows_atac)
    atac = pairing.binarise(pairing.with_coordinates(atac, log), log)
    rna, atac = pairing.drop_empty(rna, atac, log)
    pairing.check_size(rna, atac, log)
    rna, atac = pairing.unique_features(rna, RNA, log), pairing.unique_features(atac, ATAC, log)
    data = _assemble(rna, atac, joint_obs, log)
    if spec is not None and spec.obs is not None:
        add_cell_table(data, spec.obs, log)
    return CheckedPair(data, tuple(log.findings), dict(log.dropped))


def _take(part: Counted, rows: np.ndarray) -> Counted:
    if len(rows) == part.counts.shape[0] and (rows == np.arange(len(rows))).all():
        return part
    return Counted(part.source, part.counts[rows], part.obs.iloc[rows], part.var)


def _assemble(rna: Counted, atac: Counted, joint_obs: pd.DataFrame | None, log: Log):  # type: ignore[no-untyped-def]
    import mudata
    from anndata import AnnData

    obs_rna, obs_atac = _clean(rna.obs, rna.source, log), _clean(atac.obs, atac.source, log)
    obs_atac.index = obs_rna.index
    modalities = {
        RNA: AnnData(rna.counts, obs=obs_rna, var=_clean(rna.var, rna.source, log)),
        ATAC: AnnData(atac.counts, obs=obs_atac, var=_clean(atac.var, atac.source, log)),
    }
    with mudata.set_options(pull_on_update=False):
        data = mudata.MuData(modalities)
    joint = obs_rna.copy()
    sources = [obs_atac]
    if joint_obs is not None:
        sources.append(_clean(joint_obs.reindex(rna.obs.index), "the joint obs", log))
    for frame in sources:
        for name in frame.columns:
            if name not in joint:
                joint[name] = frame[name]
            elif not _same(joint[name], frame[name]):
                other = f"{name}_{ATAC}" if frame is obs_atac else f"{name}_joint"
                while other in joint:
                    other += "_"
                joint[other] = frame[name]
                log.add("annotation_differs", name=name, rna=rna.source, other=other)
    data.obs = joint
    return data


def _same(left: pd.Series, right: pd.Series) -> bool:
    a, b = left.astype("object"), right.astype("object")
    return bool(((a == b) | (a.isna() & b.isna())).all())


def _clean(frame: pd.DataFrame, source: str, log: Log) -> pd.DataFrame:
    """Copy a table so that every file format can hold it: text column names without '/', no mixed-type columns."""
    out = frame.copy()
    columns: list[str] = []
    for old in out.columns:
        name = str(old).replace("/", "|") or "unnamed"
        name = f"{name}_" if name in {"_index", "index"} else name
        while name in columns:
            name += "_"
        columns.append(name)
    changed = [f"{old!s} -> {new}" for old, new in zip(out.columns, columns, strict=True) if str(old) != new]
    if changed:
        log.add("columns_renamed", source=source, columns=changed)
    out.columns = pd.Index(columns)
    for position in range(out.shape[1]):
        column: Any = out.iloc[:, position]
        if column.dtype == object:
            values = [value for value in column if not _missing(value)]
            if not all(isinstance(value, str) for value in values):
                text = column.map(lambda value: "" if _missing(value) else str(value))
                out[columns[position]] = text.astype(str)
        elif isinstance(column.dtype, pd.CategoricalDtype) and column.cat.categories.dtype == object:
            out[columns[position]] = column.cat.rename_categories([str(value) for value in column.cat.categories])
    out.index = out.index.astype(str)
    out.index.name = None
    return tidy_labels(out, source, log)


def _missing(value: object) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value))


__all__ = ["check_annotations", "check_pair", "read_input", "read_mudata", "read_pair", "read_tenx"]
