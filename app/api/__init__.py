"""Manners that all endpoints share."""
