"""The contenders written for the benchmark, each in the way its framework's documentation teaches."""
