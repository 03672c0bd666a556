"""Server: the embedded Postgres, its roles and databases."""
