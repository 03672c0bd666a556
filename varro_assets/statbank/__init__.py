"""The StatBank family: client, catalogue, facts and sync. Knows the engine, no dagster."""
