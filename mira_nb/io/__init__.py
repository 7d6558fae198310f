"""Reading, checking and pairing of the user's files and resource files; no numbers are fitted here."""
