"""Asking: finding codes by their labels, and querying the warehouse without being able to change it."""
