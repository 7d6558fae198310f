"""Client of the Enrichr web service: retries, a cache on disk, and a clear message when it cannot be reached.

The protocol is spoken by gseapy's ``Enrichr``; address, cache, waiting, time limits and messages are ours.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mira_nb.errors import OfflineError, ResourceError

from .messages import refusal

if TYPE_CHECKING:
    import requests

ENRICHR_URL = "https://maayanlab.cloud/Enrichr"
RETRY_STATUS = frozenset({429, 500, 502, 503, 504})


def default_cache() -> Path:
    """Return the folder of this user's cached answers."""
    from platformdirs import user_cache_path

    return user_cache_path("mira_nb") / "enrichr"


@dataclass
class EnrichrClient:
    """Client that asks Enrichr which gene sets are over-represented in a list of genes.

    Attributes
    ----------
    url
        Address of the service.
    cache
        Folder of answers; None keeps none. An answer is looked up by service, library and the set of genes.
    n_tries
        Attempts for each request; busy or failing servers (429, 5xx, no connection) are tried again.
    wait
        Seconds before the second attempt, doubled each time.
    timeout
        Seconds for one request.
    sleep
        Waits (replaced in tests).
    """

    url: str = ENRICHR_URL
    cache: Path | None = None
    n_tries: int = 4
    wait: float = 1.0
    timeout: float = 30.0
    sleep: Callable[[float], None] = time.sleep
    n_requests: int = field(default=0, init=False)

    def enrich(self, genes: Sequence[str], library: str, *, description: str = "mira_nb") -> pd.DataFrame:
        """Return the over-represented terms of one library.

        Returns
        -------
        pandas.DataFrame
            term, ontology, pvalue, adj_pvalue, odds_ratio, overlap (number of shared genes), genes (joined by ";").

        Raises
        ------
        OfflineError
            The service cannot be reached or stays busy.
        ResourceError
            The service refuses the request, e.g. because the library does not exist.
        """
        path = self._cache_path(genes, library)
        if path is not None and path.exists():
            try:
                return self._table(json.loads(path.read_text(encoding="utf-8")), library)
            except (ValueError, ResourceError):
                path.unlink()  # a damaged answer is asked for again
        answer = self._ask(genes, library, description)
        table = self._table(answer, library)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(".part")
            temporary.write_text(json.dumps(answer), encoding="utf-8")
            temporary.replace(path)
        return table

    def _cache_path(self, genes: Sequence[str], library: str) -> Path | None:
        if self.cache is None:
            return None
        key = json.dumps([self.url, library, sorted(set(genes))])
        return self.cache / f"{hashlib.sha256(key.encode()).hexdigest()}.json"

    def _ask(self, genes: Sequence[str], library: str, description: str) -> Any:
        """Return the service's answer for one library: send the genes, then ask for their enrichment."""
        from gseapy import Enrichr

        service = Enrichr(gene_list=list(genes), gene_sets=library, outdir=None, no_plot=True)
        service.base_url = self.url
        # gseapy's own session waits without limit, leaves status 429 out and sleeps where tests cannot replace it
        service._session.close()
        service._session = _session(self.timeout)
        try:
            listing = self._retried("addList", lambda: service.add_list(list(genes), description))
            if not isinstance(listing, dict) or "userListId" not in listing:
                raise refusal(ResourceError, "enrichr_list_refused")
            found = self._retried("enrich", lambda: service.get_enrichment(listing["userListId"], library))
            return found[library]
        finally:
            service._session.close()
            service.close()

    def _retried(self, name: str, call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Call the service until it answers; `name` is that of its method, for messages."""
        import requests

        problem = ""
        for attempt in range(self.n_tries):
            if attempt:
                self.sleep(self.wait * 2 ** (attempt - 1))
            self.n_requests += 1
            try:
                return call()
            except requests.HTTPError as error:
                status = error.response.status_code
                if status not in RETRY_STATUS:
                    raise refusal(ResourceError, "enrichr_refused", url=self.url, name=name, status=status) from error
                problem = f"status {status}"
            except requests.exceptions.JSONDecodeError as error:
                raise refusal(ResourceError, "enrichr_answer_malformed", name=name, answer=error.doc[:80]) from error
            except (requests.ConnectionError, requests.Timeout) as error:
                problem = type(error).__name__
        raise refusal(OfflineError, "enrichr_unreachable", url=self.url, problem=problem, n_tries=self.n_tries)

    @staticmethod
    def _table(answer: Any, library: str) -> pd.DataFrame:
        if not isinstance(answer, dict) or library not in answer:
            raise refusal(ResourceError, "enrichr_library_unknown", library=library)
        rows = [
            {
                "term": str(row[1]),
                "ontology": library,
                "pvalue": float(row[2]),
                "adj_pvalue": float(row[6]),
                "odds_ratio": float(row[3]),
                "overlap": str(len(row[5])),
                "genes": ";".join(map(str, row[5])),
            }
            for row in answer[library]
        ]
        columns = ["term", "ontology", "pvalue", "adj_pvalue", "odds_ratio", "overlap", "genes"]
        return pd.DataFrame(rows, columns=columns)


def _session(timeout: float) -> requests.Session:
    """Return a session whose requests end after `timeout` seconds without an answer and are made once."""
    import requests

    session = requests.Session()
    session.request = partial(session.request, timeout=timeout)  # type: ignore[method-assign]
    return session
