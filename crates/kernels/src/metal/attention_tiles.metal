// Attention of runs of rows over the paged KV cache, with 8 x 8 matrices.

// Copies keys or values at COUNT positions from `start` on to threadgroup memory, [position, stride], as type S. Zeros at
// positions outside first..end, and beyond `width`: 0 times whatever is in the cache there must be 0.
template <typename KV, typename S, uint W, uint WIDTH, uint COUNT>
inline void load_positions(
    constant AttentionArgs &args, device const uchar *tiles, size_t tile_bytes, uint scales, uint width,
    device const uint *table, uint kv_head, uint start, uint first, uint end, threadgroup S *to, uint stride,
    uint thread_index, uint threads) {
    for (uint item = thread_index; item < COUNT * (WIDTH / W); item += threads) {
        const uint key = item / (WIDTH / W), element = item % (WIDTH / W) * W;
        const uint position = start + key;
        float loaded[W];
        if (position >= first && position < end && element < width) {
            const uint block = block_of(position, args.block_size, args.block_shift);
            const size_t tile = size_t(table[block]) * args.kv_heads + kv_head;
            load_elements<KV, W>(
                tiles + tile * tile_bytes, scales, position - block * args.block_size, width, element, loaded);
        } else {
            for (uint index = 0; index < W; index++) {
                loaded[index] = 0.0f;
            }
        }
        for (uint index = 0; index < W; index++) {
            to[key * stride + element + index] = S(loaded[index]);
        }
    }
}

// Attention of runs of rows. Each SIMD group has eight rows of one query head; keys and values of COUNT positions at a
// time are in threadgroup memory as type S. Positions are cut at absolute multiples of COUNT, so that a row's result does
// not depend on the rows around it. KN and VN are the 8 x 8 matrices that a key and a value take; KW and VW are elements
// of a load.
//
// Grid: (heads, queries). Four SIMD groups: a query has at most 32 rows.
template <typename KV, typename S, uint KW, uint KN, uint VW, uint VN, uint COUNT>
[[kernel, max_total_threads_per_threadgroup(128)]] void attention_tiles(
    constant AttentionArgs &args [[buffer(0)]],
    device const float *q [[buffer(1)]],
    device const uchar *keys [[buffer(2)]],
    device const uchar *values [[buffer(3)]],
    device const uint *spans [[buffer(4)]],
    device const float *sinks [[buffer(5)]],
    device float *out [[buffer(6)]],
    uint3 group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]]) {
    // A row of padding spreads the columns of a matrix over the banks.
    constexpr uint STRIDE = 8 * (KN > VN ? KN : VN) + 8;
    constexpr uint COLUMNS = COUNT / 4;
    threadgroup S staged[COUNT * STRIDE];
    threadgroup float all_weights[4 * 8 * COUNT];
    threadgroup float all_diagonals[4 * 64];
    threadgroup float *weights = all_weights + simdgroup * 8 * COUNT;
    threadgroup float *diagonal = all_diagonals + simdgroup * 64;

    const Query query = query_at(spans, args.first_query + group.y);
    device const uint *table = spans + query.table;
    const uint head = group.x;
    const uint kv_head = head / (args.heads / args.kv_heads);

    // Four lanes have a row. A row beyond those of the query sees nothing.
    const uint index = simdgroup * 8 + lane / 4, quarter = lane % 4;
    const uint position = query.position + index;
    const bool is_row = index < query.rows;
    const uint row_first = first_visible(args, position);
    const uint row_end = is_row ? (query.bidirectional != 0 ? query.end : position + 1) : 0;
    // What any row of the query sees.
    const uint first = first_visible(args, query.position);
    const uint end = query.bidirectional != 0 ? query.end : query.position + query.rows;

    simdgroup_matrix<float, 8, 8> q_parts[KN];
    device const float *q_head = q + (size_t(query.row + index) * args.heads + head) * args.key_dim;
    for (uint n = 0; n < KN; n++) {
        for (uint pair = 0; pair < 2; pair++) {
            const uint column = 2 * quarter + pair, element = 8 * n + column;
            float value = is_row && element < args.key_dim ? q_head[element] * args.scale : 0.0f;
            diagonal[lane / 4 * 8 + column] = value;
        }
        simdgroup_barrier(mem_flags::mem_threadgroup);
        simdgroup_load(q_parts[n], diagonal, 8);
        simdgroup_barrier(mem_flags::mem_threadgroup);
    }
    simdgroup_matrix<float, 8, 8> sums[VN];
    for (uint n = 0; n < VN; n++) {
        sums[n] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
    }
    float largest = LOWEST, total = 0.0f;

    for (uint start = first / COUNT * COUNT; start < end; start += COUNT) {
        threadgroup_barrier(mem_flags::mem_threadgroup);
        load_positions<KV, S, KW, 8 * KN, COUNT>(
            args, keys, args.key_tile_bytes, args.key_scales, args.key_dim, table, kv_head, start, first, end,
            staged, STRIDE, thread_index, 128);
        threadgroup_barrier(mem_flags::mem_threadgroup);
        for (uint column = 0; column < COUNT; column += 8) {
            simdgroup_matrix<float, 8, 8> scores = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
            for (uint n = 0; n < KN; n++) {
                simdgroup_matrix<S, 8, 8> key_part;
                simdgroup_load(key_part, staged + column * STRIDE + 8 * n, STRIDE, ulong2(0, 0), true);
                simdgroup_multiply_accumulate(scores, q_parts[n], key_part, scores);
            }
            simdgroup_store(scores, weights + column, COUNT);
        }
        simdgroup_barrier(mem_flags::mem_threadgroup);

        threadgroup float *row_weights = weights + lane / 4 * COUNT + quarter * COLUMNS;
        float scores[COLUMNS];
        float max_score = largest;
        for (uint column = 0; column < COLUMNS; column++) {
            const uint at = start + quarter * COLUMNS + column;
            float score = scored(args, row_weights[column]);
            scores[column] = at >= row_first && at < row_end ? score : LOWEST;
            max_score = max(max_score, scores[column]);
        }
        max_score = max(max_score, simd_shuffle_xor(max_score, 1));
        max_score = max(max_score, simd_shuffle_xor(max_score, 2));
        float sum = 0.0f;
        for (uint column = 0; column < COLUMNS; column++) {
            const uint at = start + quarter * COLUMNS + column;
            float weight = at >= row_first && at < row_end ? exp(scores[column] - max_score) : 0.0f;
            row_weights[column] = weight;
            sum += weight;
        }
        sum += simd_shuffle_xor(sum, 1);
        sum += simd_shuffle_xor(sum, 2);
        const float factor = exp(largest - max_score);
        total = fma(total, factor, sum);
        largest = max_score;
        for (uint pair = 0; pair < 2; pair++) {
            const uint column = 2 * quarter + pair;
            diagonal[lane / 4 * 8 + column] = column == lane / 4 ? factor : 0.0f;
        }
        // All SIMD groups have read the keys.
        threadgroup_barrier(mem_flags::mem_threadgroup);
        simdgroup_matrix<float, 8, 8> factors;
        simdgroup_load(factors, diagonal, 8);
        for (uint n = 0; n < VN; n++) {
            simdgroup_multiply(sums[n], factors, sums[n]);
        }
        load_positions<KV, S, VW, 8 * VN, COUNT>(
            args, values, args.value_tile_bytes, args.value_scales, args.value_dim, table, kv_head, start, first,
            end, staged, STRIDE, thread_index, 128);
        threadgroup_barrier(mem_flags::mem_threadgroup);
        for (uint column = 0; column < COUNT; column += 8) {
            simdgroup_matrix<float, 8, 8> weight_part;
            simdgroup_load(weight_part, weights + column, COUNT);
            for (uint n = 0; n < VN; n++) {
                simdgroup_matrix<S, 8, 8> value_part;
                simdgroup_load(value_part, staged + column * STRIDE + 8 * n, STRIDE);
                simdgroup_multiply_accumulate(sums[n], weight_part, value_part, sums[n]);
            }
        }
    }

    float factor = 1.0f;
    if (args.sinks != 0) {
        const float sink = sinks[head], max_score = max(largest, sink);
        factor = exp(largest - max_score);
        total = fma(total, factor, exp(sink - max_score));
    }
    factor = total > 0.0f ? factor / total : 0.0f;
    device float *to = out + (size_t(query.row + index) * args.heads + head) * args.value_dim;
    for (uint n = 0; n < VN; n++) {
        simdgroup_barrier(mem_flags::mem_threadgroup);
        simdgroup_store(sums[n], diagonal, 8);
        simdgroup_barrier(mem_flags::mem_threadgroup);
        for (uint pair = 0; pair < 2; pair++) {
            const uint column = 2 * quarter + pair, element = 8 * n + column;
            if (is_row && element < args.value_dim) {
                to[element] = diagonal[lane / 4 * 8 + column] * factor;
            }
        }
    }
}
