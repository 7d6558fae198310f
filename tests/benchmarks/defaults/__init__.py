"""Alternatives of debatable defaults, compared on several kinds of data."""
