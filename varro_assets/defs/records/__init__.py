"""Records: what was run, read from Dagster, and written out for programs."""
