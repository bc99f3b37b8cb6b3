"""Notebooks to reports: run, render, index."""
