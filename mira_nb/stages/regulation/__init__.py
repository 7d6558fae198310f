"""Stage regulation: LITE and NITE models of every gene."""
