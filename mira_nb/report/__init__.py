"""report of mira_nb."""
