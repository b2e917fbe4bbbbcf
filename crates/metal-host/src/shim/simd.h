// Operations of the lanes of a simdgroup or a quadgroup.

namespace metal {
namespace host {

// Adds pairs at distance 16, then 8, 4, 2, 1: an order that does not depend on which lane runs first.
template <class T, class Operator> inline T reduce(T value, Operator combine, Site site) {
  post(value);
  arrive(SIMD, site);
  Simdgroup *g = context()->simdgroup;
  if (!g->computed) {
    T values[SIMD_WIDTH];
    for (unsigned i = 0; i < SIMD_WIDTH; i++) values[i] = posted<T>(g, i);
    if (g->active == ~0u) {
      for (unsigned n = SIMD_WIDTH / 2; n > 0; n /= 2)
        for (unsigned i = 0; i < n; i++) values[i] = combine(values[i], values[i + n]);
    } else {
      unsigned present = g->active;
      for (unsigned n = SIMD_WIDTH / 2; n > 0; n /= 2)
        for (unsigned i = 0; i < n; i++)
          if (present >> (i + n) & 1) {
            values[i] = present >> i & 1 ? combine(values[i], values[i + n]) : values[i + n];
            present |= 1u << i;
          }
    }
    __builtin_memcpy(g->result, (const void *)&values[0], sizeof(T));
    g->computed = 1;
  }
  T result;
  __builtin_memcpy((void *)&result, g->result, sizeof(T));
  return result;
}

// Over the lanes from `first` up to but not including `end`.
template <class T, class Operator> inline T reduce_range(T value, Operator combine, unsigned first, unsigned end, T empty, Site site) {
  post(value);
  arrive(SIMD, site);
  const Simdgroup *g = context()->simdgroup;
  bool any = false;
  for (unsigned i = first; i < end; i++)
    if (g->active >> i & 1) {
      empty = any ? combine(empty, posted<T>(g, i)) : posted<T>(g, i);
      any = true;
    }
  return empty;
}

// The value of lane `source`; undefined if that lane did not take part.
template <class T> inline T read_lane(T value, int source, Site site) {
  post(value);
  arrive(SIMD, site);
  const Simdgroup *g = context()->simdgroup;
  if (source < 0 || source >= (int)SIMD_WIDTH || !(g->active >> source & 1)) return undefined<T>();
  return posted<T>(g, (unsigned)source);
}

// The value of lane `source`, or `outside` if there is no such lane in the range; all lanes take part in any case.
template <class T> inline T read_lane_or(T value, int source, int first, int end, T outside, Site site) {
  bool inside = source >= first && source < end;
  T read = read_lane(value, inside ? source : (int)context()->lane, site);
  return inside ? read : outside;
}

struct add { template <class T> T operator()(T a, T b) const { return T(a + b); } };
struct multiply { template <class T> T operator()(T a, T b) const { return T(a * b); } };
struct minimum { template <class T> T operator()(T a, T b) const { return metal::min(a, b); } };
struct maximum { template <class T> T operator()(T a, T b) const { return metal::max(a, b); } };
struct bit_and { template <class T> T operator()(T a, T b) const { return T(a & b); } };
struct bit_or { template <class T> T operator()(T a, T b) const { return T(a | b); } };
struct bit_xor { template <class T> T operator()(T a, T b) const { return T(a ^ b); } };

inline int lane() { return (int)context()->lane; }
inline int quad() { return (int)(context()->lane & ~3u); }

}  // namespace host

#define HOST_REDUCTION(name, op)                                                                            \
  template <class T> inline T simd_##name(T value, HOST_SITE) { return host::reduce(value, host::op(), host_site); } \
  template <class T> inline T quad_##name(T value, HOST_SITE) {                                             \
    return host::reduce_range(value, host::op(), host::quad(), host::quad() + 4, value, host_site);         \
  }
HOST_REDUCTION(sum, add)
HOST_REDUCTION(product, multiply)
HOST_REDUCTION(min, minimum)
HOST_REDUCTION(max, maximum)
HOST_REDUCTION(and, bit_and)
HOST_REDUCTION(or, bit_or)
HOST_REDUCTION(xor, bit_xor)

#define HOST_PREFIX(name, op, identity)                                                                     \
  template <class T> inline T simd_prefix_exclusive_##name(T value, HOST_SITE) {                            \
    return host::reduce_range(value, host::op(), 0, host::lane(), T(identity), host_site);                  \
  }                                                                                                         \
  template <class T> inline T simd_prefix_inclusive_##name(T value, HOST_SITE) {                            \
    return host::reduce_range(value, host::op(), 0, host::lane() + 1, T(identity), host_site);              \
  }
HOST_PREFIX(sum, add, 0)
HOST_PREFIX(product, multiply, 1)

#define HOST_SHUFFLES(group, base, width)                                                                   \
  template <class T> inline T group##_shuffle(T value, ushort lane, HOST_SITE) {                            \
    return host::read_lane(value, lane < width ? base + lane : -1, host_site);                              \
  }                                                                                                         \
  template <class T> inline T group##_broadcast(T value, ushort lane, HOST_SITE) {                          \
    return host::read_lane(value, lane < width ? base + lane : -1, host_site);                              \
  }                                                                                                         \
  template <class T> inline T group##_shuffle_xor(T value, ushort mask, HOST_SITE) {                        \
    return host::read_lane(value, base + ((host::lane() - base) ^ mask), host_site);                        \
  }                                                                                                         \
  template <class T> inline T group##_shuffle_down(T value, ushort delta, HOST_SITE) {                      \
    return host::read_lane_or(value, host::lane() + delta, base, base + width, value, host_site);           \
  }                                                                                                         \
  template <class T> inline T group##_shuffle_up(T value, ushort delta, HOST_SITE) {                        \
    return host::read_lane_or(value, host::lane() - delta, base, base + width, value, host_site);           \
  }                                                                                                         \
  template <class T> inline T group##_shuffle_and_fill_down(T value, T fill, ushort delta, HOST_SITE) {     \
    return host::read_lane_or(value, host::lane() + delta, base, base + width, fill, host_site);            \
  }                                                                                                         \
  template <class T> inline T group##_shuffle_and_fill_up(T value, T fill, ushort delta, HOST_SITE) {       \
    return host::read_lane_or(value, host::lane() - delta, base, base + width, fill, host_site);            \
  }                                                                                                         \
  template <class T> inline T group##_shuffle_rotate_down(T value, ushort delta, HOST_SITE) {               \
    return host::read_lane(value, base + (host::lane() - base + delta) % width, host_site);                 \
  }                                                                                                         \
  template <class T> inline T group##_shuffle_rotate_up(T value, ushort delta, HOST_SITE) {                 \
    return host::read_lane(value, base + (host::lane() - base + width - delta % width) % width, host_site); \
  }
HOST_SHUFFLES(simd, 0, 32)
HOST_SHUFFLES(quad, host::quad(), 4)

struct simd_vote {
  typedef ulong vote_t;
  vote_t mask;
  explicit simd_vote(vote_t m = 0) : mask(m) {}
  explicit operator vote_t() const { return mask; }
  bool any() const { return mask != 0; }
  bool all() const { return (uint)mask == ~0u; }
};
inline simd_vote simd_ballot(bool value, HOST_SITE) {
  uint lane = 1u << host::context()->lane;
  return simd_vote(host::reduce(value ? lane : 0u, host::bit_or(), host_site));
}
inline simd_vote simd_active_threads_mask(HOST_SITE) { return simd_ballot(true, host_site); }
inline bool simd_any(bool value, HOST_SITE) { return host::reduce((int)value, host::maximum(), host_site) != 0; }
inline bool simd_all(bool value, HOST_SITE) { return host::reduce((int)value, host::minimum(), host_site) != 0; }
template <class T> inline T simd_broadcast_first(T value, HOST_SITE) {
  host::post(value);
  host::arrive(host::SIMD, host_site);
  const host::Simdgroup *g = host::context()->simdgroup;
  return host::posted<T>(g, (unsigned)__builtin_ctz(g->active));
}
inline bool simd_is_first(HOST_SITE) {
  host::arrive(host::SIMD, host_site);
  return (unsigned)__builtin_ctz(host::context()->simdgroup->active) == host::context()->lane;
}

}  // namespace metal
