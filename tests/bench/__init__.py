"""Measurements: heardback beside something else, in one run on one machine. No test of the suite is here."""
