"""float16 as its bits, to and from float, by integers.  (GCC 12 compares ``_Float16`` by calls of its own library.)

Rounding is to nearest, ties to even, subnormal numbers included.  From double it is once, too: the float between is
rounded to odd, which no second rounding can mistake for a tie (Boldo, Melquiond 2008).

Source  Giesen, "Float to half done quick" (2012), for conversions without branches, which compilers vectorise.
"""

DEFINITIONS = {
    "core_from_half": """\
static inline float core_from_half(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, shifted = (uint32_t)(h & 0x7fff) << 13;
    const uint32_t exponent = shifted & 0x0f800000, small = 0x38800000;
    uint32_t bits = shifted + 0x38000000;
    if (exponent == 0x0f800000) bits += 0x38000000; /* infinite or NaN */
    if (exponent == 0) bits += 0x00800000; /* subnormal: what is too much is subtracted */
    float v, least;
    __builtin_memcpy(&v, &bits, 4);
    __builtin_memcpy(&least, &small, 4);
    v = exponent == 0 ? v - least : v;
    __builtin_memcpy(&bits, &v, 4);
    bits |= sign;
    __builtin_memcpy(&v, &bits, 4);
    return v;
}""",
    "core_to_half_float32": """\
static inline uint16_t core_to_half_float32(float x)
{
    const uint32_t half = 0x3f000000;
    uint32_t bits, low;
    __builtin_memcpy(&bits, &x, 4);
    const uint32_t sign = bits & 0x80000000;
    bits ^= sign;
    float size, unit;
    __builtin_memcpy(&size, &bits, 4);
    __builtin_memcpy(&unit, &half, 4);
    size += unit; /* the sum's last bit is that of a subnormal number */
    __builtin_memcpy(&low, &size, 4);
    const uint32_t normal = (bits + 0xc8000fff + (bits >> 13 & 1)) >> 13;
    const uint32_t finite = bits < 0x38800000 ? low - half : normal, other = bits > 0x7f800000 ? 0x7e00 : 0x7c00;
    return (uint16_t)((bits < 0x47800000 ? finite : other) | sign >> 16);
}""",
    "core_to_half_float64": """\
static inline uint16_t core_to_half_float64(double x)
{
    float v = (float)x;
    uint32_t bits;
    __builtin_memcpy(&bits, &v, 4);
    const double back = v;
    bits -= __builtin_fabs(back) > __builtin_fabs(x) ? 1 : 0; /* towards 0, and then to odd */
    bits |= back < x || back > x ? 1 : 0;
    __builtin_memcpy(&v, &bits, 4);
    return core_to_half_float32(v);
}""",
}
