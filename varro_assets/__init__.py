"""varro-assets: Statistics Denmark's StatBank as partitioned Dagster assets, parquet and Postgres tables."""
