"""charts of mira_nb."""
