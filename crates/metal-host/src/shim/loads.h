// Tells the executor of loads. Clang calls these functions before each load, and does not instrument them, as their names are its own.

static void (*host_load)(const void *address, unsigned long bytes);
extern "C" void mlxm_trace_loads(void (*load)(const void *address, unsigned long bytes)) { host_load = load; }
#define HOST_LOAD(size)                                                                                        \
  extern "C" __attribute__((visibility("hidden"))) void __sanitizer_cov_load##size(const void *address) {      \
    if (host_load) host_load(address, size);                                                                   \
  }
HOST_LOAD(1) HOST_LOAD(2) HOST_LOAD(4) HOST_LOAD(8) HOST_LOAD(16)
