DB=None
