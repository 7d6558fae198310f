"""io of mira_nb."""
