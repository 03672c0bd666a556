"""The publisher-neutral engine: periods, plans, HTTP, parquet partitions and Postgres. No publisher, no dagster."""
