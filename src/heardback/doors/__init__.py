"""The ways in by HTTP: what readers hit, what senders call, and the pages that people see.

Thin; nobody below knows them.
"""
