"""One module for each library whose telemetry is joined with ours."""
