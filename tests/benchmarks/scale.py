"""Cost of every stage against the number of cells: wall time, memory of its kernel, memory of all processes of the run.

    python -m tests.benchmarks.scale FOLDER --cells 5000 10000 20000 --out DIR [--until joint] [--set STAGE.NAME=VALUE]

FOLDER holds ``rna.h5ad`` and ``atac.h5ad`` of a simulated set, and, where they are there, ``tss.tsv`` and
``motif_hits.h5ad`` (where that is missing it is made from the simulator's ``factor_hits.npz`` and ``factors.tsv``).
Runs of its first cells go into DIR; a second call computes only what is missing. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import psutil
from scipy import sparse

INTERVAL = 0.5
"""Seconds between two readings of the memory."""


def subset(folder: Path, out: Path, n_cells: int) -> Path:
    """Write the first cells of both matrices; a set that has just so many is taken as it is."""
    names = ("rna.h5ad", "atac.h5ad")
    if ad.read_h5ad(folder / names[0], backed="r").n_obs == n_cells:
        return folder
    out.mkdir(parents=True, exist_ok=True)
    for name in names:
        if not (out / name).exists():
            whole = ad.read_h5ad(folder / name, backed="r")
            part = ad.AnnData(whole.X[:n_cells], obs=whole.obs[:n_cells], var=whole.var)
            part.write_h5ad(out / name)
    return out


def motif_hits(folder: Path) -> Path | None:
    """Return the factors' sites as the command line reads them."""
    out = folder / "motif_hits.h5ad"
    if not out.exists() and (folder / "factor_hits.npz").exists():
        hits = sparse.load_npz(folder / "factor_hits.npz")
        factors = pd.read_csv(folder / "factors.tsv", sep="\t", keep_default_na=False)
        peaks = ad.read_h5ad(folder / "atac.h5ad", backed="r").var_names
        var = factors[["id", "name"]].astype(str).set_index(factors["id"].astype(str).to_numpy())
        ad.AnnData(sparse.csr_matrix(hits.T, dtype=np.float32), obs=pd.DataFrame(index=peaks), var=var).write_h5ad(out)
    return out if out.exists() else None


def memory(process: psutil.Process) -> float:
    """Return the memory of a process and its children in MB; what several share counts once."""
    total = 0.0
    for one in [process, *process.children(recursive=True)]:
        try:
            full = one.memory_full_info()
        except psutil.Error:
            continue
        total += getattr(full, "pss", full.uss)
    return total / 2**20


def watched(command: list[str], log: Path) -> tuple[int, float, float]:
    """Run a command; return its status, its seconds, and the largest memory of its processes together, MB."""
    started, largest = time.monotonic(), 0.0
    with log.open("w") as file:
        running = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        process = psutil.Process(running.pid)
        while running.poll() is None:
            try:
                largest = max(largest, memory(process))
            except psutil.NoSuchProcess:
                break
            time.sleep(INTERVAL)
    return running.wait(), time.monotonic() - started, largest


def run(source: Path, n_cells: int, options: argparse.Namespace) -> dict[str, tuple[float, float]]:
    """Run one size; return seconds and memory by stage, and of the whole run."""
    out = options.out / f"run-{n_cells}"
    kept = out / "scale.json"
    data = subset(options.folder, options.out / f"data-{n_cells}", n_cells)
    hits = motif_hits(source)
    command = [sys.executable, "-m", "mira_nb", "run", "--out", str(out)]
    command += ["--rna", str(data / "rna.h5ad"), "--atac", str(data / "atac.h5ad")]
    if (source / "tss.tsv").exists():
        command += ["--tss", str(source / "tss.tsv")]
    if hits is not None:
        command += ["--motif-hits", str(hits)]
    for value in ("tuning_rna.mode=none", "tuning_atac.mode=none", *options.set):
        command += ["--set", value]
    if options.until:
        command += ["--until", options.until]
    if not kept.exists():
        status, seconds, largest = watched(command, options.out / f"run-{n_cells}.log")
        if status:
            raise SystemExit(f"{n_cells} cells: status {status}, see {options.out / f'run-{n_cells}.log'}")
        kept.write_text(json.dumps([seconds, largest]))
    record = json.loads((out / "run.json").read_text())["stages"]
    found = {
        name: (float(stage["seconds"]), float(stage["peak_rss_mb"]))
        for name, stage in record.items()
        if stage["status"] == "done"
    }
    seconds, largest = json.loads(kept.read_text())
    return found | {"whole run": (seconds, largest)}


def table(found: dict[int, dict[str, tuple[float, float]]]) -> str:
    """Return seconds and MB by stage and number of cells, and the exponent of the time between the outermost sizes."""
    sizes = sorted(found)
    lines = ["| stage | " + " | ".join(f"{n:,} cells" for n in sizes) + " | exponent |"]
    lines.append("|---|" + "---:|" * (len(sizes) + 1))
    for name in dict.fromkeys(name for n in sizes for name in found[n]):
        cells = [f"{found[n][name][0]:.0f} s, {found[n][name][1]:,.0f} MB" if name in found[n] else "–" for n in sizes]
        ends = [n for n in sizes if name in found[n]]
        power = "–"
        if len(ends) > 1:
            first, last = (found[n][name][0] for n in (ends[0], ends[-1]))
            power = f"{np.log(max(last, 0.1) / max(first, 0.1)) / np.log(ends[-1] / ends[0]):.2f}"
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {power} |")
    return "\n".join(lines)


def main() -> None:
    """Run all sizes and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cells", type=int, nargs="+", default=[5000, 10000, 20000])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--until", default="")
    parser.add_argument("--set", action="append", default=[], metavar="STAGE.NAME=VALUE")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    found = {n: run(options.folder, n, options) for n in options.cells}
    sys.stdout.write(table(found) + "\n")


if __name__ == "__main__":
    main()
