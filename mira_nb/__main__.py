"""``python -m mira_nb``: the command line."""

import sys

# the working folder comes first on the path here, so that a user's numpy.py would be taken for the library
if sys.path and not sys.flags.safe_path and not __file__.startswith(sys.path[0].rstrip("/") + "/mira_nb/"):
    del sys.path[0]

from .cli import main

if __name__ == "__main__":
    main()
