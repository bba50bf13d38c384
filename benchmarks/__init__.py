"""Measurements that the documentation and the program quote."""
