"""What a model learns from and is judged by: one file per task, joining data, networks and decoding."""
