"""The publisher-neutral engine: periods, plans, HTTP, parquet partitions and Postgres. Knows no publisher, no dagster."""
