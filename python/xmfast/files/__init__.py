"""A user's own files: frames in Parquet, CSV and Arrow, a venue in TOML; read with every digit, faults told by file."""
