"""core/topics of mira_nb."""
