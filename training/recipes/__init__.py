"""Shipped recipes, one YAML file each."""
