"""What each code means, by where it comes from; `codes` reads them as one."""
