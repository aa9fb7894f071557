"""Faults made for real in a running system, to see that each alert fires, and nothing else."""
