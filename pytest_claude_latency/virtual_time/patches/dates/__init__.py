"""Dates: the type `datetime`, uuids that hold a date, and libraries that set the date of a test."""
