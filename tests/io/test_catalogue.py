"""Resources by name, against a server on this machine."""

from __future__ import annotations

import gzip
import hashlib
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mira_nb.errors import OfflineError, ResourceError
from mira_nb.io.catalogue import JASPAR_TAXA, local_file
from mira_nb.io.motif_files import read_motifs
from tests.messages import refused

MOTIFS = ">MA0001.1 FOX\nA [ 1 2 3 ]\nC [ 4 0 0 ]\nG [ 0 3 0 ]\nT [ 0 0 2 ]\n"


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folder served as JASPAR and UCSC."""
    root = tmp_path / "mirror"
    for folder in ("2024/CORE", "sim1/bigZips", "sim2/bigZips"):
        (root / folder).mkdir(parents=True)

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(root))  # type: ignore[arg-type]

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv("MIRA_NB_JASPAR", address + "/")
    monkeypatch.setenv("MIRA_NB_UCSC", address)
    monkeypatch.setenv("MIRA_NB_CACHE", str(tmp_path / "cache"))
    yield root
    server.shutdown()
    server.server_close()
    thread.join()


def test_files_stay_what_they_are(tmp_path: Path) -> None:
    for value in (Path("own.jaspar"), tmp_path / "genome.fa.gz", Path("C:/data/genome.fa")):
        assert local_file(value, "genome") == value
    named = tmp_path / "jaspar:vertebrates"
    named.touch()
    assert local_file(named, "motifs") == named


def test_motifs_of_a_taxon(mirror: Path) -> None:
    name = "JASPAR2024_CORE_vertebrates_non-redundant_pfms_jaspar.txt"
    (mirror / "2024/CORE" / name).write_text(MOTIFS)
    path = local_file(Path("jaspar:vertebrates"), "motifs")
    assert path.name == name
    assert [motif.name for motif in read_motifs(path)] == ["FOX"]
    (mirror / "2024/CORE" / name).unlink()  # from now on the cache answers
    assert local_file(Path("jaspar:vertebrates"), "motifs") == path
    with pytest.raises(OfflineError, match=r"(?s)404.*--motifs FILE"):
        local_file(Path("jaspar:plants"), "motifs")


def test_genome_with_its_published_checksum(mirror: Path) -> None:
    content = gzip.compress(b">chr1\nACGT\n", mtime=0)
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    (mirror / "sim1/bigZips/sim1.fa.gz").write_bytes(content)
    (mirror / "sim1/bigZips/md5sum.txt").write_text(f"{'0' * 32}  sim1.2bit\n{digest}  sim1.fa.gz\n")
    assert local_file(Path("ucsc:sim1"), "genome").read_bytes() == content
    (mirror / "sim2/bigZips/md5sum.txt").write_text(f"{digest}  chromFa.tar.gz\n")
    with refused("assembly_not_listed", ResourceError, assembly="sim2"):
        local_file(Path("ucsc:sim2"), "genome")


@pytest.mark.parametrize(
    ("value", "resource", "message"),
    [
        ("jaspar:vertebrates", "genome", "jaspar has no genome"),
        ("ucsc:mm10", "motifs", "ucsc has no motifs"),
        ("ucsc:../etc", "genome", "no name of an assembly"),
    ],
)
def test_wrong_names(value: str, resource: str, message: str) -> None:
    with pytest.raises(ResourceError, match=message):
        local_file(Path(value), resource)  # type: ignore[arg-type]


def test_a_wrong_taxon_is_answered_with_all_taxa() -> None:
    with refused("taxon_unknown", ResourceError) as caught:
        local_file(Path("jaspar:mammals"), "motifs")
    assert "vertebrates" in JASPAR_TAXA
    assert [taxon for taxon in JASPAR_TAXA if taxon not in str(caught.value)] == []
