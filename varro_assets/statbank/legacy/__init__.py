"""What the predecessor left: its parquet files, read as they are and stored as periods of ours."""
