"""Alerts of a running Alertmanager: show and silence them."""
