// What the kernels' side of the emulator asks of its scheduler.
#pragma once
#include <cstddef>
#include <cstdint>

namespace emulator {

constexpr unsigned LANES = 32;

struct Dim {
    unsigned x, y, z;
};

// One thread has one answer for its whole life, whatever runs in between: hence const.
[[gnu::const]] Dim thread_index();
[[gnu::const]] Dim block_index();
[[gnu::const]] Dim block_size();
[[gnu::const]] Dim grid_size();
[[gnu::const]] unsigned char* dynamic_shared();

// A thing that lanes of a warp do together. The last lane to arrive does it for all: `operands[lane]` is what that lane
// brought, for the lanes set in `here`.
struct Collective {
    const char* name;
    void (*complete)(void** operands, unsigned here);
    bool whole_warp;  // undefined unless all 32 lanes are alive and named
};

void meet(const Collective& what, unsigned mask, int line, void* operands);

// __syncthreads() and its kin, known by name; returns how many threads said yes.
int meet_block(const char* name, int line, bool yes);

// A place where other blocks may come in between: before atomics and fences.
void let_others();

void begin_copy(void* to_shared, const void* from_global, int line);
void close_copies();
void wait_for_copies(unsigned pending);

// `bytes` at `address` lie in this block's shared memory and are aligned to their number.
void check_shared(const void* address, size_t bytes, const char* what, int line);

// A word at `address` is aligned; a word in shared memory is this block's.
void atomic_access(const void* address, size_t bytes, const char* what, int line);

[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

// What the builder generates: one row per kernel of the unit.
struct Kernel {
    const char* name;
    void (*run)(const void* argument);
    unsigned threads_max;
};
extern const Kernel KERNELS[];
extern const unsigned KERNEL_COUNT;

}  // namespace emulator
