"""``python -m mira_nb.cli``, the same as ``python -m mira_nb``."""

from . import main

if __name__ == "__main__":
    main()
