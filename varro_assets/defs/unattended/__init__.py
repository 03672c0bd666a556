"""Unattended: what Dagster does by itself: polls, has changes synced, ends what died, tells of failures, cleans up."""
