"""panels of mira_nb."""
