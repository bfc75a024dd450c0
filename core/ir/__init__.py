"""The loop IR: scalar expressions, views, loops and kernels, the passes over them, and the printer of C-like text."""
