"""The database: every connection and statement seen once, by all three signals."""
