// Values of quantized weights.

// How a weight is stored. Formats but DENSE have rows that are bitstreams, from the least significant bit.
enum WeightFormat : int { DENSE, AFFINE, MXFP4, NVFP4, MXFP8 };

constant float E2M1[16] = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                           -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};

// An 8-bit float with 4 exponent and 3 fraction bits. No intermediate value is subnormal, and NaN reads as 480.
inline float e4m3_to_float(uint code) {
    uint magnitude = code & 0x7f;
    float normal = as_type<float>((magnitude << 20) + (120u << 23));
    float value = magnitude < 8 ? float(magnitude) * 0x1p-9f : normal;
    return (code & 0x80) != 0 ? -value : value;
}

// 2^(code - 127). A device may read the subnormal of code 0 as 0.
inline float e8m0_to_float(uint code) {
    return as_type<float>(code == 0 ? 0x400000u : code << 23);
}
