"""``python -m tests.scoreboard``: score every method on every set and write docs/scoreboard.md."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from mira_nb.core.representation.neighbors import nearest_neighbors
from mira_nb.datasets.simulate_cells import FIRST_SPLIT, SECOND_SPLIT
from mira_nb.version import __version__
from tests.benchmarks.__main__ import ROOT, reference_python

from . import held_out, ours, rows, subsamples
from .coherence import coherence, diversity
from .methods import OTHERS, TOPICS
from .page import METHODS, OURS, PAGE, SUBSAMPLES, page
from .reasons import REASONS
from .scores import K_NEIGHBORS, Representation, label_scores, topic_match, trajectory_scores
from .sets import SETS, CellSet

REFERENCE = "reference"


def say(text: str) -> None:
    """Print at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def scores(cells: CellSet, found: Representation) -> dict[str, float]:
    """Return all scores of a representation."""
    out = label_scores(found, cells.labels) | found.extra
    for name, topics in found.topics.items():
        counts = getattr(cells, name)
        out |= {f"npmi_{name}": coherence(topics, counts), f"diversity_{name}": diversity(topics, counts)}
    if cells.truth:
        out |= trajectory_scores(found, cells.truth, (FIRST_SPLIT, SECOND_SPLIT))
        for name, topics in found.topics.items():
            out[f"match_{name}"] = topic_match(cells.truth[f"theta_{name}"], topics)
    return out


def reference(cells: CellSet, work: Path) -> Representation:
    """Fit the reference implementation in its own environment."""
    python = reference_python(Path(os.environ.get("PEER_VENV") or ROOT / ".peer-venv"))
    if python is None:
        raise RuntimeError("the reference cannot be installed here")
    out = work / f"reference-{cells.key}.npz"
    script = Path(__file__).with_name("reference.py")
    command = [python, script, "--folder", cells.folder, "--out", out, "--topics", TOPICS[cells.name]]
    env = {**os.environ, "PYTHONPATH": "", "TQDM_DISABLE": "1"}
    done = subprocess.run(
        [str(part) for part in [*command, "--seed", cells.seed]], capture_output=True, text=True, env=env, check=False
    )
    if not out.exists():
        raise RuntimeError((done.stderr.strip().splitlines() or ["?"])[-1])
    if done.returncode:
        say(f"  without its regulation: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    return read_reference(out, cells)


def read_reference(file: Path, cells: CellSet) -> Representation:
    """Read what reference.py has kept."""
    with np.load(file) as kept:
        arrays = {name: kept[name] for name in ("points", "rna", "atac")}
        facts = json.loads(str(kept["facts"]))
    extra = {}
    if facts:
        kind = pd.read_csv(cells.folder / "truth_genes.tsv", sep="\t", index_col="gene_symbol")["kind"]
        planted = json.loads((cells.folder / "truth.json").read_text(encoding="utf-8"))["planted_factors"]
        extra = {
            "nite_auc": ours.nite_auc(pd.Series(facts["nite"]), kind),
            "driver_f1": ours.f1(set(facts["called"]), set(planted)),
        }
    near = nearest_neighbors(arrays["points"], k=K_NEIGHBORS, metric="manhattan")
    topics = {name: arrays[name] for name in ("rna", "atac")}
    return Representation(near, arrays["points"], topics, "mira-multiome 2.1.1", extra)


def compute(method: str, cells: CellSet, work: Path, runs: dict[str, Path]) -> Representation:
    """Return the representation that a method makes of a set."""
    if method == OURS:
        folder = runs.get(cells.key)
        if folder is None:
            folder = work / "runs" / cells.key
            ours.run(cells, folder)
        return ours.read(folder)
    return reference(cells, work) if method == REFERENCE else OTHERS[method](cells)


def one(method: str, cells: CellSet, options: argparse.Namespace, runs: dict[str, Path]) -> None:
    """Compute and keep one row, unless a kept one is good; a method that cannot run here leaves no row."""
    fresh = options.fresh or method == OURS
    if not fresh and rows.kept(method, cells.name, cells.seed, cells.digest):
        return
    started = time.monotonic()
    try:
        found = compute(method, cells, options.work, runs)
        if len(found.neighbors.indices) != len(cells.labels):
            raise RuntimeError(f"{len(found.neighbors.indices)} of {len(cells.labels)} cells")
    except Exception as error:  # another package's fault leaves one row out, not the board
        if method == OURS:
            raise
        say(f"{method}, {cells.key}: not computed ({type(error).__name__}: {error})")
        return
    row = rows.Row(method, cells.name, cells.seed, found.version, cells.digest, scores(cells, found))
    rows.write(row)
    say(f"{method}, {cells.key}: {json.dumps(row.scores)} ({time.monotonic() - started:.0f} s)")


def real_genes(data: Path) -> None:
    """Keep the rows on LITE's prediction of held-out cells, for the sets whose files are there."""
    for name, loci in held_out.SETS.items():
        if not loci.there(data):
            say(f"{name}: the set or its start sites are not in the DATA folder; kept rows are shown")
            continue
        for seed in (0, 1, 2):
            found, digest = held_out.score(loci, data, seed)
            rows.write(rows.Row(OURS, name, seed, f"mira_nb {__version__}", digest, found))
            say(f"{OURS}, {name}-{seed}: {json.dumps(found)}")


def stability(cells: CellSet, work: Path) -> None:
    """Keep the row on subsamples of a simulation."""
    started = time.monotonic()
    found = subsamples.score(cells, work / "runs" / cells.key, work)
    rows.write(rows.Row(OURS, SUBSAMPLES, cells.seed, f"mira_nb {__version__}", cells.digest, found))
    say(f"{OURS}, {SUBSAMPLES}-{cells.seed}: {json.dumps(found)} ({time.monotonic() - started:.0f} s)")


def current(all_rows: list[rows.Row], digests: dict[tuple[str, int], str]) -> list[rows.Row]:
    """Return the rows that belong to the data at hand; those of sets that are not there are shown as they are."""
    return [row for row in all_rows if digests.get((row.set, row.seed), row.data) == row.data]


def main() -> None:
    """Score, keep, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.scoreboard")
    parser.add_argument("--data", type=Path, help="folder of the real sets; without it only simulations are scored")
    parser.add_argument("--work", type=Path, default=Path("scoreboard-results"))
    parser.add_argument("--fresh", action="store_true", help="compute the rows of the other methods again")
    parser.add_argument("--run", action="append", default=[], metavar="SET-SEED=DIR")
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=list(METHODS))
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--seeds", nargs="+", type=int)
    options = parser.parse_args()
    runs = {name: Path(folder) for name, _, folder in (given.partition("=") for given in options.run)}
    options.work.mkdir(parents=True, exist_ok=True)
    digests = {}
    for name in options.sets:
        make, seeds = SETS[name]
        if name != "embedded" and options.data is None:
            say(f"{name}: no DATA folder was given; kept rows are shown")
            continue
        for seed in seeds if options.seeds is None else [s for s in seeds if s in options.seeds]:
            cells = make(options.data or Path(), options.work, seed)
            digests[name, seed] = cells.digest
            for method in options.methods:
                one(method, cells, options, runs)
            if cells.truth and OURS in options.methods and not options.run:
                stability(cells, options.work)
    if options.data is not None and OURS in options.methods and not options.run:
        real_genes(options.data)
    PAGE.write_text(page(current(rows.read(), digests), REASONS), encoding="utf-8")
    say(f"Wrote {PAGE}")


if __name__ == "__main__":
    main()
