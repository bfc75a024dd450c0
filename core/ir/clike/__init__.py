"""Programs as text of C and of languages like it.

cfamily.py    kernels, given a table of spellings; with cparens, clanes, cvector, csimd, cwork and chelpers
centry.py     the C function around them; with csections, ctasks, cblocks, cruntime, clibrary and ccalls
cinterface.py that function as its callers see it
cunits.py     a program as translation units
cdevice.py    a program as the text of a device's language
"""
