"""``python -m tests.benchmarks.defaults``: compare debatable defaults with their alternatives on several kinds of data.

    python -m tests.benchmarks.defaults [--kinds even late bursts peer] [--seeds 0 1 2] [--out FILE.md]
        [--peer FILE] [--run KIND:COLUMN=DIR ...] [--planted-only] [--fresh] [--work DIR]

Kinds: the embedded simulator with its three ways of sampling time, and a simulator of another author (``--peer``, or
the environment variable ``MIRA_NB_PEER``). Topics are the planted ones with noise, and those of models fitted with the
planted number of topics. Topics and scores are kept in the work folder, so that a second call goes on from there;
``--fresh`` computes the scores again, for code that has changed. ``--run cortex:cluster=DIR`` adds a run folder of real
data and its cell annotation; it judges the weights of the assays only.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path

from .page import Row, page
from .scores import score_all
from .sets import EMBEDDED, PEER, TopicSet, fitted, noisy, of_run, simulated

Key = tuple[str, int, str]
"""Kind, seed, source of the topics."""


def simulations(options: argparse.Namespace) -> Iterator[tuple[Key, Callable[[], TopicSet]]]:
    """Yield name and maker of every set of simulated cells: the planted topics, which cost little, before the fits."""
    for source in ["planted"] if options.planted_only else ["planted", "fitted"]:
        for seed in options.seeds:
            for kind in options.kinds:
                yield (kind, seed, source), partial(_made, kind, seed, source, options)


def _made(kind: str, seed: int, source: str, options: argparse.Namespace) -> TopicSet:
    made = simulated(kind, seed, options.work, options.peer)
    return noisy(kind, seed, made) if source == "planted" else fitted(kind, seed, made, options.work)


def runs(given: list[str]) -> Iterator[tuple[Key, Callable[[], TopicSet]]]:
    """Yield name and maker of the sets of run folders; several of one kind count as its seeds."""
    numbers: dict[str, int] = {}
    for text in given:
        name, _, folder = text.partition("=")
        kind, _, column = name.partition(":")
        if not column or not folder:
            raise SystemExit(f"--run {text}: KIND:COLUMN=DIR is expected")
        numbers[kind] = numbers.get(kind, -1) + 1
        yield (kind, numbers[kind], "fitted"), partial(of_run, kind, numbers[kind], Path(folder), column)


def read_scores(file: Path) -> dict[Key, Row]:
    """Read the scores that are kept."""
    if not file.exists():
        return {}
    kept = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return {(row["kind"], row["seed"], row["source"]): row for row in kept}


def main() -> None:
    """Score all sets and write the tables."""
    given = os.environ.get("MIRA_NB_PEER")
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.defaults")
    parser.add_argument("--kinds", nargs="*", choices=[*EMBEDDED, PEER], help="default: all that can be made")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--peer", type=Path, default=Path(given) if given else None, metavar="FILE")
    parser.add_argument("--run", action="append", default=[], metavar="KIND:COLUMN=DIR")
    parser.add_argument("--planted-only", action="store_true", help="fit no topic models")
    parser.add_argument("--fresh", action="store_true", help="compute the scores again, of topics that are kept")
    parser.add_argument("--work", type=Path, default=Path("benchmark-results/defaults"))
    parser.add_argument("--out", type=Path, metavar="FILE.md")
    options = parser.parse_args()
    if options.kinds is None:
        options.kinds = [*EMBEDDED, *([PEER] if options.peer else [])]
    options.work.mkdir(parents=True, exist_ok=True)
    file = options.work / "scores.jsonl"
    known = {} if options.fresh else read_scores(file)
    rows: list[Row] = []
    started = time.monotonic()
    for key, make in chain(simulations(options), runs(options.run)):
        if key not in known:
            cells = make()
            row = dict(zip(("kind", "seed", "source"), key, strict=True)) | {"weights": cells.weights}
            known[key] = row | {"scores": score_all(cells)}
            file.write_text("".join(json.dumps(kept) + "\n" for kept in known.values()), encoding="utf-8")
            sys.stdout.write(f"{key[0]}, seed {key[1]}, {key[2]}: {time.monotonic() - started:.0f} s\n")
            sys.stdout.flush()
        rows.append(known[key])
    text = page(rows)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    sys.stdout.write("\n" + text)


if __name__ == "__main__":
    main()
