"""What ends a run, said to the person who started it."""


class Failure(Exception):
    pass
