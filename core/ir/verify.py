def verify(program):
    pass
