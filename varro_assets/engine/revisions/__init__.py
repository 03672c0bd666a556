"""Revisions: what changed in a period, found, kept cell by cell, and counted in the warehouse."""
