"""Defects of surfaces: what a network learns of them, and what is found in scans."""
