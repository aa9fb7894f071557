"""Metrics: declarations, the store behind them, what is scraped."""
