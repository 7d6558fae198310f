"""Client of the Enrichr web service: retries, a cache on disk, and a clear message when it cannot be reached."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mira_nb.errors import OfflineError, ResourceError

if TYPE_CHECKING:
    import requests

ENRICHR_URL = "https://maayanlab.cloud/Enrichr"
RETRY_STATUS = frozenset({429, 500, 502, 503, 504})
REMEDY = "give gene sets as local GMT files (--gene-sets FILE.gmt), which need no network, or try again later"


def default_cache() -> Path:
    """Folder of this user's cached answers."""
    from platformdirs import user_cache_path

    return user_cache_path("mira_nb") / "enrichr"


@dataclass
class EnrichrClient:
    """Ask Enrichr which gene sets are over-represented in a list of genes.

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
        """Over-represented terms of one library.

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
        listing = self._json(
            "POST", "addList", files={"list": (None, "\n".join(genes)), "description": (None, description)}
        )
        if not isinstance(listing, dict) or "userListId" not in listing:
            raise ResourceError(
                "Enrichr did not accept the gene list", expected="an answer with userListId", remedy=REMEDY
            )
        answer = self._json("GET", "enrich", params={"userListId": listing["userListId"], "backgroundType": library})
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

    def _json(self, method: str, name: str, **content: Any) -> Any:
        response = self._request(method, f"{self.url}/{name}", **content)
        try:
            return response.json()
        except ValueError as error:
            raise ResourceError(
                f"Enrichr's answer to {name} is not JSON: {response.text[:80]!r}", remedy=REMEDY
            ) from error

    def _request(self, method: str, url: str, **content: Any) -> requests.Response:
        import requests

        problem = ""
        for attempt in range(self.n_tries):
            if attempt:
                self.sleep(self.wait * 2 ** (attempt - 1))
            self.n_requests += 1
            try:
                response = requests.request(method, url, timeout=self.timeout, **content)
            except (requests.ConnectionError, requests.Timeout) as error:
                problem = f"{type(error).__name__}"
                continue
            if response.status_code in RETRY_STATUS:
                problem = f"status {response.status_code}"
                continue
            if not response.ok:
                raise ResourceError(f"Enrichr refused {url}: status {response.status_code}", remedy=REMEDY)
            return response
        raise OfflineError(
            f"Enrichr at {self.url} could not be reached ({problem} after {self.n_tries} attempts)", remedy=REMEDY
        )

    @staticmethod
    def _table(answer: Any, library: str) -> pd.DataFrame:
        if not isinstance(answer, dict) or library not in answer:
            raise ResourceError(
                f"Enrichr knows no library {library!r}",
                expected="a name from Enrichr's list of libraries, e.g. WikiPathways_2019_Human",
                remedy="correct enrichment.online_libraries",
            )
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
