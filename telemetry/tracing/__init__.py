"""Traces: the provider behind OpenTelemetry's API, its queue and its exporters."""
