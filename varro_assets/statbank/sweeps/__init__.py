"""Sweeps: what the publisher changed, and what therefore is to be run; decisions, no network."""
