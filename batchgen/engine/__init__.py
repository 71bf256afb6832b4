"""Performs what the core decides: slots, submissions, polls and downloads of one batch."""
