"""Turns an exception of a forward into a Failure (`failure`) with the facts of the call that raised (`capture`)."""
