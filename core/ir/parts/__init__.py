"""Complex numbers as two real ones: behind lowering, no loop, schedule or dialect knows another arithmetic.

In memory a complex number is what NumPy has there, its real and its imaginary part side by side.  An expression of a
complex dtype becomes a pair of real ones before loops are chosen; what is left of a complex dtype then is the load of
an element, of which an expression takes one part, and the PAIR that is stored.

arithmetic.py   sums, products, quotients, powers, comparisons, as NumPy defines them
functions.py    exp, log, sqrt and what is made of them, at infinities and branch cuts as C99, annex G, says
inverse.py      the inverse trigonometric and hyperbolic functions
elements.py     where the parts of an element lie
split.py        any expression, in parts
lowered.py      a lowered graph, in parts
statements.py   kernels: each element of a complex dtype becomes two neighbours
"""
