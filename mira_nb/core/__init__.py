"""core of mira_nb."""
