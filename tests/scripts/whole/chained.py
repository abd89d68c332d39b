try:
    {}["a"]
except KeyError as error:
    raise LookupError("no a") from error
