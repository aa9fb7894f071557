"""What tests, benchmarks and tools share: servers, PostgreSQL, a TCP proxy."""
