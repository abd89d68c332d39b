"""Changes that might help, as data: each module yields candidates of one kind. None is offered before it was tried."""
