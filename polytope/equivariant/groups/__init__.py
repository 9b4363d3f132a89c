"""Finite groups and their linear actions."""
