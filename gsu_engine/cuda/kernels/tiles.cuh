// Rows out of pages and table into shared memory, and their products with stationary candidates.
//
// A block of 8 warps takes tiles of 128 rows, one after the other. Candidates stay in registers: a warp holds 64 of
// them (fragments of the left side of multiply_add), `groups` warps hold different ones, and 8 / groups warps that hold
// the same ones share the rows of a tile. So a row is gathered once for up to 512 candidates.
//
// Shared memory of a block: rows of three tiles, inverse norms of two, slots of four (see Pipeline for why so many).
// A row's 16-byte chunk c lies at chunk c ^ (row % chunks), so that eight rows' reads of one chunk meet different banks.
#pragma once
#include "keys.cuh"

#define ROWS_PER_TILE 128
#define ROWS_PER_MULTIPLY 8
#define WARPS 8
#define THREADS 256
#define CANDIDATES_PER_WARP 64
#define BLOCKS_OF_16 4
#define PAGE_SLOTS 512
#define SAMPLE_STEP_BITS 16

struct TileMemory {
    float scale[2][ROWS_PER_TILE];   // inverse norm; NO_ROW where the row does not count
    float norm[2][ROWS_PER_TILE];    // inverse norm whatever is allowed; 0 where there is no row or no vector
    uint32 slots[4][ROWS_PER_TILE];
};

// Entry of the user's ring for a place of the window. A window is not longer than the ring, so it wraps once at most.
__device__ __forceinline__ uint32 entry_of(const Search& search, const Pair& pair, int place) {
    uint32 entry = pair.first_page + (uint32)(pair.head + place) / PAGE_SLOTS, ring = (uint32)search.ring;
    return entry < ring ? entry : entry - ring;
}

// Which rows a tile has: consecutive places of the window, or the sample's.
// Place in the window, or -1 where the tile reaches beyond the end.
template <bool is_sample>
__device__ __forceinline__ int place_of(const Pair& pair, int tile, int row) {
    int j = tile * ROWS_PER_TILE + row;
    if (is_sample) return j < pair.sampled ? (int)((int64)j * pair.sample_step >> SAMPLE_STEP_BITS) : -1;
    return j < pair.length ? j : -1;
}

// Brings tile after tile. While tile i is multiplied, rows of i + 1 and i + 2 are on their way; what a load depends on
// was loaded one tile before it: page of i + 5, slot of i + 4 in registers, slots of i + 3 in shared memory, inverse
// norm of i + 2 in a register, of i + 1 in shared memory. A tile's copies are closed even where there is no such tile,
// so that the count of groups under way stays the same.
template <int width, bool is_sample>
struct Pipeline {
    static constexpr uint32 chunks = width / 16;
    static constexpr int rows_bytes = ROWS_PER_TILE * width;
    static constexpr int shared_bytes = 3 * rows_bytes + (int)sizeof(TileMemory);

    const Search& search;
    const Pair& pair;
    uint8* rows;
    TileMemory* memory;
    int first, last;  // tiles of this item
    uint32 page;      // of this thread's row in tile i + 5
    uint32 slot;      // in tile i + 4
    float norm;       // in tile i + 2

    __device__ __forceinline__ Pipeline(const Search& search, const Pair& pair, uint8* shared, int first, int last)
        : search(search), pair(pair), rows(shared), memory((TileMemory*)(shared + 3 * rows_bytes)), first(first), last(last), page(0), slot(0), norm(0) {}

    __device__ __forceinline__ int place(int tile, int row) const {
        return first + tile < last ? place_of<is_sample>(pair, first + tile, row) : -1;
    }

    __device__ __forceinline__ uint32 page_of(int tile) const {
        int at = place(tile, threadIdx.x);
        if (at < 0) return 0;
        return search.page_table[pair.table_at + entry_of(search, pair, at)];
    }

    __device__ __forceinline__ uint32 slot_of(int tile, uint32 its_page) const {
        int at = place(tile, threadIdx.x);
        return at < 0 ? 0 : search.pages[(uint64)its_page * PAGE_SLOTS + (uint32)(pair.head + at) % PAGE_SLOTS];
    }

    __device__ __forceinline__ void keep_norm(uint32 tile, float value) {
        int at = place(tile, threadIdx.x);
        bool counts = at >= 0 && value != 0;
        if (counts && pair.allowed_at >= 0) counts = search.allowed[pair.allowed_at + (uint32)at / 8] >> (uint32)at % 8 & 1;
        memory->norm[tile % 2][threadIdx.x] = at < 0 ? 0 : value;
        memory->scale[tile % 2][threadIdx.x] = counts ? value : NO_ROW;
    }

    __device__ __forceinline__ void begin_rows(uint32 tile) {
        if (first + (int)tile < last) {
            uint8* target = rows + tile % 3 * rows_bytes;
            const uint32* slots = memory->slots[tile % 4];
#pragma unroll 1
            for (uint32 part = threadIdx.x; part < ROWS_PER_TILE * chunks; part += THREADS) {
                uint32 row = part / chunks, chunk = part % chunks;
                begin_copy(target + row * width + (chunk ^ row % chunks) * 16,
                           search.vectors + (uint64)slots[row] * width + chunk * 16);
            }
        }
        close_copies();
    }

    // Before tile 0; ends with all that `next(0)` expects.
    __device__ __forceinline__ void begin() {
        bool owns_row = threadIdx.x < ROWS_PER_TILE;
        __syncthreads();  // the item before this one has been read
        if (owns_row)
#pragma unroll 1
            for (int tile = 0; tile < 3; tile++) memory->slots[tile][threadIdx.x] = slot_of(tile, page_of(tile));
        __syncthreads();
        begin_rows(0);
        begin_rows(1);
        if (owns_row) {
            keep_norm(0, search.inv_norms[memory->slots[0][threadIdx.x]]);
            norm = search.inv_norms[memory->slots[1][threadIdx.x]];
            slot = slot_of(3, page_of(3));
            page = page_of(4);
        }
    }

    // Returns when tile i lies in shared memory, having asked for what comes after it.
    __device__ __forceinline__ void next(uint32 i) {
        wait_for_copies<1>();
        __syncthreads();
        if (threadIdx.x < ROWS_PER_TILE) {
            memory->slots[(i + 3) % 4][threadIdx.x] = slot;
            keep_norm(i + 1, norm);
            norm = search.inv_norms[memory->slots[(i + 2) % 4][threadIdx.x]];
            slot = slot_of(i + 4, page);
            page = page_of(i + 5);
        }
        begin_rows(i + 2);
    }
};

// The stationary side: 64 candidates of one warp.
template <int width>
struct Stationary {
    static constexpr int steps = width / 32;
    uint32 parts[BLOCKS_OF_16][steps][4];
    int count;  // of the 64 that exist

    // `first` is the number of the warp's first candidate, `end` one above the pair's last.
    __device__ __forceinline__ void load(const int8* candidates, int first, int end) {
        int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
        count = end <= first ? 0 : min(end - first, CANDIDATES_PER_WARP);
#pragma unroll
        for (int block = 0; block < BLOCKS_OF_16; block++)
#pragma unroll
            for (int step = 0; step < steps; step++)
#pragma unroll
                for (int part = 0; part < 4; part++) {
                    int own = block * 16 + g + part % 2 * 8;
                    const int8* from = candidates + (uint64)(first + own) * width + step * 32 + part / 2 * 16 + 4 * t;
                    parts[block][step][part] = own < count ? *(const uint32*)from : 0;
                }
    }
};

// Products of a warp's 64 candidates and the 8 rows of a tile from `row` on, each times its row's scale. Of each block of
// 16: y[block][0..3] = (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1). The four blocks' sums do not wait for one
// another; those of candidates that do not exist are computed all the same, since a branch would cost more.
template <int width>
__device__ __forceinline__ void multiply(float (&y)[BLOCKS_OF_16][4], const Stationary<width>& candidates,
                                         const uint8* tile, uint32 row, float2 scale) {
    constexpr uint32 chunks = width / 16;
    uint32 lane = threadIdx.x % 32, own = row + lane % 8;
    int sums[BLOCKS_OF_16][4] = {};
#pragma unroll
    for (uint32 quarter = 0; quarter < chunks / 4; quarter++) {
        uint32 rows[4];
        load_matrices(rows, tile + own * width + ((quarter * 4 + lane / 8) ^ own % chunks) * 16);
#pragma unroll
        for (uint32 half = 0; half < 2; half++)
#pragma unroll
            for (int block = 0; block < BLOCKS_OF_16; block++)
                multiply_add(sums[block], candidates.parts[block][quarter * 2 + half], rows[2 * half], rows[2 * half + 1]);
    }
#pragma unroll
    for (int block = 0; block < BLOCKS_OF_16; block++)
#pragma unroll
        for (int part = 0; part < 4; part++)
            y[block][part] = __fmul_rn(__int2float_rn(sums[block][part]), part % 2 ? scale.y : scale.x);
}

// Number of the pair that owns an item: the last one whose first item is not above it.
template <int Pair::*first_of>
__device__ __forceinline__ int pair_with(const Search& search, int item) {
    int low = 0, high = search.pair_count - 1;
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (search.pairs[middle].*first_of <= item)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

// This warp's number. Told by its first lane, so that the compiler knows that it is the same in all of them.
__device__ __forceinline__ int warp_number() { return __shfl_sync(ALL_LANES, (int)threadIdx.x / 32, 0); }

// The next item for this block, one that no other block has; the same for all its threads.
__device__ __forceinline__ int take_item(uint32* ticket, int* shared) {
    __syncthreads();
    if (threadIdx.x == 0) *shared = (int)atomicAdd(ticket, 1u);
    __syncthreads();
    return *shared;
}
