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
    uint64_t place;  // in the code
    bool early;  // the source is read at once; else when it is waited for: hardware may do either
    unsigned char bytes[16];
};

enum class Access { read, write, atomic };

// Who has used a byte last, since the last barrier of the block: see races.cpp.
struct Record {
    unsigned epoch;
    unsigned stamp;
    unsigned lanes;
    unsigned warp;
    unsigned thread, thread_before;  // the last two
    uint64_t place;                  // of the last
};

struct Cell {
    Record records[3];  // by Access
};

struct Fiber {
    Context context;
    const unsigned char* stack;
    unsigned stamp;         // the warp's tick when this lane last joined the others
    unsigned seen[LANES];   // of each lane: all that it did at earlier ticks came before
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
    unsigned tick;  // how often lanes have joined
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
    unsigned epoch;  // a number of its own from barrier to barrier
    std::vector<Warp> warps;
    std::vector<Fiber> fibers;
    std::vector<unsigned char> memory;   // dynamic shared memory and its zone
    unsigned char* shared;               // where it begins in `memory`
    std::vector<unsigned char> statics;  // static shared memory, while other blocks run
    std::vector<Cell> cells, static_cells;
};

// A warp's turn: lanes come in steps of an odd number, so that each comes once.
struct Burst {
    Warp* warp;
    unsigned step, lane, left;
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
    unsigned epochs;
    std::vector<Block> blocks;  // those that run now
    std::vector<Warp*> ready;
    Block* resident;  // whose static shared memory is in place
    Burst burst;
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

// A place in the code, for people: a line of the unit where it is smaller than this, else an address.
constexpr uint64_t LINES_MAX = 1 << 20;
void describe_place(char* text, size_t bytes, uint64_t place);

void note(const void* memory, size_t bytes, Access access, uint64_t place);
void forget_order(Warp& warp);
void order_lanes(Warp& warp, unsigned here);

}  // namespace emulator
