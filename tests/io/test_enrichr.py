"""The client against a small HTTP server on this machine that speaks Enrichr's protocol."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mira_nb.errors import OfflineError, ResourceError
from mira_nb.io.enrichr import EnrichrClient
from tests.messages import refused

ROW = [1, "Focal Adhesion WP306", 1e-5, 4.5, 30.0, ["LAMA5", "TNC"], 2e-4, 0, 0]


class Service(ThreadingHTTPServer):
    """Counts requests; the first `failures` of them get `status`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.failures, self.status, self.seen, self.body = 0, 503, [], b""
        self.text: bytes | None = None
        self.pause = 0.0

    def handle_error(self, *args: object) -> None:
        """A client that left before the answer is what a test wants."""


class Handler(BaseHTTPRequestHandler):
    server: Service

    def log_message(self, *args: object) -> None:
        pass

    def reply(self, answer: object) -> None:
        self.server.seen.append(self.path)
        time.sleep(self.server.pause)
        failing = len(self.server.seen) <= self.server.failures
        self.send_response(self.server.status if failing else 200)
        body = self.server.text or json.dumps(answer).encode()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.server.body = self.rfile.read(int(self.headers["Content-Length"]))
        self.reply({"userListId": 7, "shortId": "x"})

    def do_GET(self) -> None:
        known = "backgroundType=WikiPathways_2019_Human" in self.path and "userListId=7" in self.path
        self.reply({"WikiPathways_2019_Human": [ROW]} if known else {"error": "no such library"})


@pytest.fixture
def service() -> Iterator[Service]:
    server = Service()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def client(service: Service, **options) -> EnrichrClient:
    waits: list[float] = []
    made = EnrichrClient(url=f"http://127.0.0.1:{service.server_port}", sleep=waits.append, **options)
    made.waits = waits  # type: ignore[attr-defined]
    return made


def test_answer_becomes_a_table(service):
    table = client(service).enrich(["TNC", "LAMA5"], "WikiPathways_2019_Human")
    row = table.iloc[0]
    assert row["term"] == "Focal Adhesion WP306"
    assert (row["pvalue"], row["adj_pvalue"], row["odds_ratio"]) == (1e-5, 2e-4, 4.5)
    assert row["genes"] == "LAMA5;TNC"
    assert b"TNC\nLAMA5" in service.body


def test_busy_service_is_asked_again_with_growing_waits(service):
    service.failures = 2
    asked = client(service, wait=0.5)
    assert len(asked.enrich(["A"], "WikiPathways_2019_Human")) == 1
    assert asked.waits == [0.5, 1.0]


def test_answers_are_cached_by_the_set_of_genes(service, tmp_path):
    first = client(service, cache=tmp_path).enrich(["A", "B"], "WikiPathways_2019_Human")
    n_requests = len(service.seen)
    again = client(service, cache=tmp_path).enrich(["B", "A"], "WikiPathways_2019_Human")
    assert again.equals(first)
    assert len(service.seen) == n_requests
    client(service, cache=tmp_path).enrich(["B", "C"], "WikiPathways_2019_Human")
    assert len(service.seen) == n_requests + 2


def test_a_damaged_cache_entry_is_replaced(service, tmp_path):
    client(service, cache=tmp_path).enrich(["A"], "WikiPathways_2019_Human")
    entry = next(tmp_path.glob("*.json"))
    entry.write_text("{broken", encoding="utf-8")
    assert len(client(service, cache=tmp_path).enrich(["A"], "WikiPathways_2019_Human")) == 1
    assert json.loads(entry.read_text(encoding="utf-8"))


def test_unknown_library_is_named(service):
    with refused("enrichr_library_unknown", ResourceError, library="Nonsense_1999"):
        client(service).enrich(["A"], "Nonsense_1999")


def test_refusal_is_not_repeated(service):
    service.failures, service.status = 99, 404
    with refused("enrichr_refused", ResourceError, status=404):
        client(service).enrich(["A"], "WikiPathways_2019_Human")
    assert len(service.seen) == 1


def test_an_answer_that_is_not_json_is_shown(service):
    service.text = b"<html>maintenance</html>"
    with refused("enrichr_answer_malformed", ResourceError, name="addList", answer="<html>maintenance</html>"):
        client(service).enrich(["A"], "WikiPathways_2019_Human")


def test_a_silent_service_is_left_after_the_time_limit(service):
    service.pause = 3.0
    with refused("enrichr_unreachable", OfflineError, n_tries=2):
        client(service, timeout=0.2, n_tries=2).enrich(["A"], "WikiPathways_2019_Human")


def test_gseapy_speaks_to_the_service(service):
    """The bytes that arrive are those that gseapy's own class sends, and the table holds what gseapy's parser reads."""
    import gseapy

    table = client(service).enrich(["TNC", "LAMA5"], "WikiPathways_2019_Human")
    theirs = gseapy.Enrichr(gene_list=["TNC", "LAMA5"], gene_sets="WikiPathways_2019_Human", outdir=None, no_plot=True)
    theirs.base_url = f"http://127.0.0.1:{service.server_port}"
    answer = theirs.get_enrichment(theirs.add_list(["TNC", "LAMA5"])["userListId"], "WikiPathways_2019_Human")
    assert service.seen[:2] == service.seen[2:]
    expected = theirs._parse_json_response(answer["WikiPathways_2019_Human"], "WikiPathways_2019_Human")
    columns = {"Term": "term", "P-value": "pvalue", "Adjusted P-value": "adj_pvalue", "Odds Ratio": "odds_ratio"}
    expected = expected.rename(columns={**columns, "Genes": "genes"})
    for column in (*columns.values(), "genes"):
        assert table[column].tolist() == expected[column].tolist()


def test_no_connection_names_the_offline_way():
    lonely = EnrichrClient(url="http://127.0.0.1:9", n_tries=2, sleep=lambda seconds: None, timeout=1)
    with pytest.raises(OfflineError, match="--gene-sets"):
        lonely.enrich(["A"], "WikiPathways_2019_Human")
    assert lonely.n_requests == 2
