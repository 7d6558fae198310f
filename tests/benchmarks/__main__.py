"""``python -m tests.benchmarks``: speed and memory, against the reference implementation where it can be had."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from scipy import sparse

from mira_nb.run.compute import available_cores
from mira_nb.run.provenance import package_versions, platform_facts
from tests.benchmarks.data import write_counts, write_genome
from tests.benchmarks.depth import DEPTHS, measure_depth, simulate_planted
from tests.benchmarks.depth import table as depth_table
from tests.benchmarks.workers import measure_workers

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SIZES = {
    "small": {"n_cells": 2000, "n_genes": 3000, "n_peaks": 20_000},
    "large": {"n_cells": 5000, "n_genes": 3000, "n_peaks": 100_000},
}
PYRO_SIZES = ("small",)
"""Sizes at which the Pyro engine is measured too; it holds dense batches x features arrays."""
MODALITIES = {"expression": "rna", "accessibility": "atac"}
N_TOPICS, BATCH = 7, 128
PARTS = ("topics", "regulation", "workers", "depth")
REFERENCE_EPOCHS = 26
"""Epochs of the reference at its defaults (24, and two more that it always makes)."""


def say(text: str) -> None:
    """Print at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def reference_python(folder: Path) -> Path | None:
    """Python of the reference's environment, which is built when it is not there; None where that fails."""
    python = folder / "bin" / "python"
    stamp = folder / ".built"
    if stamp.exists():
        return python
    say(f"Building the reference's environment in {folder} (some minutes)")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    steps = [
        [sys.executable, "-m", "venv", str(folder)],
        [*pip, "-r", str(HERE / "reference-pins.txt")],
        [*pip, "--no-deps", "mira-multiome==2.1.1"],
        [str(python), "-c", "import mira"],
    ]
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            say(f"The reference cannot be installed here: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
            return None
    stamp.touch()
    return python


def measure(python: Path, script: str, **options: Any) -> dict[str, Any]:
    """Run one fit in a process of its own; returns its figures, or the error's last line."""
    arguments = [item for name, value in options.items() for item in (f"--{name}", str(value))]
    threads = str(options["threads"])
    env = {**os.environ, "PYTHONPATH": str(ROOT) if script.startswith("ours") else "", "TQDM_DISABLE": "1"}
    env |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), threads)
    done = subprocess.run(
        [str(python), str(HERE / script), *arguments], capture_output=True, text=True, env=env, check=False
    )
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]}
    figures: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def whole_fits(rows: list[dict[str, Any]]) -> list[str]:
    """Markdown table of whole fits at each one's defaults, from counts to the finished model.

    Those of the reference are reckoned from the epochs that were measured.
    """
    lines = [
        f"| size | model | whole fit at defaults, s: ours | epochs | reference ({REFERENCE_EPOCHS} epochs) | ratio |",
        "|---|---|" + "---:|" * 4,
    ]
    for row in rows:
        ours, theirs = row["ours"].get("default_fit_s"), None
        if "fit_s" in row["reference"]:
            left = REFERENCE_EPOCHS - row["reference"]["epochs"]
            theirs = row["reference"]["fit_s"] + left * row["reference"]["epoch_s"]
        cells = [row["size"], row["modality"], f"{ours:.1f}" if ours is not None else "-"]
        cells.append(str(row["ours"].get("default_epochs", "-")))
        cells.append(f"{theirs:.1f}" if theirs is not None else "-")
        cells.append(f"{theirs / ours:.1f}" if None not in (ours, theirs) else "-")
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def epoch_lines(rows: list[dict[str, Any]]) -> list[str]:
    """Markdown table of an epoch, a fit of the epochs asked for, and memory."""
    lines = [
        "| size | model | seconds per epoch: ours | reference | ratio | fit, s: ours | reference | ratio "
        "| memory, MB: ours | reference | ratio |",
        "|---|---|" + "---:|" * 9,
    ]
    for row in rows:
        cells = [row["size"], row["modality"]]
        for name, form in (("epoch_s", ".2f"), ("fit_s", ".1f"), ("peak_mb", ".0f")):
            ours, theirs = row["ours"].get(name), row["reference"].get(name)
            both = ours is not None and theirs is not None
            cells += [f"{value:{form}}" if value is not None else "-" for value in (ours, theirs)]
            if name == "peak_mb":
                for at, side in ((-2, "ours"), (-1, "reference")):
                    added = row[side].get("added_mb")
                    cells[at] += f" ({added:+.0f})" if added is not None else ""
            cells.append(f"{theirs / ours:.1f}" if both else "-")
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def summary(rows: list[dict[str, Any]]) -> str:
    """Markdown tables of all fits: whole fits first, then epochs."""
    errors = [
        f"- {row['size']} {row['modality']}, {side}: {row[side]['error']}"
        for row in rows
        for side in ("ours", "pyro", "reference")
        if "error" in row.get(side, {})
    ]
    return "\n".join([*whole_fits(rows), *epoch_lines(rows), *engine_lines(rows), *errors]).rstrip() + "\n"


def measure_ours(size: str, common: dict[str, Any]) -> dict[str, Any]:
    """Measure our fits of one size and modality: at the defaults, of the epochs asked for, by the Pyro engine."""
    whole = measure(Path(sys.executable), "ours.py", **common, defaults=1)
    if "error" in whole:
        ours = {"error": f"at the defaults: {whole['error']}"}
    else:
        ours = {"default_fit_s": whole["fit_s"], "default_epochs": whole["epochs"], "default_parts_s": whole["parts_s"]}
    row = {"ours": ours | measure(Path(sys.executable), "ours.py", **common)}
    if size in PYRO_SIZES:
        row["pyro"] = measure(Path(sys.executable), "ours.py", **common, engine="pyro")
    return row


def engine_lines(rows: list[dict[str, Any]]) -> list[str]:
    """Markdown table of the Pyro engine beside the compiled one: same model, start, batches and noise."""
    lines = ["| size | model | seconds per epoch: compiled | Pyro | ratio |", "|---|---|---:|---:|---:|"]
    for row in rows:
        ours, theirs = (row.get(side, {}).get("epoch_s") for side in ("ours", "pyro"))
        if ours is not None and theirs is not None:
            lines.append(f"| {row['size']} | {row['modality']} | {ours:.2f} | {theirs:.2f} | {theirs / ours:.1f} |")
    return [*lines, ""] if len(lines) > 2 else []


def regulation_summary(regulation: dict[str, Any]) -> str:
    """Markdown table of the regulatory potential models."""
    lines = ["", "| a gene | ours, ms | reference, ms | ratio |", "|---|---:|---:|---:|"]
    ours, theirs = regulation["ours"], regulation["reference"]
    for label, name in (("LITE and NITE", "fit_gene_s"), ("in-silico deletion, 60 factors", "deletion_gene_s")):
        for kind, key in (("", name), (", CPU", name.replace("_s", "_cpu_s"))):
            values = [side.get(key) for side in (ours, theirs)]
            cells = [f"{1e3 * value:.2f}" if value is not None else "-" for value in values]
            cells.append(f"{values[1] / values[0]:.0f}" if None not in values else "-")
            lines.append("| " + " | ".join([label + kind, *cells]) + " |")
    errors = [f"- {name}: {side['error']}" for name, side in (("ours", ours), ("reference", theirs)) if "error" in side]
    return "\n".join([*lines, "", *errors]).rstrip() + "\n"


def measure_regulation(folder: Path, theirs: Path | None, options: argparse.Namespace) -> dict[str, Any]:
    """LITE, NITE and in-silico deletion of some genes, on topic models of a few epochs."""
    size = SIZES["small"]
    if not (folder / "rna.npz").exists():
        # the reference fails on most genes of few topics
        write_counts(folder, **size, n_topics=N_TOPICS, evenness=3.0)
    if not (folder / "hits.npz").exists():
        shapes = [sparse.load_npz(folder / f"{name}.npz").shape[1] for name in ("rna", "atac")]
        write_genome(folder, n_genes=shapes[0], n_peaks=shapes[1])
    common = {
        "folder": folder, "topics": N_TOPICS, "epochs": options.epochs, "batch": BATCH, "threads": options.threads,
        "genes": options.genes,
    }  # fmt: skip
    out: dict[str, Any] = {
        "genes": options.genes,
        "ours": measure(Path(sys.executable), "ours_regulation.py", **common),
    }
    out["reference"] = measure(theirs, "reference_regulation.py", **common) if theirs is not None else {}
    return out


def counts_folder(out: Path, size: str) -> Path:
    """Return the folder of the counts of a size, which are simulated once."""
    folder = out / "data" / size
    if not (folder / "atac.npz").exists():
        say(f"Simulating {size}: {SIZES[size]}")
        write_counts(folder, **SIZES[size], n_topics=N_TOPICS)
    return folder


def workers_line(measured: dict[str, Any]) -> str:
    """Sentence on trials per hour with one and with two workers."""
    one, two = measured["one"]["trials_per_hour"], measured["two"]["trials_per_hour"]
    load = " and ".join(f"{value:.1f}" for value in measured["load"])
    return (
        f"Trials per hour of a search: {one:.0f} with one one-thread worker, {two:.0f} with two "
        f"({measured['ratio']:.2f} times as many; load {load} before and after).\n"
    )


def other_parts(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Measure the parts without a reference that were asked for: workers, depth."""
    facts: dict[str, Any] = {}
    text = ""
    if "workers" in options.parts:
        facts["workers"] = measure_workers(counts_folder(options.out, "small"))
        say(json.dumps(facts["workers"]))
        text += workers_line(facts["workers"])
    if "depth" in options.parts:
        facts["depth"] = []
        for depth in DEPTHS:
            for row in measure_depth(simulate_planted(depth, options.seed), seed=options.seed):
                say(json.dumps(row))
                facts["depth"].append(row)
        text += "\n".join(depth_table(facts["depth"]))
    return facts, text


def main() -> int:
    """Measure everything; exit status 1 when a fit of ours failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("--out", type=Path, default=Path("benchmark-results"))
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--genes", type=int, default=48)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=["topics", "regulation"])
    parser.add_argument("--seed", type=int, default=0, help="of the sets of the part depth")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--no-reference", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    theirs = None
    if not options.no_reference and {"topics", "regulation"} & set(options.parts):
        theirs = reference_python(Path(os.environ.get("PEER_VENV") or ROOT / ".peer-venv"))
    rows = []
    for size in options.sizes if "topics" in options.parts else ():
        folder = counts_folder(options.out, size)
        for modality, name in MODALITIES.items():
            common = {
                "counts": folder / f"{name}.npz", "modality": modality, "topics": N_TOPICS,
                "epochs": options.epochs, "batch": BATCH, "threads": options.threads,
            }  # fmt: skip
            row: dict[str, Any] = {"size": size, "modality": modality, "reference": {}}
            row |= measure_ours(size, common)
            if theirs is not None:
                row["reference"] = measure(theirs, "reference.py", **common)
            say(json.dumps(row))
            rows.append(row)
    regulation = None
    if "regulation" in options.parts:
        regulation = measure_regulation(options.out / "data" / "regulation", theirs, options)
        say(json.dumps(regulation))
    others, others_text = other_parts(options)
    facts = {
        "rows": rows, "regulation": regulation, "threads": options.threads, "versions": package_versions(),
        "platform": platform_facts(), **others,
    }  # fmt: skip
    (options.out / "results.json").write_text(json.dumps(facts, indent=1) + "\n")
    note = "" if theirs is not None or not (rows or regulation) else "\nThe reference was not measured.\n"
    text = (summary(rows) if rows else "") + (regulation_summary(regulation) if regulation else "") + note
    text += ("\n" if text and others_text else "") + others_text
    (options.out / "summary.md").write_text(text)
    say("\n" + text)
    return int(
        any(
            "error" in row["ours"] or "error" in row.get("pyro", {})
            for row in [*rows, *([regulation] if regulation else [])]
        )
    )


if __name__ == "__main__":
    sys.exit(main())
