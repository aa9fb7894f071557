"""``make doctor``: does telemetry arrive, from a request to a series, a trace, a line, an alert."""
