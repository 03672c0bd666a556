"""Proof: whether files, warehouse and publisher say the same of a table."""
