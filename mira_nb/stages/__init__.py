"""stages of mira_nb."""
