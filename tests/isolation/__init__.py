"""Lanes that are processes: the same flow, and what happens when one of them dies."""
