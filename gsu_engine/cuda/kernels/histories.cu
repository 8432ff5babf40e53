// Writing to what lives on the device: behaviours that came, and vectors that came, changed or went.
// Any number of blocks is right; blocks are whole warps.
#include "structs.cuh"

// 16 bytes that are read and written at once.
struct alignas(16) Piece {
    uint32 words[4];
};

__device__ __forceinline__ uint64 thread_of_grid() { return static_cast<uint64>(blockIdx.x) * blockDim.x + threadIdx.x; }

__device__ __forceinline__ uint64 threads_of_grid() { return static_cast<uint64>(gridDim.x) * blockDim.x; }

// A warp copies a run; a thread sets a link.
extern "C" __global__ void append(const Append* argument) {
    const Append work = *argument;
    const uint32 lane = threadIdx.x % 32;
    for (uint64 r = thread_of_grid() / 32; r < static_cast<uint64>(work.run_count); r += threads_of_grid() / 32) {
        const Run run = work.runs[r];
        for (uint32 i = lane; i < run.count; i += 32) {
            work.pages[run.to + i] = work.slots[static_cast<uint64>(run.from) + i];
        }
    }
    for (uint64 l = thread_of_grid(); l < static_cast<uint64>(work.link_count); l += threads_of_grid()) {
        work.page_table[work.links[l].at] = work.links[l].page;
    }
}

// A thread copies 16 bytes of a row; the one with the first of them sets the inverse norm.
extern "C" __global__ void fill(const Fill* argument) {
    const Fill work = *argument;
    const uint64 pieces = static_cast<uint64>(work.width) / sizeof(Piece);
    const Piece* rows = reinterpret_cast<const Piece*>(work.rows);
    Piece* vectors = reinterpret_cast<Piece*>(work.vectors);
    for (uint64 p = thread_of_grid(); p < pieces * work.count; p += threads_of_grid()) {
        const uint64 row = p / pieces;
        const uint64 slot = work.slots[row];
        vectors[slot * pieces + p % pieces] = rows[p];
        if (p % pieces == 0) {
            work.inv_norms[slot] = work.norms[row];
        }
    }
}
