// The paged KV cache.
//
// Keys and values are both [block, kv_head, position, element]. What one head has of one block is a tile: elements of type
// KV, then, where KV is char, the scales [position, run] as bf16, one for each run of 32 elements. Tiles are multiples of
// 16 bytes. Positions that a row does not see may hold anything, NaN included, and are never read.

// Elements that share a scale.
constant constexpr uint RUN = 32;

inline bool has_scales(float) { return false; }
inline bool has_scales(half) { return false; }
inline bool has_scales(char) { return true; }

inline uint block_of(uint position, uint block_size, uint block_shift) {
    return block_shift < 32 ? position >> block_shift : position / block_size;
}

// Writes element run * 32 + lane of a key or value at `offset` of a tile. All lanes call it; `value` is 0 beyond `width`.
inline void store_run(
    float, device uchar *tile, uint scales, uint offset, uint width, uint run, uint lane, float value) {
    uint element = run * RUN + lane;
    if (element < width) {
        ((device float *)tile)[offset * width + element] = value;
    }
}

inline void store_run(
    half, device uchar *tile, uint scales, uint offset, uint width, uint run, uint lane, float value) {
    uint element = run * RUN + lane;
    if (element < width) {
        float limited = fabs(value) > 65504.0f ? copysign(65504.0f, value) : value;
        ((device half *)tile)[offset * width + element] = half(limited);
    }
}

inline void store_run(
    char, device uchar *tile, uint scales, uint offset, uint width, uint run, uint lane, float value) {
    uint element = run * RUN + lane;
    // Magnitudes are ordered like their bits, infinity and NaN last.
    uint largest = simd_max(as_type<uint>(value) & 0x7fffffffu);
    // bf16, rounded up, so that no code is beyond 127. A run that is not finite becomes NaN, a tiny one 0.
    uint scale = 0x7fc0u;
    int code = 0;
    if (largest < 0x7f800000u) {
        scale = (as_type<uint>(as_type<float>(largest) / 127.0f) + 0xffffu) >> 16;
        if (scale < 0x0080u) {
            scale = 0;
        } else {
            float inverse = 1.0f / as_type<float>(scale << 16);
            code = int(rint(value * inverse));
        }
    }
    if (element < width) {
        ((device char *)tile)[offset * width + element] = char(code);
    }
    if (lane == 0) {
        uint runs = (width + RUN - 1) / RUN;
        ((device ushort *)(tile + scales))[offset * runs + run] = ushort(scale);
    }
}

// W consecutive elements of a key or value at `offset` of a tile, from `element` on, which is a multiple of W.
template <typename KV, uint W>
inline void load_elements(
    device const uchar *tile, uint scales, uint offset, uint width, uint element, thread float *to) {
    device const KV *from = (device const KV *)tile + offset * width + element;
    if (W == 4) {
        vec<KV, 4> loaded = *(device const vec<KV, 4> *)from;
        for (uint index = 0; index < W; index++) {
            to[index] = float(loaded[index]);
        }
    } else if (W == 2) {
        vec<KV, 2> loaded = *(device const vec<KV, 2> *)from;
        for (uint index = 0; index < W; index++) {
            to[index] = float(loaded[index]);
        }
    } else {
        to[0] = float(from[0]);
    }
    if (has_scales(KV(0))) {
        uint runs = (width + RUN - 1) / RUN;
        bf16 scale = {((device const ushort *)(tile + scales))[offset * runs + element / RUN]};
        for (uint index = 0; index < W; index++) {
            to[index] *= to_float(scale);
        }
    }
}
