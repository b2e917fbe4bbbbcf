// What a kernel shares with the executor; mirrored by src/run/context.rs.

namespace metal {
namespace host {

constexpr unsigned SIMD_WIDTH = 32;

// The lanes of one simdgroup exchange values through `slots`: they write to the incoming half and, once all have arrived, read the
// other one, so that a lane that runs ahead cannot overwrite what the others have yet to read. A value of `s` bytes (a power of two)
// of lane `l` is at `s * (32 + l)`: values of different sizes do not overlap.
struct Simdgroup {
  alignas(64) unsigned char slots[2][4096];
  alignas(64) unsigned char result[256];  // of a reduction, computed by the lane that resumes first
  unsigned incoming;
  unsigned active;    // lanes that took part in the last operation
  unsigned computed;  // whether `result` holds the last operation's result
};

// Line and column of the source, in the upper and the lower half.
typedef unsigned long Site;

enum Operation : unsigned { SIMD = 0, SIMDGROUP_BARRIER = 1, THREADGROUP_BARRIER = 2 };

// At the aligned base of the memory that holds the stacks, so that a kernel finds it from its stack pointer.
struct Context {
  Simdgroup *simdgroup;
  unsigned lane;
  unsigned thread;  // index in the threadgroup
  void *const *buffers;
  void *const *threadgroup_buffers;
  void *const *threadgroup_variables;
  unsigned threads[3];
  unsigned threadgroups[3];
  unsigned threadgroup[3];
  unsigned poison;  // pattern of values that Metal leaves undefined
  void (*arrive)(Context *, unsigned operation, Site site);
  void (*fail)(Context *, const char *message, Site site);
};

inline __attribute__((always_inline)) Context *context() {
  uintptr_t stack;
#if defined(__x86_64__)
  asm("mov %%rsp, %0" : "=r"(stack));
#else
  asm("mov %0, sp" : "=r"(stack));
#endif
  return (Context *)(stack & ~(uintptr_t)(HOST_STACKS_BYTES - 1));
}

// Lanes meet at the same site with the same operation.
inline void arrive(Operation operation, Site site) {
  Context *c = context();
  c->arrive(c, operation, site);
}

// A threadgroup variable of the kernel. The records are in a section of their own, where the executor finds them.
struct Variable {
  unsigned long bytes, alignment;
  unsigned long index;
};
extern "C" {
__attribute__((weak, visibility("hidden"))) extern Variable __start_host_variables[];
__attribute__((weak, visibility("hidden"))) extern Variable __stop_host_variables[];
}
#define HOST_VARIABLE(...)                                                                                      \
  ([]() -> void * {                                                                                             \
    __attribute__((section("host_variables"), used)) static ::metal::host::Variable variable = {                \
        sizeof(__VA_ARGS__), alignof(__VA_ARGS__), 0};                                                          \
    return ::metal::host::context()->threadgroup_variables[variable.index];                                     \
  }())

// Keeps the value of a function constant from being a constant expression.
template <class T> inline T function_constant(T value) { return value; }

template <class T> constexpr unsigned slot_bytes() {
  static_assert(sizeof(T) <= 64, "a value of a simdgroup operation has at most 64 bytes");
  unsigned bytes = 1;
  while (bytes < sizeof(T)) bytes *= 2;
  return bytes;
}

template <class T> inline void post(const T &value) {
  Context *c = context();
  Simdgroup *g = c->simdgroup;
  __builtin_memcpy(g->slots[g->incoming] + slot_bytes<T>() * (SIMD_WIDTH + c->lane), (const void *)&value, sizeof(T));
}

template <class T> inline T posted(const Simdgroup *g, unsigned lane) {
  T value;
  __builtin_memcpy((void *)&value, g->slots[g->incoming ^ 1] + slot_bytes<T>() * (SIMD_WIDTH + lane), sizeof(T));
  return value;
}

// A value that Metal leaves undefined.
template <class T> inline T undefined() {
  unsigned pattern[16];
  for (unsigned &word : pattern) word = context()->poison;
  static_assert(sizeof(T) <= sizeof(pattern), "");
  T value;
  __builtin_memcpy((void *)&value, pattern, sizeof(T));
  return value;
}

}  // namespace host

enum class mem_flags { mem_none = 0, mem_device = 1, mem_threadgroup = 2, mem_texture = 4, mem_threadgroup_imageblock = 8 };
constexpr mem_flags operator|(mem_flags a, mem_flags b) { return mem_flags(int(a) | int(b)); }
enum memory_order { memory_order_relaxed };

// A default argument: the place of the call.
#define HOST_SITE \
  ::metal::host::Site host_site = (::metal::host::Site)__builtin_LINE() << 32 | (::metal::host::Site)__builtin_COLUMN()

inline void threadgroup_barrier(mem_flags, HOST_SITE) { host::arrive(host::THREADGROUP_BARRIER, host_site); }
inline void simdgroup_barrier(mem_flags, HOST_SITE) { host::arrive(host::SIMDGROUP_BARRIER, host_site); }

}  // namespace metal
