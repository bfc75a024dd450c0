"""From a graph to something that can be called: function, shared variables, arguments, lowering, the interpreter."""
