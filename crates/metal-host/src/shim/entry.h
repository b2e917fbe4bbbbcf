// Calls a kernel with the arguments of the context.

namespace metal {
namespace host {

// Where an argument comes from.
template <unsigned Index> struct Buffer {};
template <unsigned Index> struct ThreadgroupBuffer {};

template <class A> struct from_vector {
  static A convert(const unsigned v[3]) { return A(v[0]); }
};
template <class T> struct from_vector<vec<T, 2>> {
  static vec<T, 2> convert(const unsigned v[3]) { return vec<T, 2>(T(v[0]), T(v[1])); }
};
template <class T> struct from_vector<vec<T, 3>> {
  static vec<T, 3> convert(const unsigned v[3]) { return vec<T, 3>(T(v[0]), T(v[1]), T(v[2])); }
};

inline unsigned thread_count(const Context *c) { return c->threads[0] * c->threads[1] * c->threads[2]; }

#define HOST_VECTOR_BUILTIN(name, X, Y, Z)                                      \
  struct name {                                                                 \
    template <class A> static A get(const Context *c) {                         \
      const unsigned local[3] = {c->thread % c->threads[0], c->thread / c->threads[0] % c->threads[1], \
                                 c->thread / (c->threads[0] * c->threads[1])};  \
      (void)local;                                                              \
      const unsigned value[3] = {X, Y, Z};                                      \
      return from_vector<A>::convert(value);                                    \
    }                                                                           \
  };
#define HOST_SCALAR_BUILTIN(name, expression)                                   \
  struct name {                                                                 \
    template <class A> static A get(const Context *c) { return A(expression); } \
  };
HOST_VECTOR_BUILTIN(thread_position_in_grid, c->threadgroup[0] * c->threads[0] + local[0],
                    c->threadgroup[1] * c->threads[1] + local[1], c->threadgroup[2] * c->threads[2] + local[2])
HOST_VECTOR_BUILTIN(thread_position_in_threadgroup, local[0], local[1], local[2])
HOST_VECTOR_BUILTIN(threadgroup_position_in_grid, c->threadgroup[0], c->threadgroup[1], c->threadgroup[2])
HOST_VECTOR_BUILTIN(threads_per_threadgroup, c->threads[0], c->threads[1], c->threads[2])
HOST_VECTOR_BUILTIN(dispatch_threads_per_threadgroup, c->threads[0], c->threads[1], c->threads[2])
HOST_VECTOR_BUILTIN(threadgroups_per_grid, c->threadgroups[0], c->threadgroups[1], c->threadgroups[2])
HOST_VECTOR_BUILTIN(threads_per_grid, c->threadgroups[0] * c->threads[0], c->threadgroups[1] * c->threads[1],
                    c->threadgroups[2] * c->threads[2])
HOST_SCALAR_BUILTIN(thread_index_in_threadgroup, c->thread)
HOST_SCALAR_BUILTIN(thread_index_in_simdgroup, c->lane)
HOST_SCALAR_BUILTIN(thread_index_in_quadgroup, c->lane % 4)
HOST_SCALAR_BUILTIN(simdgroup_index_in_threadgroup, c->thread / SIMD_WIDTH)
HOST_SCALAR_BUILTIN(quadgroup_index_in_threadgroup, c->thread / 4)
HOST_SCALAR_BUILTIN(simdgroups_per_threadgroup, (thread_count(c) + SIMD_WIDTH - 1) / SIMD_WIDTH)
HOST_SCALAR_BUILTIN(dispatch_simdgroups_per_threadgroup, (thread_count(c) + SIMD_WIDTH - 1) / SIMD_WIDTH)
HOST_SCALAR_BUILTIN(quadgroups_per_threadgroup, (thread_count(c) + 3) / 4)
HOST_SCALAR_BUILTIN(threads_per_simdgroup, SIMD_WIDTH)
HOST_SCALAR_BUILTIN(thread_execution_width, SIMD_WIDTH)

template <class A> struct from_pointer {
  static A convert(void *) = delete;
  static constexpr unsigned long bytes = 0, alignment = 1;
};
template <class T> constexpr unsigned long size_of() { if constexpr (__is_void(T)) return 1; else return sizeof(T); }
template <class T> constexpr unsigned long align_of() { if constexpr (__is_void(T)) return 1; else return alignof(T); }
template <class T> struct from_pointer<T *> {
  static T *convert(void *p) { return (T *)p; }
  static constexpr unsigned long bytes = 0, alignment = align_of<T>();
};
template <class T> struct from_pointer<T &> {
  __attribute__((no_sanitize("undefined"))) static T &convert(void *p) { return *(T *)p; }
  static constexpr unsigned long bytes = sizeof(T), alignment = alignof(T);
};

// What a binding must provide at least.
struct Requirement {
  unsigned long bytes, alignment;
};

template <class Source> struct argument {
  template <class A> static A get(const Context *c) { return Source::template get<A>(c); }
  template <class A> static constexpr Requirement requirement() { return {0, 1}; }
};
template <unsigned Index> struct argument<Buffer<Index>> {
  template <class A> static A get(const Context *c) { return from_pointer<A>::convert(c->buffers[Index]); }
  template <class A> static constexpr Requirement requirement() { return {from_pointer<A>::bytes, from_pointer<A>::alignment}; }
};
template <unsigned Index> struct argument<ThreadgroupBuffer<Index>> {
  template <class A> static A get(const Context *c) { return from_pointer<A>::convert(c->threadgroup_buffers[Index]); }
  template <class A> static constexpr Requirement requirement() { return {from_pointer<A>::bytes, from_pointer<A>::alignment}; }
};

template <class... Sources> struct entry {
  template <class... A> static inline __attribute__((always_inline, no_sanitize("undefined"))) void call(void (*kernel)(A...), const Context *c) {
    kernel(argument<Sources>::template get<A>(c)...);
  }
  template <class... A> static void requirements(void (*)(A...), Requirement *result) {
    const Requirement all[] = {argument<Sources>::template requirement<A>()..., {0, 0}};
    for (unsigned i = 0; i < sizeof...(A); i++) result[i] = all[i];
  }
};

}  // namespace host
}  // namespace metal
