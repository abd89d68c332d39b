"""Shape rules: one file per kind of function, each with its own `RULES` table; `answer` looks a call up in them."""
