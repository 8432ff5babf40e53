// What the emulator knows while a kernel runs.
#pragma once
#include <csetjmp>
#include <cstdint>
#include <vector>

#include "fibers.hpp"
#include "runtime.hpp"

namespace emulator {

constexpr unsigned THREADS_MAX = 1024;
constexpr size_t SHARED_ALIGNED_BYTES = 128;
constexpr size_t SHARED_ZONE_BYTES = 256;  // after dynamic shared memory, with known bytes in it

struct Warp;
struct Block;

struct Copy {
    unsigned char* to;
    const unsigned char* from;
    bool early;  // the source is read at once; else when it is waited for: hardware may do either
    unsigned char bytes[16];
};

struct Fiber {
    Context context;
    Warp* warp;
    unsigned thread;
    std::vector<Copy> copies;
    std::vector<size_t> closed;  // where in `copies` each closed group ends
};

// Lanes that wait for each other.
struct Meeting {
    const Collective* what;
    unsigned mask;
    int line;
    unsigned arrived;
};

struct Warp {
    Block* block;
    Fiber* fibers;  // [32]
    unsigned first_thread;
    unsigned alive;
    unsigned ready;
    unsigned at_barrier;
    bool listed;  // in the scheduler's list
    unsigned meeting_count;
    Meeting meetings[LANES];
    void* operands[LANES];
};

struct Block {
    unsigned index;
    unsigned alive;
    unsigned arrived;  // at the barrier below
    const char* barrier;
    int barrier_line;
    unsigned yes, result;
    std::vector<Warp> warps;
    std::vector<Fiber> fibers;
    std::vector<unsigned char> memory;   // dynamic shared memory and its zone
    unsigned char* shared;               // where it begins in `memory`
    std::vector<unsigned char> statics;  // static shared memory, while other blocks run
};

struct Range {
    uint64_t begin, end;
};

struct Grid {
    const Kernel* kernel;
    const void* argument;
    Dim size, block_size;
    size_t shared_bytes;
    std::vector<unsigned> order;  // in which blocks start
    size_t started;
    std::vector<Block> blocks;  // those that run now
    std::vector<Warp*> ready;
    Block* resident;  // whose static shared memory is in place
    Fiber* running;
    Context scheduler;
    uint64_t random;
    std::vector<Range> buffers;  // device memory, in order
    sigjmp_buf landing;          // where a failed launch comes down
    char error[4096];
};

extern Grid grid;

inline uint64_t random_bits() {
    uint64_t& state = grid.random;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 0x2545f4914f6cdd1du;
}

inline unsigned random_below(unsigned bound) {
    return static_cast<unsigned>((random_bits() >> 32) * bound >> 32);
}

void fill_with_garbage(unsigned char* memory, size_t bytes);
bool in_own_shared(const void* address, size_t bytes);
bool in_buffers(const void* address, size_t bytes);
void run_guarded(void (*work)(), double seconds);
void describe_deadlock();

}  // namespace emulator
