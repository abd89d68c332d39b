"""Goes to where errors happen: runs a script as Python does, and explains what ended it; hooks for Python and pytest.

Other rooms use `launch` (Job, start; the standard library only), `hooks` (install and its like) and `explain`
(explanation). Everything else is imported once something has failed.
"""
