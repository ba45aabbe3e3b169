"""The story of one elevation, told once, top to bottom."""
