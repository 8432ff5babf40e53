// Second kernel: every row that reaches its candidate's threshold goes to the candidate's list of hits, and the scores
// of the newest rows are written.
//
// An item is a candidate tile and a run of row tiles. A warp collects its hits in a queue in shared memory, since most
// multiplications have none and few have more than one or two, and takes places in the lists for 32 of them at a time.
#pragma once
#include "tiles.cuh"

#define QUEUE 256
#define MOST_AT_ONCE 128  // hits of one block of 16 candidates and 8 rows

struct Queue {
    float products[QUEUE];
    int places[QUEUE];
    uint32 slots[QUEUE];
    uint8 candidates[QUEUE];  // among the warp's 64
};

template <int width>
struct Filter {
    const Search& search;
    const Pair& pair;
    Pipeline<width, false> pipeline;
    Stationary<width> candidates;
    Queue* queue;
    float thresholds[BLOCKS_OF_16][2];
    int first;   // number of this warp's first candidate
    int queued;  // the same in all lanes

    __device__ __forceinline__ Filter(const Search& search, const Pair& pair, uint8* shared, Queue* queue, int candidate_tile,
                      int first_tile, int last_tile)
        : search(search), pair(pair), pipeline(search, pair, shared, first_tile, last_tile), queue(queue), queued(0) {
        int group = threadIdx.x / 32 % pair.groups, g = threadIdx.x % 32 / 4;
        first = pair.first_candidate + (candidate_tile * pair.groups + group) * CANDIDATES_PER_WARP;
        candidates.load(search.candidates, first, pair.first_candidate + pair.candidates);
#pragma unroll
        for (int block = 0; block < BLOCKS_OF_16; block++)
#pragma unroll
            for (int half = 0; half < 2; half++) thresholds[block][half] = threshold_of(block * 16 + half * 8 + g);
    }

    __device__ __forceinline__ float threshold_of(int own) const {
        if (own >= candidates.count || search.candidate_norms[first + own] == 0) return ABOVE_ALL;
        return pair.sampled == 0 ? BELOW_ALL : search.thresholds[first + own];
    }

    __device__ __forceinline__ void run(int tiles) {
        int sharing = WARPS / pair.groups, share = threadIdx.x / 32 / pair.groups, rows_each = ROWS_PER_TILE / sharing;
        pipeline.begin();
#pragma unroll 1
        for (uint32 i = 0; i < (uint32)tiles; i++) {
            pipeline.next(i);
            int place = (pipeline.first + (int)i) * ROWS_PER_TILE;
            bool has_recent = place + ROWS_PER_TILE > pair.length - search.recent && search.recent > 0;
#pragma unroll 1
            for (int row = share * rows_each; row < (share + 1) * rows_each; row += ROWS_PER_MULTIPLY) {
                if (candidates.count == 0) break;
                take(i, row, place + row);
                if (has_recent) write_recent(i, row, place + row);
            }
        }
        flush();
    }

    // 8 rows from `row` of tile i on, which is at `place`.
    __device__ __forceinline__ void take(uint32 i, int row, int place) {
        const uint8* tile = pipeline.rows + i % 3 * pipeline.rows_bytes;
        float2 scale = *(const float2*)&pipeline.memory->scale[i % 2][row + 2 * (threadIdx.x % 4)];
        float y[BLOCKS_OF_16][4];
        multiply(y, candidates, tile, row, scale);
        bool hit = false;
#pragma unroll
        for (int block = 0; block < BLOCKS_OF_16; block++)
            hit |= y[block][0] >= thresholds[block][0] | y[block][1] >= thresholds[block][0] |
                   y[block][2] >= thresholds[block][1] | y[block][3] >= thresholds[block][1];
        if (__any_sync(ALL_LANES, hit))
#pragma unroll
            for (int block = 0; block < BLOCKS_OF_16; block++) push(i, row, place, block, y[block]);
    }

    __device__ __forceinline__ void push(uint32 i, int row, int place, int block, const float (&y)[4]) {
        int lane = lane_now(), column = 2 * (lane % 4);
#pragma unroll
        for (int part = 0; part < 4; part++) {
            bool hit = y[part] >= thresholds[block][part / 2];
            uint32 lanes = __ballot_sync(ALL_LANES, hit);
            if (hit) {
                int at = queued + __popc(lanes & ((1u << lane) - 1));
                queue->products[at] = y[part];
                queue->places[at] = place + column + part % 2;
                queue->slots[at] = pipeline.memory->slots[i % 4][row + column + part % 2];
                queue->candidates[at] = (uint8)(block * 16 + part / 2 * 8 + lane / 4);
            }
            queued += __popc(lanes);
        }
        if (queued > QUEUE - MOST_AT_ONCE) flush();
    }

    __device__ __forceinline__ void flush() {
        __syncwarp(ALL_LANES);
#pragma unroll 1
        for (int at = lane_now(); at < queued; at += 32) {
            int candidate = first + queue->candidates[at];
            if (search.excluded && search.excluded[candidate] == queue->slots[at]) continue;
            uint32 number = atomicAdd(&search.counts[candidate], 1u);
            float score = __fmul_rn(queue->products[at], search.candidate_norms[candidate]);
            if (number < (uint32)search.room)
                search.hits[(uint64)candidate * search.room + number] = key_of(score, queue->places[at]);
        }
        __syncwarp(ALL_LANES);
        queued = 0;
    }

    // What is allowed or excluded does not matter here: the newest rows are scored whatever is retrieved.
    __device__ __forceinline__ void write_recent(uint32 i, int row, int place) {
        int lane = lane_now(), g = lane / 4, t = lane % 4;
        const uint8* tile = pipeline.rows + i % 3 * pipeline.rows_bytes;
        float2 norm = *(const float2*)&pipeline.memory->norm[i % 2][row + 2 * t];
        float y[BLOCKS_OF_16][4];
        multiply(y, candidates, tile, row, norm);
#pragma unroll
        for (int block = 0; block < BLOCKS_OF_16; block++)
#pragma unroll
            for (int part = 0; part < 4; part++) {
                int own = block * 16 + part / 2 * 8 + g, age = pair.length - 1 - (place + 2 * t + part % 2);
                if (own < candidates.count && (part % 2 ? norm.y : norm.x) != 0 && age >= 0 && age < search.recent)
                    write_one(first + own, age, y[block][part]);
            }
    }

    __device__ __forceinline__ void write_one(int candidate, int age, float y) {
        float candidate_norm = search.candidate_norms[candidate];
        if (candidate_norm == 0) return;
        search.recent_scores[(int64)candidate * search.recent + age] = __fmul_rn(y, candidate_norm);
        search.recent_present[(int64)candidate * search.recent + age] = 1;
    }
};

template <int width>
__device__ __forceinline__ void filter(const Search& search, uint8* shared) {
    Queue* queues = (Queue*)(shared + Pipeline<width, false>::shared_bytes);
    int* word = (int*)(queues + WARPS);
    for (;;) {
        int item = take_item(&search.tickets[1], word);
        if (item >= search.filter_items) return;
        const Pair& pair = search.pairs[pair_with<&Pair::first_item>(search, item)];
        int own = item - pair.first_item, first_tile = own / pair.candidate_tiles * pair.tiles_per_item;
        int last_tile = min(first_tile + pair.tiles_per_item, pair.tiles);
        Filter<width> work(search, pair, shared, queues + threadIdx.x / 32, own % pair.candidate_tiles, first_tile, last_tile);
        work.run(last_tile - first_tile);
    }
}
