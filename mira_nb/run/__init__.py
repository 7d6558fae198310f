"""run of mira_nb."""
