"""The ops, one file a family: each with its computation, shapes, derivatives and errors."""
