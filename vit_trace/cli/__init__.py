"""The command line: `app.run` runs it; verbs/ holds its verbs, one file each. Only this room prints and exits."""
