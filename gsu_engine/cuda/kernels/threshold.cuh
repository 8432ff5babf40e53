// First kernel: a threshold for every candidate, guessed from a sample of its user's rows.
//
// Each lane keeps the largest product of `span` multiplications in a row; of these maxima (at most MAXIMA a candidate)
// the `rank`-th largest is the threshold: at least `rank` rows of the sample reach it, so about rank * length / sampled
// rows of the window do. Nothing rests on the guess but speed: `finish` looks whether enough rows came, or too many.
//
// An item is a candidate tile and four tiles of the sample. The block that ends the last part of a candidate tile
// selects for it. Blocks also zero what the later kernels add to.
#pragma once
#include "tiles.cuh"

#define MAXIMA 256
#define SAMPLE_TILES_PER_ITEM 4

// The largest products of this lane: of candidates g and g + 8 of each block of 16.
struct LaneMaxima {
    float best[BLOCKS_OF_16][2];

    __device__ __forceinline__ void clear() {
#pragma unroll
        for (int block = 0; block < BLOCKS_OF_16; block++) best[block][0] = best[block][1] = BELOW_ALL;
    }

    // fmaxf gives the other one where one is not a number.
    __device__ __forceinline__ void add(const float (&y)[BLOCKS_OF_16][4]) {
#pragma unroll
        for (int block = 0; block < BLOCKS_OF_16; block++) {
            best[block][0] = fmaxf(best[block][0], fmaxf(y[block][0], y[block][1]));
            best[block][1] = fmaxf(best[block][1], fmaxf(y[block][2], y[block][3]));
        }
    }

    __device__ __forceinline__ void write(const Search& search, int first, int count, int at) const {
        int g = lane_now() / 4, t = lane_now() % 4;
#pragma unroll
        for (int block = 0; block < BLOCKS_OF_16; block++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                int own = block * 16 + half * 8 + g;
                if (own < count) search.maxima[(uint64)(first + own) * MAXIMA + at + t] = best[block][half];
            }
    }
};

// Rows of an excluded item take no part: they would raise the threshold above rows that count.
__device__ __forceinline__ void leave_out_excluded(float (&y)[BLOCKS_OF_16][4], const Search& search, int first, int count,
                                                   const uint32* slots) {
    int lane = lane_now(), g = lane / 4, t = lane % 4;
#pragma unroll
    for (int block = 0; block < BLOCKS_OF_16; block++)
#pragma unroll
        for (int part = 0; part < 4; part++) {
            int own = block * 16 + part / 2 * 8 + g;
            uint32 excluded = own < count ? search.excluded[first + own] : 0;
            if (excluded != 0 && slots[2 * t + part % 2] == excluded) y[block][part] = NO_ROW;
        }
}

template <int width>
__device__ __forceinline__ void sample_item(const Search& search, const Pair& pair, uint8* shared, int candidate_tile,
                                            int part) {
    int warp = threadIdx.x / 32, sharing = WARPS / pair.groups, share = warp / pair.groups;
    int end = pair.first_candidate + pair.candidates;
    int first = pair.first_candidate + (candidate_tile * pair.groups + warp % pair.groups) * CANDIDATES_PER_WARP;
    int tiles = (pair.sampled + ROWS_PER_TILE - 1) / ROWS_PER_TILE, first_tile = part * SAMPLE_TILES_PER_ITEM;
    int last_tile = min(first_tile + SAMPLE_TILES_PER_ITEM, tiles), rows_each = ROWS_PER_TILE / sharing;
    Stationary<width> candidates;
    candidates.load(search.candidates, first, end);
    Pipeline<width, true> pipeline(search, pair, shared, first_tile, last_tile);
    pipeline.begin();
    LaneMaxima maxima;
    maxima.clear();
    int at = (part * pair.spans * sharing + share) * 4;
    int left = pair.span;
#pragma unroll 1
    for (uint32 i = 0; i < (uint32)(last_tile - first_tile); i++) {
        pipeline.next(i);
        const uint8* tile = pipeline.rows + i % 3 * pipeline.rows_bytes;
#pragma unroll 1
        for (int row = share * rows_each; row < (share + 1) * rows_each; row += ROWS_PER_MULTIPLY) {
            float2 scale = *(const float2*)&pipeline.memory->scale[i % 2][row + 2 * (threadIdx.x % 4)];
            float y[BLOCKS_OF_16][4];
            multiply(y, candidates, tile, row, scale);
            if (search.excluded)
                leave_out_excluded(y, search, first, candidates.count, pipeline.memory->slots[i % 4] + row);
            maxima.add(y);
            if (--left == 0) {
                maxima.write(search, first, candidates.count, at);
                maxima.clear();
                at += sharing * 4;
                left = pair.span;
            }
        }
    }
    int end_at = (part + 1) * pair.spans * (WARPS / pair.groups) * 4;
    for (; at < end_at; at += sharing * 4, maxima.clear()) maxima.write(search, first, candidates.count, at);
}

// About the rank-th largest of a candidate's maxima, by one warp: at least `rank` of them reach it, and at most a
// quarter more where that can be had. BELOW_ALL where fewer than `rank` rows of the sample count.
__device__ __forceinline__ float select_maximum(const volatile float* maxima, int count, int rank) {
    int lane = threadIdx.x % 32;
    uint32 own[MAXIMA / 32];
#pragma unroll
    for (int i = 0; i < MAXIMA / 32; i++) own[i] = i * 32 + lane < count ? ascending(maxima[i * 32 + lane]) : 0;
    uint32 reached = ascending(BELOW_ALL), bit = 0x80000000u;
    for (uint32 found = 0; bit != 0; bit >>= 1) {
        uint32 tried = found | bit;
        int above = 0;
#pragma unroll
        for (int i = 0; i < MAXIMA / 32; i++) above += own[i] >= tried;
        above = (int)__reduce_add_sync(ALL_LANES, (uint32)above);
        if (above < rank) continue;
        found = tried;
        reached = max(reached, tried);
        if (above <= rank + rank / 4) break;
    }
    return from_ascending(reached);
}

__device__ __forceinline__ void select_thresholds(const Search& search, const Pair& pair, int candidate_tile) {
    int size = pair.groups * CANDIDATES_PER_WARP, first = candidate_tile * size;
    int count = pair.sample_parts * pair.spans * (WARPS / pair.groups) * 4;
    for (int own = first + threadIdx.x / 32; own < min(first + size, pair.candidates); own += WARPS) {
        int candidate = pair.first_candidate + own;
        float y = select_maximum(search.maxima + (uint64)candidate * MAXIMA, count, pair.rank);
        if (threadIdx.x % 32 == 0)
            search.thresholds[candidate] = smallest_with_score_of(y, search.candidate_norms[candidate]);
    }
}

__device__ __forceinline__ void zero_results(const Search& search) {
    int64 own = (int64)blockIdx.x * blockDim.x + threadIdx.x, all = (int64)gridDim.x * blockDim.x;
    for (int64 i = own; i < search.candidate_count; i += all) search.counts[i] = 0;
    for (int64 i = own; i < (int64)search.candidate_count * search.recent; i += all) {
        search.recent_scores[i] = 0;
        search.recent_present[i] = 0;
    }
}

template <int width>
__device__ __forceinline__ void threshold(const Search& search, uint8* shared) {
    int* word = (int*)(shared + Pipeline<width, true>::shared_bytes);
    zero_results(search);
    for (;;) {
        int item = take_item(&search.tickets[0], word);
        if (item >= search.sample_items) return;
        const Pair& pair = search.pairs[pair_with<&Pair::first_sample_item>(search, item)];
        int candidate_tile = (item - pair.first_sample_item) / pair.sample_parts;
        sample_item<width>(search, pair, shared, candidate_tile, (item - pair.first_sample_item) % pair.sample_parts);
        __threadfence();
        __syncthreads();
        if (threadIdx.x == 0)
            *word = atomicAdd(&search.done[pair.first_done + candidate_tile], 1u) + 1 == (uint32)pair.sample_parts;
        __syncthreads();
        if (*word) {
            __threadfence();
            select_thresholds(search, pair, candidate_tile);
        }
    }
}
