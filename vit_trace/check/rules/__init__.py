"""Rules for a config: what runs and is hardly meant, and what could be quicker.

`facts` are what is known of a config, whatever library it is of; a rule finds something in them and says what might
help; `book` lists them all.
"""
