"""Vintages: a table as it was held at an earlier moment."""
