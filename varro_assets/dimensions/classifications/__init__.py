"""Classifications: where they are published, how they are fetched, read, stored and proved to be hierarchies."""
