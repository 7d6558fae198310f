"""Reading, checking and pairing the user's files; resource files; the embedded data set. No numbers are fitted here."""
