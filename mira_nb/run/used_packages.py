"""Which packages a process has used, also where it was forked from one that had loaded more.

A forked kernel finds the libraries of all stages loaded, so that ``sys.modules`` says nothing of those that its own
stage uses. :func:`record_imports` therefore notes every import statement that is executed, loaded or not: those of
this package before the fork, and all after it.
"""

from __future__ import annotations

import builtins
import re
import sys
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from types import ModuleType
from typing import Any, Final

_HERE: Final = __name__.partition(".")[0]


class ImportRecord:
    """Modules at the top level that import statements have named.

    Parameters
    ----------
    modules
        Module by which each package is known, by the package's name.
    """

    def __init__(self, modules: Mapping[str, str]) -> None:
        self.modules = modules
        self.packages = {module: name for name, module in modules.items()}
        self.seen: set[str] = set()
        self.forked = False
        self._import: Any = builtins.__import__

    def install(self) -> None:
        """Note the import statements of this process from now on."""
        self._import = builtins.__import__
        builtins.__import__ = self._noting

    def uninstall(self) -> None:
        """Note nothing any more."""
        builtins.__import__ = self._import

    def _noting(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Any = (),
        level: int = 0,
    ) -> ModuleType:
        if not level:
            module = name.partition(".")[0]
            if module in self.packages and module not in self.seen and self._counts(module, globals):
                self.seen.add(module)
        found: ModuleType = self._import(name, globals, locals, fromlist, level)
        return found

    def _counts(self, module: str, importer: Mapping[str, Any] | None) -> bool:
        """Return whether an import shows that this process uses a package.

        Libraries look for each other (is this an array of torch's?): one that imports another counts only where it
        declares it.
        """
        origin = str((importer or {}).get("__name__", "")).partition(".")[0]
        if origin == _HERE:
            return True
        if not self.forked or origin == module:
            return False
        return origin not in self.packages or self.packages[module] in declared(self.packages[origin], extras=True)

    def used(self) -> set[str]:
        """Return the packages that were imported, and those of the known ones that they cannot do without."""
        todo, found = [self.packages[module] for module in self.seen], set()
        while todo:
            name = todo.pop()
            if name not in found and self.modules[name] in sys.modules:
                found.add(name)
                todo += [other for other in declared(name) if other in self.modules]
        return found


@cache
def declared(package: str, *, extras: bool = False) -> frozenset[str]:
    """Return the names of the packages that an installed one declares to need; with `extras`, also for its extras."""
    try:
        lines = metadata.requires(package) or []
    except metadata.PackageNotFoundError:
        return frozenset()
    kept = [line for line in lines if extras or not re.search(r"\bextra\s*==", line)]
    known = {_plain(match.group()): match.group() for line in kept if (match := re.match(r"[\w.-]+", line))}
    return frozenset({*known.values(), *known})


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


_record: ImportRecord | None = None


def record_imports(modules: Mapping[str, str]) -> ImportRecord:
    """Note from now on which packages this process, and what is forked from it, imports."""
    global _record
    if _record is None:
        _record = ImportRecord(modules)
        _record.install()
    return _record


def used_packages(modules: Mapping[str, str]) -> set[str]:
    """Return the known packages that this process uses: by its import statements if they are noted, else the loaded.

    Parameters
    ----------
    modules
        Module by which each package is known, by the package's name.
    """
    if _record is not None:
        return _record.used()
    return {name for name, module in modules.items() if module in sys.modules}
