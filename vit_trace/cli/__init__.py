"""The command line: `app.run` runs it, `completing` completes it; verbs/ has a file for each verb.

Only this room prints and exits.
"""
