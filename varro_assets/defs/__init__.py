"""Dagster definitions: the families as assets, resources and jobs.

The only package besides definitions.py, and the parts of cli that launch runs, that imports dagster.
"""
