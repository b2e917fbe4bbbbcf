// Attention over the paged KV cache, row by row.

// Before the first score. Finite, so that differences of two such values are finite too.
constant constexpr float LOWEST = -1e38f;
// Keys that a SIMD group scores at a time.
constant constexpr uint KEYS = 4;
// SIMD groups of a threadgroup.
constant constexpr uint MAX_SIMDGROUPS = 16;

struct AttentionArgs {
    uint heads;
    uint kv_heads;
    uint key_dim;
    uint value_dim;
    float scale;
    // 0: none.
    float softcap;
    // 0: none.
    uint window;
    // Whether there are sinks.
    uint sinks;
    uint block_size;
    // Its logarithm, or 32 if it is no power of two.
    uint block_shift;
    uint key_tile_bytes;
    uint value_tile_bytes;
    uint key_scales;
    uint value_scales;
    // The first of the listed queries that the grid has.
    uint first_query;
    // Queries of the list; rows beyond them from `end_row` on see nothing.
    uint queries;
    uint end_row;
    // Rows that see more positions than this are computed in parts.
    uint one_pass_positions;
    uint part_positions;
    uint max_parts;
    // Parts for which there is memory.
    uint parts;
    // Query heads of a threadgroup, and SIMD groups for each of them.
    uint group_heads;
    uint splits;
};

// Consecutive rows of a sequence, as the step arguments list them.
struct Query {
    uint row;
    uint rows;
    // Of the first row.
    uint position;
    // One past the last position that the rows see. With a causal mask each row sees no more than its own position.
    uint end;
    uint bidirectional;
    // The index of the block table in the list.
    uint table;
};

inline Query query_at(device const uint *spans, uint index) {
    device const uint *words = spans + 6 * index;
    Query query = {words[0], words[1], words[2], words[3], words[4], words[5]};
    return query;
}

inline uint first_visible(constant AttentionArgs &args, uint position) {
    return args.window != 0 && position + 1 > args.window ? position + 1 - args.window : 0;
}

// Parts that `count` visible positions are cut into.
inline uint part_count(constant AttentionArgs &args, uint count) {
    return min(args.max_parts, (count + args.part_positions - 1) / args.part_positions);
}

inline float scored(constant AttentionArgs &args, float score) {
    return args.softcap != 0.0f ? args.softcap * precise::tanh(score / args.softcap) : score;
}

// The elements (r * 32 + lane) * W .. + W of a key or value for r below R; zeros beyond its width.
template <typename KV, uint W, uint R>
inline void load_head(
    device const uchar *tile, uint scales, uint offset, uint width, uint lane, thread float *to) {
    for (uint r = 0; r < R; r++) {
        uint element = (r * 32 + lane) * W;
        if (element < width) {
            load_elements<KV, W>(tile, scales, offset, width, element, to + r * W);
        } else {
            for (uint index = 0; index < W; index++) {
                to[r * W + index] = 0.0f;
            }
        }
    }
}

// The online softmax of one query: largest score, sum of weights relative to it, and the weighted values that a lane has.
// Merges the states of the `splits` SIMD groups that share a head, and writes the values times `normalize` (or divided by
// the sum of the weights) to `out`. A sink takes part in the sum. Returns largest score and sum in `largest` and `total`.
// `states` has 2 and `part` 128 elements for each of MAX_SIMDGROUPS.
template <uint W, uint R>
inline void merge_splits(
    thread float &largest, thread float &total, thread float *sums, bool has_sink, float sink, bool normalize,
    threadgroup float *states, threadgroup float *part, device float *out, uint width, uint split, uint splits,
    uint simdgroup, uint lane) {
    if (lane == 0) {
        states[simdgroup] = largest;
        states[MAX_SIMDGROUPS + simdgroup] = total;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    const uint first = simdgroup - split;
    float max_score = has_sink ? sink : LOWEST;
    for (uint index = 0; index < splits; index++) {
        max_score = max(max_score, states[first + index]);
    }
    float sum = has_sink ? exp(sink - max_score) : 0.0f;
    for (uint index = 0; index < splits; index++) {
        sum += states[MAX_SIMDGROUPS + first + index] * exp(states[first + index] - max_score);
    }
    float factor = exp(largest - max_score);
    if (normalize) {
        factor = sum > 0.0f ? factor / sum : 0.0f;
    }
    // Four elements of all lanes at a time; four of the splits add up one each.
    for (uint start = 0; start < W * R; start += 4) {
        for (uint index = 0; index < 4 && start + index < W * R; index++) {
            part[(index * MAX_SIMDGROUPS + simdgroup) * 32 + lane] = sums[start + index] * factor;
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
        const uint index = start + split;
        const uint element = (index / W * 32 + lane) * W + index % W;
        if (split < 4 && index < W * R && element < width) {
            float value = 0.0f;
            for (uint other = 0; other < splits; other++) {
                value += part[(split * MAX_SIMDGROUPS + first + other) * 32 + lane];
            }
            out[element] = value;
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    largest = max_score;
    total = sum;
}

// Attention of single rows. A SIMD group has the key and value elements of one query head spread over its lanes and visits
// every splits-th run of KEYS positions; the results of its head's SIMD groups are merged at the end.
//
// Grid: (parts, heads / group_heads, queries). Without PARTS, a row that sees more than one_pass_positions is left out;
// with PARTS it is the only kind that is computed, and each part writes [largest, total, values] to `partials`,
// [query, head, part].
template <typename KV, uint KW, uint KR, uint VW, uint VR, uint PARTS>
[[kernel, max_total_threads_per_threadgroup(512)]] void attention_rows(
    constant AttentionArgs &args [[buffer(0)]],
    device const float *q [[buffer(1)]],
    device const uchar *keys [[buffer(2)]],
    device const uchar *values [[buffer(3)]],
    device const uint *spans [[buffer(4)]],
    device const float *sinks [[buffer(5)]],
    // [rows, heads * value_dim], or the partial results.
    device float *out [[buffer(6)]],
    uint3 group [[threadgroup_position_in_grid]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]]) {
    threadgroup float states[2 * MAX_SIMDGROUPS];
    threadgroup float part[4 * MAX_SIMDGROUPS * 32];
    const uint index = args.first_query + group.z;
    Query query = {args.end_row + index - args.queries, 1, 0, 0, 0, 0};
    if (index < args.queries) {
        query = query_at(spans, index);
    }
    uint first = first_visible(args, query.position);
    uint end = query.end;
    const uint count = end - min(first, end);
    if ((count > args.one_pass_positions) != (PARTS != 0)) {
        return;
    }
    if (PARTS) {
        const uint parts = part_count(args, count);
        if (group.x >= parts) {
            return;
        }
        const uint length = (count + parts - 1) / parts;
        first += group.x * length;
        end = min(first + length, end);
    }
    device const uint *table = spans + query.table;
    const uint split = simdgroup % args.splits;
    const uint head = group.y * args.group_heads + simdgroup / args.splits;
    const uint kv_head = head / (args.heads / args.kv_heads);

    float q_elements[KW * KR];
    device const float *q_head = q + (size_t(query.row) * args.heads + head) * args.key_dim;
    for (uint e = 0; e < KW * KR; e++) {
        uint element = (e / KW * 32 + lane) * KW + e % KW;
        q_elements[e] = element < args.key_dim ? q_head[element] * args.scale : 0.0f;
    }
    float largest = LOWEST, total = 0.0f;
    float sums[VW * VR];
    for (uint e = 0; e < VW * VR; e++) {
        sums[e] = 0.0f;
    }
    for (uint start = first + split * KEYS; start < end; start += args.splits * KEYS) {
        size_t tiles[KEYS];
        uint offsets[KEYS];
        float scores[KEYS];
        float max_score = largest;
        for (uint key = 0; key < KEYS; key++) {
            // Positions beyond the end are replaced by one that is visible and get no weight.
            uint position = start + key < end ? start + key : start;
            uint block = block_of(position, args.block_size, args.block_shift);
            offsets[key] = position - block * args.block_size;
            tiles[key] = size_t(table[block]) * args.kv_heads + kv_head;
            float k_elements[KW * KR];
            load_head<KV, KW, KR>(
                keys + tiles[key] * args.key_tile_bytes, args.key_scales, offsets[key], args.key_dim, lane,
                k_elements);
            float score = 0.0f;
            for (uint e = 0; e < KW * KR; e++) {
                score = fma(q_elements[e], k_elements[e], score);
            }
            score = scored(args, simd_sum(score));
            scores[key] = start + key < end ? score : LOWEST;
            max_score = max(max_score, scores[key]);
        }
        float factor = exp(largest - max_score);
        largest = max_score;
        total *= factor;
        for (uint e = 0; e < VW * VR; e++) {
            sums[e] *= factor;
        }
        for (uint key = 0; key < KEYS; key++) {
            float weight = start + key < end ? exp(scores[key] - max_score) : 0.0f;
            total += weight;
            float v_elements[VW * VR];
            load_head<KV, VW, VR>(
                values + tiles[key] * args.value_tile_bytes, args.value_scales, offsets[key], args.value_dim,
                lane, v_elements);
            for (uint e = 0; e < VW * VR; e++) {
                sums[e] = fma(weight, v_elements[e], sums[e]);
            }
        }
    }
    const size_t at = PARTS ? (size_t(group.z) * args.heads + head) * args.parts + group.x
                            : size_t(query.row) * args.heads + head;
    device float *to = out + at * (PARTS ? args.value_dim + 2 : args.value_dim);
    const bool has_sink = PARTS == 0 && args.sinks != 0;
    const float sink = has_sink ? sinks[head] : 0.0f;
    merge_splits<VW, VR>(
        largest, total, sums, has_sink, sink, PARTS == 0, states, part, PARTS ? to + 2 : to, args.value_dim,
        split, args.splits, simdgroup, lane);
    if (PARTS && split == 0 && lane == 0) {
        to[0] = largest;
        to[1] = total;
    }
}

// Merges the parts of rows that were computed in parts. Grid: (heads, queries).
template <uint VW, uint VR>
[[kernel, max_total_threads_per_threadgroup(256)]] void attention_merge(
    constant AttentionArgs &args [[buffer(0)]],
    device const float *partials [[buffer(1)]],
    device const uint *spans [[buffer(2)]],
    device const float *sinks [[buffer(3)]],
    device float *out [[buffer(4)]],
    uint3 group [[threadgroup_position_in_grid]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint simdgroups [[simdgroups_per_threadgroup]],
    uint lane [[thread_index_in_simdgroup]]) {
    threadgroup float states[2 * MAX_SIMDGROUPS];
    threadgroup float part[4 * MAX_SIMDGROUPS * 32];
    const Query query = query_at(spans, args.first_query + group.y);
    const uint head = group.x;
    const uint count = query.end - min(first_visible(args, query.position), query.end);
    if (count <= args.one_pass_positions) {
        return;
    }
    const uint parts = part_count(args, count);
    float largest = LOWEST, total = 0.0f;
    float sums[VW * VR];
    for (uint e = 0; e < VW * VR; e++) {
        sums[e] = 0.0f;
    }
    for (uint index = simdgroup; index < parts; index += simdgroups) {
        const size_t at = (size_t(group.y) * args.heads + head) * args.parts + index;
        device const float *from = partials + at * (args.value_dim + 2);
        const float max_score = max(largest, from[0]);
        const float before = exp(largest - max_score), now = exp(from[0] - max_score);
        largest = max_score;
        total = fma(total, before, from[1] * now);
        for (uint e = 0; e < VW * VR; e++) {
            uint element = (e / VW * 32 + lane) * VW + e % VW;
            float value = element < args.value_dim ? from[2 + element] : 0.0f;
            sums[e] = fma(sums[e], before, value * now);
        }
    }
    const float sink = args.sinks != 0 ? sinks[head] : 0.0f;
    device float *to = out + (size_t(query.row) * args.heads + head) * args.value_dim;
    merge_splits<VW, VR>(
        largest, total, sums, args.sinks != 0, sink, true, states, part, to, args.value_dim, simdgroup,
        simdgroups, simdgroup, lane);
}
