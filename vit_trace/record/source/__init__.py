"""Finds the source of each step (`frames`), and lists the code that ran line by line (`lines`, `listing`)."""
